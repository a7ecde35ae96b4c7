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

"""Check what a model file refers to before ONNX Runtime opens it."""

from __future__ import annotations

from collections.abc import Iterable
import os
from pathlib import Path, PurePosixPath

from ros2_classify.engines.onnx_file import OnnxFile
from ros2_classify.errors import UnsafeModelError
from ros2_classify.paths import check_allowed

# Operators that carry, or name a file with, machine code of a provider.
_BINARIES = {('com.microsoft', 'EPContext'), ('trt.plugins', 'TRT_EngineOp'),
             ('com.microsoft.nchwc', 'EPContext')}
_WORD = 'EngineSettings.external_data (the server: external_data)'


def place_of(location: str, directory: Path) -> Path:
    """Return the file of weights by its name in the model, links resolved."""
    return Path(os.path.realpath(directory / PurePosixPath(location.replace('\\', '/'))))


def check_safe(path: Path, model: OnnxFile, directories: Iterable[str] = ()) -> dict[str, Path]:
    """
    Refuse a model that refers to files elsewhere, or holds machine code.

    If a file of weights is outside of the model's directory, return all of them by the names that
    the model has for them, else nothing.
    """
    for operator in sorted(_BINARIES & set(model.operators)):
        raise UnsafeModelError(
            f'{path}: it holds machine code of a provider (the operator {"".join(operator[1:])}), '
            'which is never run; export the model as plain ONNX')
    places: dict[str, Path] = {}
    own = path.parent.resolve()
    allowed = [own, *(Path(directory).expanduser().resolve() for directory in directories)]
    for location in model.external:
        if '\0' in location or not location.strip():
            raise UnsafeModelError(f'{path}: its weights are in a file without a name')
        place = place_of(location, own)
        if not any(place.is_relative_to(directory) for directory in allowed):
            raise UnsafeModelError(
                f'{path}: its weights are outside of its directory, in {location} ({place}), '
                'which is not allowed; put them beside the model and export it again, or allow '
                f'the directory {place.parent} with {_WORD}')
        if not place.is_relative_to(own):
            check_allowed(place, 'weights file', str(path))
        places[location] = place
    return {} if all(place.is_relative_to(own) for place in places.values()) else places
