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

"""Where model and label files come from: paths, the search path, and their sha256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ros2_classify.errors import IntegrityError, ModelNotFoundError

if TYPE_CHECKING:
    from ros2_classify.descriptor import ModelDescriptor

SEARCH_PATH_VARIABLE = 'ROS2_CLASSIFY_MODEL_PATH'


def search_path() -> tuple[Path, ...]:
    """
    Return the folders that ``ROS2_CLASSIFY_MODEL_PATH`` names, in its order.

    Returns
    -------
    tuple of Path
        Separated by ``:`` in the variable, ``~`` expanded; whether they exist is not asked.

    """
    value = os.environ.get(SEARCH_PATH_VARIABLE, '')
    parts = [part for part in value.split(os.pathsep) if part.strip()]
    return tuple(Path(os.path.expanduser(part)) for part in parts)


def locate(path: str | Path, folder: Path | None, *, what: str, origin: str = '') -> Path:
    """
    Find a file that a descriptor or a user names.

    Parameters
    ----------
    path : str or Path
        Absolute, with ``~``, or relative.
    folder : Path or None
        Where a relative path is looked for first; None means the working folder. The folders of
        ``ROS2_CLASSIFY_MODEL_PATH`` follow.
    what : str
        What the file is, for the error: 'model file', 'label file'.
    origin : str
        Who names it, for the error: the descriptor's path as a rule.

    Returns
    -------
    Path
        The file, absolute.

    Raises
    ------
    ModelNotFoundError
        If it is nowhere to be found, or no plain file; the message lists where it was looked for.

    """
    # os.path answers for paths that can't exist, where Path raises: ~nobody, or far too long.
    named = Path(os.path.expanduser(path))
    if named.is_absolute():
        places = [named]
    else:
        folders = [Path.cwd() if folder is None else folder, *search_path()]
        # A folder that stands in both is looked in, and named in the error, once.
        places = list(dict.fromkeys(Path(place, named).absolute() for place in folders))
    for place in places:
        if os.path.isfile(place):
            return place
    prefix = f'{origin}: ' if origin else ''
    if '://' in str(path):
        raise ModelNotFoundError(
            f'{prefix}the {what} {path} is an address, and only files can be read; download it '
            'and give its path')
    tail = 'check the path' if named.is_absolute() else (
        f'check the name, or add its folder to {SEARCH_PATH_VARIABLE}')
    found = ' (a folder, not a file)' if any(os.path.isdir(place) for place in places) else ''
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
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def model_file(descriptor: ModelDescriptor) -> Path:
    """
    Return the network's file, found and checked.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Whose ``source`` names the file and, where it knows it, the sha256.

    Returns
    -------
    Path
        The file, absolute.

    Raises
    ------
    ModelNotFoundError
        If the file is nowhere to be found or can't be read.
    IntegrityError
        If its sha256 is not the declared one.

    """
    path = locate(descriptor.source.path, descriptor.folder, what='model file',
                  origin=descriptor.origin)
    expected = descriptor.source.sha256
    try:
        actual = sha256_of(path) if expected else None
    except OSError as error:
        raise ModelNotFoundError(
            f'{path}: the model file cannot be read: {error.strerror}') from error
    if actual != expected:
        raise IntegrityError(
            f'{path}: the sha256 is {actual}, but {descriptor.origin or descriptor.name} declares '
            f'{expected}; the file was changed, cut off, or is another version: get the right '
            'file, or correct the descriptor if you trust this one')
    return path
