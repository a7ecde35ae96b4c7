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
Directories that models and what belongs to them must lie in, where somebody says so.

A robot's operator may let others choose a model by a parameter, a descriptor or a launch file;
within `within`, what they name is read below the given directories only, whatever ``..`` and symbolic
links make of its path. The models that the package ships are part of it and always allowed; so
is what an address names, which its sha256 vouches for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
import os
from pathlib import Path

from ros2_classify.errors import ModelNotFoundError, NotAllowedError

_roots: ContextVar[tuple[Path, ...] | None] = ContextVar('model roots', default=None)


@contextmanager
def within(roots: str) -> Iterator[None]:
    """
    Read models and what belongs to them from some directories only.

    Parameters
    ----------
    roots : str
        Directories, separated by ``:``; ``~`` is expanded; empty allows every place. They count in
        this thread, as long as the context lasts. An inner context can only take places away.

    Raises
    ------
    ModelNotFoundError
        If one is no directory, or the text is not empty and names none.

    """
    parts = [part for part in roots.split(os.pathsep) if part.strip()]
    if roots and not parts:
        # A list whose variables were all empty must not open every place.
        raise ModelNotFoundError(
            f'model_roots is {roots!r}, which names no directory; name one, or leave it empty to '
            'allow every place')
    directories = tuple(Path(os.path.realpath(os.path.expanduser(part))) for part in parts)
    for part, directory in zip(parts, directories):
        if not directory.is_dir():
            raise ModelNotFoundError(
                f'model_roots names {part}, which is no directory; make it or correct the name')
    outer = _roots.get()
    if outer is not None:
        directories = tuple(directory for directory in directories or outer if _is_below(directory, outer))
    token = _roots.set(directories if parts or outer is not None else None)
    try:
        yield
    finally:
        _roots.reset(token)


def is_allowed(path: str | Path) -> bool:
    """Tell whether a file or directory may be read; nothing but symbolic links is looked at."""
    roots = _roots.get()
    if roots is None:
        return True
    from ros2_classify.model.catalog import shipped_directory

    shipped = shipped_directory()
    own = () if shipped is None else (Path(os.path.realpath(shipped)),)
    return _is_below(Path(os.path.realpath(path)), (*roots, *own))


def check_allowed(path: str | Path, what: str, origin: str = '') -> None:
    """
    Refuse a file or directory that may not be read.

    Parameters
    ----------
    path : str or Path
        Its path, as it was found.
    what : str
        What it is, for the error: 'model file', 'label file'.
    origin : str
        Who names it, for the error.

    Raises
    ------
    NotAllowedError
        If it lies outside, or is a symbolic link that leads outside.

    """
    if not is_allowed(path):
        raise refusal(path, what, origin)


def check_directory(directory: Path, what: str) -> None:
    """Refuse a directory in which a symbolic link leads outside; see `check_allowed`."""
    if _roots.get() is None:
        return
    check_allowed(directory, what)
    for base, directories, files in os.walk(directory):
        for name in (*directories, *files):
            check_allowed(os.path.join(base, name), what)


def refusal(path: str | Path, what: str, origin: str = '') -> NotAllowedError:
    """Return (not raise) the error for a file that may not be read, whether it exists or not."""
    roots = ', '.join(map(str, _roots.get() or ())) or 'no directory'
    prefix = f'{origin}: ' if origin else ''
    return NotAllowedError(
        f'{prefix}the {what} {path} does not lie below the directories that model_roots allows '
        f'({roots}), symbolic links followed; put it there, or add its directory to model_roots')


def _is_below(path: Path, directories: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(directory) for directory in directories)
