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

"""Which models are known by name, and what a ``model`` setting means."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from ros2_classify.download.options import default_import_directory
from ros2_classify.download.url import (
    is_archive_name, is_sha256, is_url, problem_with, redact, safe_name, split_facts)
from ros2_classify.errors import FetchError, ModelNotFoundError
from ros2_classify.model.descriptor import (
    Format, load_descriptor, ModelDescriptor, SAVED_MODEL_FILE, Source, SUFFIXES)
from ros2_classify.model.foreign_formats import by_name
from ros2_classify.model.companion_files import with_companion_files
from ros2_classify.paths import (
    locate, search_path, SEARCH_PATH_VARIABLE, shipped_directory)

_SUFFIXES = ('.yaml', '.yml')
_FORMS = ('a model is a name from the catalogue, a descriptor file (.yaml), or a model file '
          '(.onnx, .pb, or the directory of a SavedModel)')


def directories() -> tuple[Path, ...]:
    """
    Return the catalogue's directories.

    Returns
    -------
    tuple of Path
        Those of ``ROS2_CLASSIFY_MODEL_PATH`` in its order, that of imported models, then the
        shipped one; only those that exist. A name in an earlier directory hides the same name in a
        later one.

    """
    candidates = list(search_path())
    try:
        candidates.append(default_import_directory())
    except FetchError:
        pass  # without a home directory nothing was imported either
    if shipped := shipped_directory():
        candidates.append(shipped)
    return tuple(dict.fromkeys(place.absolute() for place in candidates if place.is_dir()))


def entries() -> dict[str, Path]:
    """
    Return all models known by name.

    Returns
    -------
    dict of str to Path
        Descriptor files by name, names in alphabetical order. A name is the file's stem; the
        files are not opened.

    """
    found: dict[str, Path] = {}
    for directory in directories():
        for path in sorted(directory.iterdir()):
            if path.suffix in _SUFFIXES and path.is_file():
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def names() -> tuple[str, ...]:
    """Return the names of all models in the catalogue, in alphabetical order."""
    return tuple(entries())


def find(name: str) -> Path:
    """
    Return the descriptor file of a model in the catalogue.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    Path
        The descriptor file, absolute.

    Raises
    ------
    ModelNotFoundError
        If there is no such name; the message says which are near, which there are, and what
        else a model can be.

    """
    known = entries()
    if name in known:
        return known[name]
    if variant_name(name) in known:
        return known[variant_name(name)]
    base, _, variant = name.partition(':')
    if variant and base in known:
        raise ModelNotFoundError(
            f'the model {base} has no variant {variant!r} in the catalogue; make one in int8 or '
            f'fp16: python -m ros2_classify models quantize {base} --images DIRECTORY -o '
            f'{variant_name(name)}.onnx, in a directory of {SEARCH_PATH_VARIABLE}')
    close = difflib.get_close_matches(name, known, n=3)
    near = f' (did you mean {" or ".join(close)}?)' if close else ''
    there = f'the catalogue has {", ".join(known)}' if known else (
        f'the catalogue is empty (looked in {SEARCH_PATH_VARIABLE} and in what the package ships)')
    raise ModelNotFoundError(f'there is no model named {name!r}{near}; {there}; {_FORMS}')


def variant_name(name: str) -> str:
    """
    Return the catalogue's name for a variant of a model.

    Parameters
    ----------
    name : str
        Such as ``mobilenetv2-12:int8``.

    Returns
    -------
    str
        ``mobilenetv2-12-int8``: a variant is an entry of its own, named so.

    """
    return '-'.join(name.split(':', 1))


def resolve(model: str | Path | ModelDescriptor) -> ModelDescriptor:
    """
    Turn a ``model`` setting into a descriptor.

    Parameters
    ----------
    model : str, Path or ModelDescriptor
        A name from the catalogue (``NAME:VARIANT`` is short for the entry ``NAME-VARIANT``), a
        descriptor file (``.yaml``, ``.yml``), a model file (``.onnx``, a frozen graph's
        ``.pb``, a SavedModel's directory, looked for from the working directory and in the directories of
        ``ROS2_CLASSIFY_MODEL_PATH``), the address of a model file, whose sha256 may follow as
        ``#sha256=…``, or a descriptor, which is returned as it is.

    Returns
    -------
    ModelDescriptor
        For a bare model file, one that declares nothing but the file and what lies beside it
        (`ros2_classify.model.companion_files`); `ros2_classify.autoconfig.complete.complete` infers the rest from the
        model.

    Raises
    ------
    ModelNotFoundError
        If there is no such name or file.
    DescriptorError
        If the descriptor is wrong.

    """
    if isinstance(model, ModelDescriptor):
        return model
    text = str(model)
    path = Path(os.path.expanduser(text))
    suffix = path.suffix.lower()
    if not text.strip():
        raise ModelNotFoundError(f'no model is named; {_FORMS}')
    if is_url(text):
        return _from_address(text)
    if suffix in _SUFFIXES:
        return load_descriptor(locate(text, None, what='descriptor file'))
    if not isinstance(model, Path) and variant_name(text) in (known := entries()):
        # Whatever else in the working directory has the same name.
        return load_descriptor(known[variant_name(text)])
    format_ = _model_format(path)
    if format_ is not None:
        if format_ == 'saved_model' and path.name == SAVED_MODEL_FILE:
            path = path.parent
        located = locate(path, None, what='model file', or_directory=format_ == 'saved_model')
        name = located.name if located.is_dir() else located.stem
        bare = ModelDescriptor(
            name=name, source=Source(str(located)), format=format_, origin=str(located),
            directory=located.parent)
        return with_companion_files(bare, located)
    # A name never holds a separator, so this can only have been meant as a file.
    if isinstance(model, Path) or os.sep in text or os.path.exists(path):
        if os.path.isfile(path) and (known_as := by_name(text)):
            raise ModelNotFoundError(f'{text} is {known_as}')
        kind = 'this is no model:' if os.path.exists(path) else 'there is no file'
        archive = ('; for an archive write a descriptor that says source: {path: '
                   f'{path.name}, member: ...}}' if is_archive_name(path.name) else '')
        raise ModelNotFoundError(f'{kind} {text}; {_FORMS}{archive}')
    return load_descriptor(find(text))


def _model_format(path: Path) -> Format | None:
    """Return the format of what looks like a model by its name, or is a SavedModel's directory."""
    places = [path, *(directory / path for directory in search_path())]
    if path.name == SAVED_MODEL_FILE or any(
            os.path.isfile(place / SAVED_MODEL_FILE) for place in places):
        return 'saved_model'
    return SUFFIXES.get(path.suffix.lower())


