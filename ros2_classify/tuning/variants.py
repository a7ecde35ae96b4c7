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

"""Variants with other numbers, made with `quantize` on the images; kept only if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
import re
import shutil
from typing import Any

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines.tuning_record import directory_of
from ros2_classify.errors import FetchError, Ros2ClassifyError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.quantize import Pixels, quantize_model, Small

_SMALL: dict[str, Small] = {'int8': 'int8', 'fp16': 'fp16'}


def make(
    declared: ModelDescriptor, wanted: Sequence[str], images: Sequence[Pixels], work: Path,
    say: Callable[[str], Any],
) -> tuple[list[str], dict[str, Path], list[str]]:
    """Write the variants; return those that are ready, their descriptors, and what failed."""
    ready: list[str] = []
    models: dict[str, Path] = {}
    failed: list[str] = []
    for name in wanted:
        if name not in _SMALL:
            # Another size needs no file.
            ready.append(name)
            continue
        say(f'making the {name} variant on {len(images)} images')
        output = work / f'{name}.onnx'
        try:
            made = quantize_model(
                declared, lambda: images, output, precision=_SMALL[name])
        except Ros2ClassifyError as error:
            failed.append(f'{name}: {error}')
            continue
        models[name] = made.descriptor
        ready.append(name)
    return ready, models, failed


def keep(descriptor: Path, variant: str, sha256: str) -> dict[str, str]:
    """Copy a variant to the records of its model; return what a record says of it."""
    directory = directory_of(sha256)
    model, target = descriptor.with_suffix('.onnx'), directory / f'{variant}.yaml'
    try:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, directory / f'{variant}.onnx')
        # Its source is the file beside it, wherever that is.
        text = re.sub(re.escape(str(descriptor.parent)) + '/?', '',
                      descriptor.read_text(encoding='utf-8'))
        target.write_text(text, encoding='utf-8')
    except OSError as error:
        raise FetchError(f'the variant {variant} cannot be kept: {error}') from error
    kept = directory / f'{variant}.onnx'
    return {'variant': variant, 'model': str(kept), 'descriptor': str(target),
            'sha256': sha256_of_file(kept)}
