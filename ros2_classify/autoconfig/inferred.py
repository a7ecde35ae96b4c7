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

"""What exporters write into a model's metadata: class names, the task, the size of the input."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, TYPE_CHECKING

from ros2_classify.autoconfig.evidence import plain
from ros2_classify.autoconfig.named_detectors import resizes_itself, usual_size
from ros2_classify.errors import LabelsError
from ros2_classify.model.descriptor import Task
from ros2_classify.model.input_spec import Size
from ros2_classify.model.labels import Labels

if TYPE_CHECKING:
    from ros2_classify.engines.base import TensorSpec

_MAX_METADATA = 1 << 20
_MAX_NAME = 100
_NAME_KEYS = ('names', 'class_names', 'classes', 'labels', 'id2label', 'categories')
_SIZE_KEYS = ('imgsz', 'img_size', 'image_size', 'input_size')
_TASK_WORDS: dict[str, Task] = {
    'classify': 'classification', 'classification': 'classification',
    'image-classification': 'classification', 'detect': 'detection', 'detection': 'detection',
    'object-detection': 'detection', 'segment': 'detection', 'pose': 'detection',
    'obb': 'detection', 'semantic': 'segmentation',
    'feature-extraction': 'embedding', 'image-feature-extraction': 'embedding',
    'semantic-segmentation': 'segmentation', 'image-segmentation': 'segmentation'}


def size_of(outputs: Sequence[TensorSpec], metadata: Mapping[str, str],
            inferred: list[str]) -> Size:
    """Infer the size for a model that takes any, from metadata or outputs; None if unknown."""
    key = next((key for key in _SIZE_KEYS if metadata.get(key)), _SIZE_KEYS[0])
    value = _literal(metadata.get(key, ''))
    sides = [value, value] if isinstance(value, int) else value
    if (isinstance(sides, (list, tuple)) and len(sides) == 2
            and all(isinstance(side, int) and 1 <= side <= 16384 for side in sides)):
        size, stride = (sides[1], sides[0]), _literal(metadata.get('stride', ''))
        if isinstance(stride, int) and 1 < stride <= 256 and any(side % stride for side in size):
            # The grids of such a model fit together only in whole strides.
            size = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
            inferred.append(f'input.size: {size[0]}x{size[1]}, the {key} in the metadata of the '
                            f'file, rounded up to its stride of {stride}')
        else:
            inferred.append(
                f'input.size: {size[0]}x{size[1]}, the {key} in the metadata of the file')
        return size
    if any(plain(tensor.name) == 'detection_boxes' for tensor in outputs):
        inferred.append('input.size: source, because TensorFlow Object Detection models resize '
                        'the image themselves')
        return 'source'
    if resizes_itself(outputs):
        inferred.append('input.size: source, because the detectors of torchvision resize the '
                        'image themselves')
        return 'source'
    if usual := usual_size(outputs):
        size, why = usual
        inferred.append(f'input.size: {size[0]}x{size[1]}, because {why}; the model takes any')
        return size
    return None


def labels_of(metadata: Mapping[str, str]) -> Labels | None:
    """
    Return the class names that the exporter wrote into the metadata; None if there are none.

    A list of names, a mapping from ids to names (in Python's or JSON's spelling), or names
    separated by lines or commas; whole numbers are names too.
    """
    for key in _NAME_KEYS:
        text = metadata.get(key, '')
        value = _literal(text)
        if not isinstance(value, (list, tuple, dict)) and len(text) <= _MAX_METADATA:
            value = _listed(text)
        if value is None:
            continue
        try:
            return Labels.from_data(value)
        except LabelsError:
            continue
    return None


def task_of(metadata: Mapping[str, str]) -> Task | None:
    """Return the task that the exporter wrote into the metadata; None if absent or unknown."""
    return _TASK_WORDS.get(metadata.get('task', '').strip().lower().replace('_', '-'))


def _literal(text: str) -> Any:
    """Return the value of a Python literal, which lists and mappings in JSON are as well."""
    if not text or len(text) > _MAX_METADATA:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _listed(text: str) -> list[str] | None:
    """Return names separated by lines or commas; None for anything else."""
    names = [name.strip() for name in (
        text.splitlines() if '\n' in text.strip() else text.split(','))]
    while names and not names[-1]:
        names.pop()
    whole = len(names) > 1 and all(
        0 < len(name) <= _MAX_NAME and not set(name) & set('{}[]=') for name in names)
    return names if whole else None