def _from_address(text: str) -> ModelDescriptor:
    """Return a descriptor that declares nothing but an address, and what is given after it."""
    url, sha256, member = split_facts(text)
    if problem := problem_with(url):
        raise ModelNotFoundError(f'the address {redact(url)} {problem}')
    if sha256 is not None and not is_sha256(sha256):
        raise ModelNotFoundError(
            f'the address {redact(url)} ends with "#sha256={sha256}", but a sha256 has 64 '
            'hexadecimal digits; give it as sha256sum prints it')
    source = Source(sha256=sha256, url=url, member=member)
    path = Path(source.name)
    # A directory in an archive can only be a SavedModel, which may be named by the file in it, too.
    is_saved = bool(member) and (not path.suffix or path.name == SAVED_MODEL_FILE)
    format_ = 'saved_model' if is_saved else SUFFIXES.get(path.suffix.lower())
    if format_ is None:
        raise ModelNotFoundError(
            f'the address {redact(url)} does not end with {" or ".join(SUFFIXES)}; for an archive '
            'add "#sha256=...&member=..." with the model that is in it, for anything else write '
            'a descriptor (.yaml) that says url:, sha256: and format:')
    return ModelDescriptor(
        name=safe_name(path.stem), source=source, format=format_, origin=redact(url))
