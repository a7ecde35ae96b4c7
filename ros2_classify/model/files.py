# Copyright 2026 the ros2_classify authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Where model and label files come from: paths, the search path, addresses, and their sha256."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.download.url import is_url
from ros2_classify.errors import ModelNotFoundError
from ros2_classify.paths import check_directory, is_allowed, refusal

if TYPE_CHECKING:
    from ros2_classify.download.fetch import Request
    from ros2_classify.download.options import FetchOptions
    from ros2_classify.model.descriptor import ModelDescriptor

SEARCH_PATH_VARIABLE = 'ROS2_CLASSIFY_MODEL_PATH'

_before: ContextVar[tuple[Path, ...]] = ContextVar('search path', default=())


def search_path() -> tuple[Path, ...]:
    """
    Return the directories that `searching` and ``ROS2_CLASSIFY_MODEL_PATH`` name, in this order.

    Returns
    -------
    tuple of Path
        Separated by ``:`` in the variable, ``~`` expanded; whether they exist is not asked.

    """
    return (*_before.get(), *_split(os.environ.get(SEARCH_PATH_VARIABLE, '')))


@contextmanager
def searching(path: str) -> Iterator[None]:
    """
    Look for models and their files in further directories, before all others.

    Parameters
    ----------
    path : str
        Directories, separated by ``:``; ``~`` is expanded; empty adds none. They count in this
        thread, as long as the context lasts.

    """
    token = _before.set((*_split(path), *_before.get()))
    try:
        yield
    finally:
        _before.reset(token)


def _split(path: str) -> tuple[Path, ...]:
    parts = [part for part in path.split(os.pathsep) if part.strip()]
    return tuple(Path(os.path.expanduser(part)) for part in parts)


def locate(path: str | Path, directory: Path | None, *, what: str, origin: str = '',
           or_directory: bool = False) -> Path:
    """
    Find a file that a descriptor or a user names.

    Parameters
    ----------
    path : str or Path
        Absolute, with ``~``, or relative.
    directory : Path or None
        Where a relative path is looked for first; None means the working directory. The directories of
        ``ROS2_CLASSIFY_MODEL_PATH`` follow.
    what : str
        What the file is, for the error: 'model file', 'label file'.
    origin : str
        Who names it, for the error: the descriptor's path as a rule.
    or_directory : bool
        Whether a directory will do too.

    Returns
    -------
    Path
        The file, absolute.

    Raises
    ------
    ModelNotFoundError
        If it is nowhere to be found, or no plain file; the message lists where it was looked for.
    NotAllowedError
        If `ros2_classify.paths.within` allows none of these places.

    """
    # os.path answers for paths that can't exist, where Path raises: ~nobody, or far too long.
    named = Path(os.path.expanduser(path))
    if named.is_absolute():
        places = [named]
    else:
        directories = [Path.cwd() if directory is None else directory, *search_path()]
        # A directory that stands in both is looked in, and named in the error, once.
        places = list(dict.fromkeys(Path(place, named).absolute() for place in directories))
    # What lies outside is not looked for: not even whether it exists is told.
    if not (places := [place for place in places if is_allowed(place)]):
        raise refusal(path, what, origin)
    for place in places:
        if os.path.isfile(place) or (or_directory and os.path.isdir(place)):
            return place
    prefix = f'{origin}: ' if origin else ''
    if '://' in str(path):
        step = ('say url: in place of path:' if what == 'model file' else
                'download it and give its path')
        raise ModelNotFoundError(
            f'{prefix}the {what} {path} is an address, and only files can be read; {step}')
    tail = 'check the path' if named.is_absolute() else (
        f'check the name, or add its directory to {SEARCH_PATH_VARIABLE}')
    found = ' (a directory, not a file)' if any(os.path.isdir(place) for place in places) else ''
    raise ModelNotFoundError(
        f'{prefix}the {what} {path} was not found{found}; looked for '
        f'{", ".join(str(place) for place in places)}; {tail}')


def sha256_of(path: str | Path) -> str:
    """
    Return the sha256 of a file's content.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    str
        64 lower-case hexadecimal digits.

    """
    return sha256_of_file(Path(path))


def request_for(descriptor: ModelDescriptor) -> Request:
    """
    Return what a descriptor's source asks for; a path is looked for, an address is not asked.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Whose ``source`` names it.

    Returns
    -------
    Request
        For `ros2_classify.download.fetch.fetch`.

    Raises
    ------
    ModelNotFoundError
        If the source is a path and nowhere to be found.

    """
    from ros2_classify.download.fetch import Request

    source = descriptor.source
    origin = descriptor.origin or descriptor.name
    path = None if source.url else locate(
        source.path, descriptor.directory, what='model file', origin=descriptor.origin,
        or_directory=source.member is not None or descriptor.format != 'onnx')
    return Request(
        label=descriptor.name, origin=origin, model=_command_line_name(descriptor),
        url=source.url, path=path, sha256=source.sha256, size=source.size, member=source.member)


def _command_line_name(descriptor: ModelDescriptor) -> str:
    """Return what names this model on any machine: a catalogue name, its address or its file."""
    if is_url(descriptor.origin):
        member = f'&member={descriptor.source.member}' if descriptor.source.member else ''
        return f'{descriptor.origin}#sha256={descriptor.source.sha256}{member}'
    from ros2_classify.model.catalog import entries

    path = entries().get(Path(descriptor.origin).stem)
    known = path is not None and str(path) == descriptor.origin
    return Path(descriptor.origin).stem if known else descriptor.origin or descriptor.name


def model_file(descriptor: ModelDescriptor, options: FetchOptions | None = None) -> Path:
    """
    Return the model's file or directory, fetched where need be, and checked.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Whose ``source`` names the file and, where it knows it, the sha256.
    options : FetchOptions, optional
        How an address is fetched.

    Returns
    -------
    Path
        The file or directory, absolute.

    Raises
    ------
    ModelNotFoundError
        If the file is nowhere to be found or can't be read.
    IntegrityError
        If its sha256 is not the declared one, or an address has none.
    ArchiveError
        If it is in an archive that is broken or harmful.
    FetchError
        If it can't be had: no network, offline mode, no such file, a full disk.
    NotAllowedError
        If it, or a file in its directory, lies where nothing may be read.

    """
    from ros2_classify.download.fetch import fetch

    request = request_for(descriptor)
    path = fetch(request, options)
    if request.path is not None and request.path.is_dir():
        # What was unpacked from an archive holds no links, and lies in the cache.
        check_directory(path, 'model file')
    return path
