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

"""
The search path for models and their files, and the paths that may be read.

The search path: the directories of `searching`, then those of ``ROS2_CLASSIFY_MODEL_PATH``.

The allowed paths: if others may choose a model by a parameter, a descriptor or a launch file,
`allowed_paths` restricts reading to the given directories, with ``..`` and symbolic links
resolved. Shipped models are always allowed, and so are URLs, which need a sha256.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from itertools import islice
import os
from pathlib import Path
import sys

from ros2_classify.errors import ModelNotFoundError, NotAllowedError
from ros2_classify.limits import kind_of

SEARCH_PATH_VARIABLE = 'ROS2_CLASSIFY_MODEL_PATH'

_SHARE = Path('share', 'ros2_classify', 'models')

_before: ContextVar[tuple[Path, ...]] = ContextVar('search path', default=())
_allowed: ContextVar[tuple[Path, ...] | None] = ContextVar('model roots', default=None)


def shipped_directory() -> Path | None:
    """
    Return the directory of the models that come with the package, if they are installed.

    ``models/`` of a source tree, or ``share/ros2_classify/models`` of the installation that the
    package was imported from, of a prefix in ``AMENT_PREFIX_PATH``, or of Python's own prefix.
    """
    package = Path(__file__).resolve().parent
    places = []
    if (package.parent / 'package.xml').is_file():
        places.append(package.parent / 'models')
    places.extend(parent / _SHARE for parent in package.parents)
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    places.extend(Path(prefix, _SHARE) for prefix in [*prefixes, sys.prefix] if prefix)
    return next((place for place in places if place.is_dir()), None)


def search_path() -> tuple[Path, ...]:
    """Return the directories of the search path in order, ``~`` expanded; they need not exist."""
    return (*_before.get(), *_split(os.environ.get(SEARCH_PATH_VARIABLE, '')))


@contextmanager
def searching(path: str) -> Iterator[None]:
    """Search the directories in ``path``, separated by ``:``, first, in this thread."""
    token = _before.set((*_split(path), *_before.get()))
    try:
        yield
    finally:
        _before.reset(token)


def _split(path: str) -> tuple[Path, ...]:
    parts = [part for part in path.split(os.pathsep) if part.strip()]
    return tuple(Path(os.path.expanduser(part)) for part in parts)


def _meant(named: str, places: Sequence[Path]) -> str:
    """Return how a path that is not there was probably meant."""
    plain = named.removeprefix('model:=').strip().replace('\\', '/')
    found = Path(os.path.expanduser(plain))
    if plain != named and is_allowed(found) and found.is_file():
        return f'did you mean {plain}? '
    for place in places:
        try:
            beside = {each.name: each for each in islice(place.parent.iterdir(), 1000)
                      if each.is_file()}
        except (OSError, ValueError):
            continue
        near = [each for each in beside if each.lower() == place.name.lower()] or (
            get_close_matches(place.name, beside, 1, 0.8))
        if near and is_allowed(beside[near[0]]):
            return f'did you mean {Path(named).with_name(near[0])}? '
    if '\\' in named:
        return 'paths are written with / here, not with \\; '
    return ''


def locate(path: str | Path, directory: Path | None, *, what: str, origin: str = '',
           or_directory: bool = False) -> Path:
    """Find a file that a descriptor or a user names."""
    # os.path accepts paths for which Path raises: ~nobody, or names that are too long.
    named = Path(os.path.expanduser(path))
    if named.is_absolute():
        places = [named]
    else:
        directories = [Path.cwd() if directory is None else directory, *search_path()]
        # Each directory is searched, and listed in the error, once.
        places = list(dict.fromkeys(Path(place, named).absolute() for place in directories))
    # Not even the existence of a file outside is revealed.
    if not (places := [place for place in places if is_allowed(place)]):
        raise refusal(path, what, origin)
    for place in places:
        if os.path.isfile(place) or (or_directory and os.path.isdir(place)):
            return place
    prefix = f'{origin}: ' if origin else ''
    if '://' in str(path):
        step = ('use url: instead of path:' if what == 'model file' else
                'download it and give its path')
        raise ModelNotFoundError(
            f'{prefix}the {what} {path} is a URL, but this must be a file; {step}')
    tail = 'check the path' if named.is_absolute() else (
        f'check the name, or add its directory to {SEARCH_PATH_VARIABLE}')
    if kind := next(filter(None, map(kind_of, places)), ''):
        tail = 'name a file, which can be read more than once'
    tail = f'{_meant(str(path), places)}{tail}'
    raise ModelNotFoundError(
        f'{prefix}the {what} {path} was not found{kind and f" ({kind}, not a file)"}; searched '
        f'{", ".join(str(place) for place in places)}; {tail}')


@contextmanager
def allowed_paths(roots: str) -> Iterator[None]:
    """Allow only files below some directories (separated by ``:``), in this thread."""
    parts = [part for part in roots.split(os.pathsep) if part.strip()]
    if roots and not parts:
        # A list of empty variables must not allow all paths.
        raise ModelNotFoundError(
            f'model_roots is {roots!r}, which has no directory; add one, or leave it empty to '
            'allow all paths')
    directories = tuple(Path(os.path.realpath(os.path.expanduser(part))) for part in parts)
    for part, directory in zip(parts, directories):
        if not directory.is_dir():
            raise ModelNotFoundError(
                f'model_roots names {part}, which is not a directory; create it or correct '
                'the name')
    outer = _allowed.get()
    if outer is not None:
        directories = tuple(
            directory for directory in directories or outer if _is_below(directory, outer))
    token = _allowed.set(directories if parts or outer is not None else None)
    try:
        yield
    finally:
        _allowed.reset(token)


def is_allowed(path: str | Path) -> bool:
    """Return whether a file or directory may be read, symbolic links resolved."""
    roots = _allowed.get()
    if roots is None:
        return True
    shipped = shipped_directory()
    own = () if shipped is None else (Path(os.path.realpath(shipped)),)
    return _is_below(Path(os.path.realpath(path)), (*roots, *own))


def check_allowed(path: str | Path, what: str, origin: str = '') -> None:
    """Raise NotAllowedError if a file or directory may not be read."""
    if not is_allowed(path):
        raise refusal(path, what, origin)


def check_directory(directory: Path, what: str) -> None:
    """Raise NotAllowedError if a symbolic link in a directory leads outside."""
    if _allowed.get() is None:
        return
    check_allowed(directory, what)
    for base, directories, files in os.walk(directory):
        for name in (*directories, *files):
            check_allowed(os.path.join(base, name), what)


def refusal(path: str | Path, what: str, origin: str = '') -> NotAllowedError:
    """Return (not raise) the error for a file that may not be read, even if it doesn't exist."""
    roots = ', '.join(map(str, _allowed.get() or ())) or 'no directory'
    prefix = f'{origin}: ' if origin else ''
    return NotAllowedError(
        f'{prefix}the {what} {path} is not below the directories that model_roots allows '
        f'({roots}), symbolic links resolved; put it there, or add its directory to model_roots')


def _is_below(path: Path, directories: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(directory) for directory in directories)
