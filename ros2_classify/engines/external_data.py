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
Files that hold a model's weights outside of the ONNX file: found, checked and verified.

A model is content that anybody may have written; links are the user's own. So a file of weights
must be, with all links resolved, below the directory of the model's path, below the directory of
the file that this path links to, or below a directory of ``EngineSettings.external_data``. The
second is what ``colcon build --symlink-install`` and the caches of model hubs need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
import logging
import mmap
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines.onnx_file import OnnxFile, read_onnx
from ros2_classify.errors import DescriptorError, EngineError, IntegrityError, UnsafeModelError
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
from ros2_classify.model.files import Verified, verify_file
from ros2_classify.paths import check_allowed

# Operators that carry, or name a file with, machine code of a provider.
_BINARIES = {('com.microsoft', 'EPContext'), ('trt.plugins', 'TRT_EngineOp'),
             ('com.microsoft.nchwc', 'EPContext')}
# ONNX Runtime's mark for weights in its own memory, whose "offset" is a memory address.
_MEMORY = '_ORT_MEM_ADDR_'
_LOGGER = logging.getLogger(__name__)
_WORD = 'EngineSettings.external_data (the server: external_data)'


def check_operators(path: Path, model: OnnxFile) -> None:
    """Refuse a model that holds machine code."""
    for operator in sorted(_BINARIES & set(model.operators)):
        raise UnsafeModelError(
            f'{path}: it holds machine code of a provider (the operator {"".join(operator[1:])}), '
            'which is never run; export the model as plain ONNX')


def weight_files(
    path: Path, model: OnnxFile, directories: Iterable[str] = (),
) -> dict[str, Path]:
    """Return the allowed files of weights by the model's names, links resolved, there or not."""
    own, real = path.parent.resolve(), Path(os.path.realpath(path)).parent
    allowed = [own, real, *(Path(directory).expanduser().resolve() for directory in directories)]
    places: dict[str, Path] = {}
    for location in model.external:
        if '\0' in location or not location.strip():
            raise UnsafeModelError(f'{path}: its weights are in a file without a name')
        if _MEMORY in location:
            raise UnsafeModelError(
                f'{path}: its weights are at a memory address ({location}), which is never '
                'read; export the model again')
        # Beside the link, as in the caches of model hubs, or beside the file that it leads to.
        found = list(dict.fromkeys(_place_of(location, base) for base in (own, real)))
        inside = [place for place in found if any(map(place.is_relative_to, allowed))]
        if not inside:
            raise UnsafeModelError(
                f'{path}: its weights are outside of its directory, in {location} ({found[0]}), '
                'which is not allowed; put them beside the model and export it again, or allow '
                f'the directory {found[0].parent} with {_WORD}')
        for place in inside:
            if not place.is_relative_to(own):
                check_allowed(place, 'weights file', str(path))
        there = [place for place in inside if place.exists()]
        if len(there) > 1 and not there[0].samefile(there[1]):
            raise EngineError(
                f'{path}: its weights {location} are both in {there[0]}, beside the link, and in '
                f'{there[1]}, beside the file that it leads to; remove the wrong one')
        place = (there or inside)[0]
        if there and not place.is_file():
            raise UnsafeModelError(
                f'{path}: its weights are in {location}, which is not a plain file')
        places[location] = place
    return places


def _place_of(location: str, directory: Path) -> Path:
    return Path(os.path.realpath(directory / PurePosixPath(location.replace('\\', '/'))))


def links_among(path: Path, places: Mapping[str, Path]) -> bool:
    """Return if links or a setting lead to weights elsewhere, which no runtime reads by itself."""
    own = path.parent.resolve()
    return any(place != own / location or not place.is_relative_to(own)
               for location, place in places.items())


def give_weights(
    path: Path, options: Any, places: Mapping[str, Path],
) -> list[np.memmap[Any, Any]]:
    """
    Give the options of a session the weights by their names; given one file, it needs all.

    ONNX Runtime keeps pointers only: keep what is returned until the session exists.
    """
    missing = [str(place) for place in places.values() if not place.is_file()]
    if missing:
        raise EngineError(
            f'{path}: its weights are in a second file that is missing: put {missing[0]} back')
    empty = [str(place) for place in places.values() if not place.stat().st_size]
    if empty:
        raise EngineError(f'{path}: its weights in {empty[0]} are empty: get the file again')
    contents = [np.memmap(place, np.uint8, 'r') for place in places.values()]
    options.add_external_initializers_from_files_in_memory(
        list(places), contents, list(map(len, contents)))
    return contents


