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

"""The catalogue of models, and what a ``model`` setting means."""

from __future__ import annotations

from collections.abc import Iterable
import difflib
import os
from pathlib import Path, PurePath
import re

from ros2_classify.download.options import default_import_directory
from ros2_classify.download.url import (
    is_archive_name, is_sha256, is_url, problem_with, redact, safe_name, split_facts)
from ros2_classify.errors import DescriptorError, FetchError, ModelNotFoundError
from ros2_classify.limits import kind_of
from ros2_classify.model.companion_files import with_companion_files
from ros2_classify.model.descriptor import (
    Format, load_descriptor, ModelDescriptor, SAVED_MODEL_FILE, SUFFIXES)
from ros2_classify.model.source import Source
from ros2_classify.model.stages import beside
from ros2_classify.paths import locate, search_path, SEARCH_PATH_VARIABLE, shipped_directory

# Suffixes; offset and bytes of the signature (empty: unknown); what it is; what to do.
_KINDS = (
    (('.tflite',), 4, b'TFL3', 'a TensorFlow Lite model',
     'convert it with "python3 -m tf2onnx.convert --tflite FILE --output FILE.onnx"'),
    (('.h5', '.hdf5', '.keras'), 0, b'\x89HDF', 'a Keras model',
     "export a SavedModel in Keras with model.export('directory'), and use that directory"),
    (('.pt', '.pth'), 0, b'PK\x03\x04', 'a PyTorch checkpoint, or another zip archive',
     'export it: one of Ultralytics with "yolo export model=FILE format=onnx", others with '
     'torch.onnx.export; for an archive, set source.member in a descriptor'),
    (('.engine', '.plan', '.trt'), 0, b'', 'a TensorRT engine',
     'use the ONNX file that it was built from, with provider: tensorrt'),
)


# How the weights of Ultralytics are called.
_ULTRALYTICS = re.compile(r'(?:yolo(?:v?\d|_nas|-world)|rtdetr-|best|last)[\w.-]*', re.IGNORECASE)


def _export_line(name: str) -> str:
    """Return how a model of Ultralytics becomes a file that runs; empty for other names."""
    stem = name.removesuffix('.pt')
    if not _ULTRALYTICS.fullmatch(stem):
        return ''
    return (f'; if it is one of Ultralytics, export it with "yolo export model={stem}.pt '
            f'format=onnx" and name the file {stem}.onnx')


def by_name(name: str) -> str | None:
    """Return what a file is by the suffix of its name."""
    suffix = PurePath(name).suffix.lower()
    return next((f'{what}; {step.replace("FILE", name)}' for suffixes, _, _, what, step in _KINDS
                 if suffix in suffixes), None)


def by_content(head: bytes) -> str | None:
    """Return what a file is by its first bytes."""
    return next((f'{what}; {step}' for _, start, magic, what, step in _KINDS
                 if magic and head[start:start + len(magic)] == magic), None)


_SUFFIXES = ('.yaml', '.yml')
_FORMS = ('a model is a name from the catalogue, a descriptor file (.yaml), or a model file '
          '(.onnx, .pb, or the directory of a SavedModel)')


def directories() -> tuple[Path, ...]:
    """Return the catalogue's directories, highest priority first."""
    candidates = list(search_path())
    try:
        candidates.append(default_import_directory())
    except FetchError:
        pass  # without a home directory there are no imported models
    if shipped := shipped_directory():
        candidates.append(shipped)
    return tuple(dict.fromkeys(place.absolute() for place in candidates if place.is_dir()))


def entries() -> dict[str, Path]:
    """Return the descriptor files of all models by name."""
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
    """Return the descriptor file of a model in the catalogue."""
    known = entries()
    if name in known:
        return known[name]
    if variant_name(name) in known:
        return known[variant_name(name)]
    base, _, variant = name.partition(':')
    if variant and base in known:
        raise ModelNotFoundError(
            f'the model {base} has no variant {variant!r} in the catalogue; create one in int8 or '
            f'fp16: python -m ros2_classify models quantize {base} --images DIRECTORY -o '
            f'{variant_name(name)}.onnx, in a directory of {SEARCH_PATH_VARIABLE}')
    close = difflib.get_close_matches(name.strip().lower(), known, n=3, cutoff=0.65)
    if name != name.strip() and os.path.exists(name.strip()):
        close = [f'{name.strip()}, without the space']
    near = f' (did you mean {" or ".join(close)}?)' if close else ''
    near += _export_line(name)
    there = f'the catalogue has {", ".join(known)}' if known else (
        f'the catalogue is empty (searched: {SEARCH_PATH_VARIABLE} and the package)')
    raise ModelNotFoundError(f'there is no model named {name!r}{near}; {there}; {_FORMS}')


def variant_name(name: str) -> str:
    """Return the catalogue's name for a variant of a model."""
    return '-'.join(name.split(':', 1))


