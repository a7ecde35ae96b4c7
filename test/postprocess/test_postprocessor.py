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

"""The step from outputs to results: what a descriptor says for all decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from decoder_models import agree, on_image, run_model
import numpy as np
import pytest
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.descriptor_writer import mapping_of

# x1, y1, x2, y2, score, class: the second overlaps the first, the third is of another class.
ROWS = [(8, 8, 24, 24, 0.9, 1), (9, 8, 25, 24, 0.8, 1), (8, 9, 24, 25, 0.7, 0),
        (40, 40, 60, 60, 0.6, 0)]


def iou(a: Any, b: Any) -> float:
    """Return the intersection over union of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def suppressed(rows: Any, threshold: float, agnostic: bool) -> list[Any]:
    """Keep each row that no better one (of its class) overlaps."""
    kept: list[Any] = []
    for row in sorted(rows, key=lambda row: -row[4]):
        if all(iou(row, other) <= threshold or (not agnostic and row[5] != other[5])
               for other in kept):
            kept.append(row)
    return kept


@pytest.mark.parametrize('decoder', ['end_to_end', 'boxes_scores', 'yolo'])
@pytest.mark.parametrize(('nms', 'count'), [
    (None, 0), ('none', 4), ('per_class', 3), ('class_agnostic', 2)])
def test_suppression_as_the_descriptor_says(
        tmp_path: Path, decoder: str, nms: str | None, count: int) -> None:
    table = np.array(ROWS, np.float32)
    output: dict[str, Any] = {'decoder': decoder, **({'nms': nms} if nms else {})}
    scores = np.zeros((len(table), 2), np.float32)
    scores[np.arange(len(table)), table[:, 5].astype(int)] = table[:, 4]
    outputs = {'rows': table[np.newaxis]}
    if decoder == 'boxes_scores':
        outputs = {'boxes': table[np.newaxis, :, :4], 'scores': scores[np.newaxis]}
        output['normalized'] = False
    elif decoder == 'yolo':
        outputs = {'rows': np.concatenate((table[:, :4], scores), axis=1)[np.newaxis]}
        output.update(box_format='xyxy', axes='channels_last', objectness=False)
    result = run_model(tmp_path, outputs, output, nms_iou=0.5)
    # Without the key, rows of `end_to_end` are final.
    how = nms or ('none' if decoder == 'end_to_end' else 'per_class')
    expected = ROWS if how == 'none' else suppressed(ROWS, 0.5, how == 'class_agnostic')
    assert len(expected) == (count or {'none': 4, 'per_class': 3}[how])
    assert agree(result, on_image(expected))


def descriptor(output: dict[str, Any]) -> ModelDescriptor:
    """Return a descriptor with these outputs."""
    return ModelDescriptor.from_mapping({'source': {'path': 'a.onnx'}, 'output': output})


def test_a_descriptor_with_it_is_written_as_it_was_read() -> None:
    output = {'decoder': 'yolo', 'nms': 'class_agnostic', 'classes': 3}
    assert mapping_of(descriptor(output))['output'] == output
    assert descriptor(output).output.options == {'classes': 3}


@pytest.mark.parametrize(('output', 'words'), [
    ({'decoder': 'yolo', 'nms': 'agnostic'}, ['output.nms', 'none, per_class, class_agnostic']),
    ({'decoder': 'yolo', 'nms': True}, ['output.nms', 'none, per_class, class_agnostic']),
    ({'decoder': 'classification', 'nms': 'none'}, ['output.nms', 'detection', 'remove']),
    ({'nms': 'none'}, ['decoder is missing', 'nms'])])
def test_suppression_that_cannot_be(output: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DescriptorError) as caught:
        descriptor(output)
    for word in words:
        assert word in str(caught.value)