def load_onnx(onnx: Any, path: Path, places: Mapping[str, Path]) -> Any:
    """Load a model with the package ``onnx`` and put its weights inside."""
    model = onnx.load(str(path), load_external_data=False)
    maps: dict[str, mmap.mmap | bytes] = {}
    for tensor in _tensors(onnx, model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entry = {item.key: item.value for item in tensor.external_data}
        location = entry.get('location', '')
        if location not in maps:
            with open(places[location], 'rb') as file:
                # An empty file cannot be mapped.
                maps[location] = (mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                                  if places[location].stat().st_size else b'')
        start = int(entry.get('offset') or 0)
        end = start + int(entry['length']) if entry.get('length') else len(maps[location])
        if not 0 <= start <= end <= len(maps[location]):
            raise EngineError(f'{places[location]}: the weights are cut off: get the file again')
        tensor.raw_data = maps[location][start:end]
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return model


def _tensors(onnx: Any, message: Any) -> Iterator[Any]:
    """Yield all tensors, wherever in a model they are."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for item in value if hasattr(value, '__len__') else (value,):
            if isinstance(item, onnx.TensorProto):
                yield item
            else:
                yield from _tensors(onnx, item)


def undeclared_weights(
    descriptor: ModelDescriptor, path: Path, directories: Iterable[str] = (),
) -> dict[str, Path]:
    """
    Verify weights against ``source.weights``; return those that are not there (not of archives).

    IntegrityError for a changed or missing file, DescriptorError for a name the model lacks.
    """
    source = descriptor.source
    if source.url or source.member is not None or not path.is_file():
        return {}
    if descriptor.format != 'onnx' or (source.sha256 is None and not source.weights):
        return {}
    try:
        model = read_onnx(path)
    except EngineError:
        return {}  # loading says why it cannot be read
    places = weight_files(path, model, directories)
    for name, sha256 in source.weights.items():
        if name not in places:
            raise DescriptorError(
                f'{descriptor.origin or descriptor.name}: source.weights names {name}, but the '
                f'weights of {path} are in {", ".join(places) or "the model file only"}; correct '
                'the names')
        if not places[name].is_file():
            raise IntegrityError(
                f'{path}: its weights are in a second file that is missing: put {places[name]} '
                'back')
        if (actual := sha256_of_file(places[name])) != sha256:
            raise IntegrityError(
                f'{places[name]}: the sha256 is {actual}, but {descriptor.origin} declares '
                f'{sha256} in source.weights; the file was changed, cut off, or is another '
                'version: get the right file, or correct the descriptor if you trust this one')
    return {name: place for name, place in places.items() if name not in source.weights}


def check_weights(
    descriptor: ModelDescriptor, path: Path, directories: Iterable[str] = (),
) -> None:
    """Verify a model's weights; warn if its sha256 says nothing of them."""
    if missing := undeclared_weights(descriptor, path, directories):
        _LOGGER.warning(
            '%s: the weights of the model are in %s, which source.sha256 does not cover; add to '
            'source: %s', descriptor.origin, ', '.join(missing), line_for(missing))


def line_for(places: Mapping[str, Path]) -> str:
    """Return the line of a descriptor that declares files of weights."""
    pairs = ', '.join(f'{name}: {sha256_of_file(place) if place.is_file() else "(missing)"}'
                      for name, place in places.items())
    return f'weights: {{{pairs}}}'


def verify(descriptor: ModelDescriptor) -> Verified:
    """Verify a model's files by their sha256, without loading or downloading it."""
    verified = verify_file(descriptor)
    if verified.model is None or verified.state not in ('ok', 'no sha256'):
        return verified
    try:
        missing = undeclared_weights(descriptor, Path(verified.model))
    except IntegrityError as error:
        return replace(verified, state='damaged', error=str(error))
    except DescriptorError as error:
        return replace(verified, state='unusable', error=str(error))
    except EngineError as error:
        # It may be loaded with the setting that the error names.
        return replace(verified, state='no sha256', error=str(error))
    if not missing or verified.state != 'ok':
        return verified
    return replace(verified, state='no sha256', error=(
        f'the weights are in {", ".join(missing)}, which source.sha256 does not cover; add to '
        f'source: {line_for(missing)}'))


def verify_entry(name: str, path: Path) -> Verified:
    """Verify the files of a catalogue entry, whose descriptor may be invalid."""
    try:
        return verify(load_descriptor(path))
    except DescriptorError as error:
        return Verified(name, 'unusable', error=str(error))