def resolve(model: str | Path | ModelDescriptor) -> ModelDescriptor:
    """Turn a ``model`` setting into a descriptor."""
    if isinstance(model, ModelDescriptor):
        return model
    text = str(model)
    path = Path(os.path.expanduser(text))
    suffix = path.suffix.lower()
    if not text.strip():
        raise ModelNotFoundError(f'no model is named; {_FORMS}')
    if is_url(text):
        return _from_url(text)
    if suffix in _SUFFIXES:
        return load_descriptor(locate(text, None, what='descriptor file'))
    if not isinstance(model, Path) and variant_name(text) in (known := entries()):
        # Names take precedence over files in the working directory.
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
    # Names have no separator, so this must be a file.
    if isinstance(model, Path) or os.sep in text or os.path.exists(path):
        if os.path.isfile(path) and (known_as := by_name(text)):
            raise ModelNotFoundError(f'{text} is {known_as}')
        kind = 'not a model:' if os.path.exists(path) else 'no such file:'
        if not path.is_dir() and (what := kind_of(path)):
            kind = f'{what}, not a model:'
        if inside := _models_in(path):
            raise ModelNotFoundError(
                f'{text} is a directory, not a model; name one in it: {", ".join(inside)}')
        archive = ('; for an archive write a descriptor with source: {path: '
                   f'{path.name}, member: ...}}' if is_archive_name(path.name) else '')
        raise ModelNotFoundError(f'{kind} {text}{_export_line(path.name)}; {_FORMS}{archive}')
    return load_descriptor(find(text))


def _models_in(directory: Path) -> list[str]:
    """Return the first models in a directory, as they are named."""
    try:
        found = sorted(each for each in directory.iterdir()
                       if each.suffix in (*_SUFFIXES, '.onnx', '.pb') and each.is_file())
    except OSError:
        return []
    return [str(each) for each in found[:5]]


def stage_models(descriptor: ModelDescriptor) -> dict[str, ModelDescriptor]:
    """Return the descriptors of a cascade's stages by their names."""
    found = {}
    for stage in descriptor.stages:
        try:
            found[stage.name] = resolve(beside(stage.model, descriptor.directory))
        except ModelNotFoundError as error:
            raise ModelNotFoundError(
                f'{descriptor.origin}: stages.{stage.name}.model: {error}') from error
        if found[stage.name].stages:
            raise DescriptorError(
                f'{descriptor.origin}: stages.{stage.name}.model: {stage.model} has stages of its '
                'own; give a model without')
    return found


def encoder_model(descriptor: ModelDescriptor) -> ModelDescriptor | None:
    """Return the descriptor of the model that sees the frames first, if there is one."""
    if descriptor.clip is None or descriptor.clip.encoder is None:
        return None
    try:
        found = resolve(beside(descriptor.clip.encoder, descriptor.directory))
    except ModelNotFoundError as error:
        raise ModelNotFoundError(f'{descriptor.origin}: clip.encoder: {error}') from error
    if found.clip is not None:
        raise DescriptorError(
            f'{descriptor.origin}: clip.encoder: {descriptor.clip.encoder} sees time itself; give '
            'a model of single images')
    return found


def with_stages(descriptors: Iterable[ModelDescriptor]) -> list[ModelDescriptor]:
    """Return descriptors, and after each one those of its stages or its encoder, each once."""
    found: list[ModelDescriptor] = []
    for descriptor in descriptors:
        encoder = encoder_model(descriptor)
        found += [each for each in (descriptor, *stage_models(descriptor).values(),
                                    *([encoder] if encoder else ())) if each not in found]
    return found


def _model_format(path: Path) -> Format | None:
    """Return the format of a model file by its name, or of a SavedModel's directory; else None."""
    places = [path, *(directory / path for directory in search_path())]
    if path.name == SAVED_MODEL_FILE or any(
            os.path.isfile(place / SAVED_MODEL_FILE) for place in places):
        return 'saved_model'
    return SUFFIXES.get(path.suffix.lower())


def _from_url(text: str) -> ModelDescriptor:
    """Return a descriptor with nothing but a URL and what is given after it."""
    url, sha256, member = split_facts(text)
    if problem := problem_with(url):
        raise ModelNotFoundError(f'the URL {redact(url)} {problem}')
    if sha256 is not None and not is_sha256(sha256):
        raise ModelNotFoundError(
            f'the URL {redact(url)} ends with "#sha256={sha256}", but a sha256 has 64 '
            'hexadecimal digits; copy it from sha256sum')
    source = Source(sha256=sha256, url=url, member=member)
    path = Path(source.name)
    # A directory in an archive must be a SavedModel, which may also be named by its file.
    is_saved = bool(member) and (not path.suffix or path.name == SAVED_MODEL_FILE)
    format_ = 'saved_model' if is_saved else SUFFIXES.get(path.suffix.lower())
    if format_ is None:
        raise ModelNotFoundError(
            f'the URL {redact(url)} does not end with {" or ".join(SUFFIXES)}; for an archive '
            'append "#sha256=...&member=..." with the path of the model in it; otherwise write a '
            'descriptor (.yaml) with url:, sha256: and format:')
    return ModelDescriptor(
        name=safe_name(path.stem), source=source, format=format_, origin=redact(url))
