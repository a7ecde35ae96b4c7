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

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ros2_classify.download.cache import Cache
from ros2_classify.download.fetch import cached, fetch
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.download.url import is_url
from ros2_classify.errors import ArchiveError, DescriptorError, IntegrityError, ModelNotFoundError
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
from ros2_classify.paths import check_directory, locate

if TYPE_CHECKING:
    from ros2_classify.download.fetch import Request


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


# The states in which a model can't be used as it is.
FAILURES = ('damaged', 'missing', 'not fetched')


@dataclass(frozen=True)
class Verified:
    """
    What became of one model's file.

    Parameters
    ----------
    name : str
        The model.
    state : str
        ``ok``, ``damaged``, ``missing``, ``not fetched``, ``no sha256``, or ``unusable`` where
        the descriptor is wrong.
    model : str or None
        The file, where there is one.
    error : str
        What is wrong with the descriptor.

    """

    name: str
    state: str
    model: str | None = None
    error: str = ''


def verify(descriptor: ModelDescriptor) -> Verified:
    """
    Hash a model's file again; the model is left alone.

    Parameters
    ----------
    descriptor : ModelDescriptor
        The model.

    Returns
    -------
    Verified
        Its state.

    """
    name = descriptor.name
    model = None
    try:
        request = request_for(descriptor)
        path = request.path or cached(request)
        if request.sha256 is None:
            return Verified(name, 'no sha256', str(path) if path else None)
        if path is None:
            return Verified(name, 'not fetched')
        model = str(path)
        if request.url is not None and not _is_intact(request.sha256):
            return Verified(name, 'damaged', model)
        model = str(fetch(request, FetchOptions(offline=True)))
    except (ArchiveError, IntegrityError):
        return Verified(name, 'damaged', model)
    except ModelNotFoundError:
        return Verified(name, 'missing', model)
    return Verified(name, 'ok', model)


def verify_entry(name: str, path: Path) -> Verified:
    """
    Hash the file of a catalogue's entry again, whose descriptor may be wrong.

    Parameters
    ----------
    name : str
        Its name.
    path : Path
        Its descriptor file.

    Returns
    -------
    Verified
        Its state.

    """
    try:
        return verify(load_descriptor(path))
    except DescriptorError as error:
        return Verified(name, 'unusable', error=str(error))


def _is_intact(sha256: str) -> bool:
    return Cache(FetchOptions().cache_directory()).get(sha256) is not None
