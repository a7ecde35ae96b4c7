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

"""What the numbers behind a box's classes are: key points, coefficients of masks, an angle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ros2_classify.autoconfig.evidence import Evidence, Hypothesis
from ros2_classify.engines.base import TensorSpec
from ros2_classify.limits import read_literal

# As all published segmenters have it.
_COEFFICIENTS = 32
_MOST_POINTS = 1000
# Families by their number of points, and the class they are points of.
_FAMILIES = {17: ('coco', 'person'), 5: ('face', 'face'), 21: ('hand', 'hand')}


@dataclass(frozen=True)
class Tail:
    """
    Numbers behind the classes.

    ``options`` are those of the decoder yolo; `in_rows` returns those of ``end_to_end``.
    """

    count: int = 0
    word: str = ''
    options: Mapping[str, Any] = field(default_factory=dict)
    details: tuple[str, ...] = ()

    @classmethod
    def masks(cls, prototypes: TensorSpec) -> Tail:
        """Return coefficients, as many as there are prototypes."""
        return cls(
            int(prototypes.shape[1] or 0), 'coefficients', {'prototypes': prototypes.name},
            (f'output.prototypes: {prototypes.name}, so that {prototypes.shape[1]} numbers of '
             'each box are coefficients of masks',))

    @classmethod
    def points(cls, evidence: Evidence, count: int, numbers: int) -> Tail:
        """Return key points, with names where the file or their number tells them."""
        names, why = _names(evidence, count)
        return cls(
            count * numbers, 'keypoints',
            {'keypoints': [count, numbers], **({'keypoint_names': names} if names else {})},
            (f'output.keypoints: [{count}, {numbers}], {why}',))

    @classmethod
    def angle(cls) -> Tail:
        """Return an angle."""
        return cls(1, 'angle', {'angle': True},
                   ('output.angle: true, in radians from x towards y',))

    def in_rows(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of ``end_to_end`` for rows of box, score, class and this."""
        if not self.count:
            return dict(options)
        more = {key: value for key, value in self.options.items()
                if key not in ('angle', 'prototypes')}
        outputs = dict(options.get('outputs', {}))
        if 'prototypes' in self.options:
            outputs['prototypes'] = self.options['prototypes']
        return {**options, 'outputs': outputs,
                'columns': ['box', 'score', 'class', self.word or 'rest'], **more}


def of_task(evidence: Evidence) -> Tail | None:
    """Return what the exporter's task has behind the classes; None for an unknown task."""
    task = evidence.exporter_task
    if task in ('', 'detect'):
        return Tail()
    if task == 'obb':
        return Tail.angle()
    if task == 'segment':
        found = prototypes(evidence)
        # Without prototypes the coefficients mean nothing, but there are as many.
        return Tail.masks(found) if found else Tail(_COEFFICIENTS)
    shape = _literal(evidence.metadata.get('kpt_shape', ''))
    if task == 'pose' and isinstance(shape, (list, tuple)) and len(shape) == 2 and all(
            isinstance(each, int) for each in shape) and 0 < shape[0] <= _MOST_POINTS \
            and shape[1] in (2, 3):
        return Tail.points(evidence, *shape)
    return None


def prototypes(evidence: Evidence) -> TensorSpec | None:
    """Return the output with prototypes of masks."""
    found = [tensor for tensor in evidence.outputs
             if len(tensor.shape) == 4 and tensor.shape[1] == _COEFFICIENTS]
    return found[0] if len(found) == 1 else None


def with_masks(hypothesis: Hypothesis, masks: Sequence[TensorSpec]) -> Hypothesis:
    """Return a hypothesis of queries with the masks beside them."""
    if len(masks) != 1 or hypothesis.decoder != 'detr':
        return hypothesis
    outputs = {**hypothesis.options['outputs'], 'masks': masks[0].name}
    return replace(
        hypothesis, options={**hypothesis.options, 'outputs': outputs},
        details=(*hypothesis.details,
                 f'output.outputs.masks: {masks[0].name}, because it has a map for each query'))


def _names(evidence: Evidence, count: int) -> tuple[str | list[str], str]:
    """Return names of key points, '' for none, and how they are known."""
    stated = _literal(evidence.metadata.get('kpt_names', ''))
    if isinstance(stated, dict):
        stated = next(iter(stated.values()), None)
    if isinstance(stated, (list, tuple)) and len(stated) == count and all(
            isinstance(name, str) and name.strip() for name in stated):
        return list(stated), 'their names as the metadata has them'
    family, kind = _FAMILIES.get(count, ('', ''))
    labels = evidence.stated_labels
    classes = [name for _, name in labels.items()] if labels else [kind]
    if family and [name.strip().lower() for name in classes] == [kind]:
        return family, f'which are those of a {kind}, as {count} points of one class usually are'
    return '', 'whose names the file does not tell'


def _literal(text: str) -> Any:
    try:
        return read_literal(text, 1 << 16)
    except ValueError:
        return None
