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

"""The decoder of NonMaxSuppression's indices against a loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from decoder_models import agree, MODEL, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['selected_indices']


def numbers(count: int = 30, classes: int = 5, picks: int = 20, seed: int = 0) -> dict[str, Any]:
    """Return boxes as y1, x1, y2, x2, scores, and random picks of them."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (1, count, 4)).astype(np.float32)
    scores = rng.uniform(0, 1, (1, classes, count)).astype(np.float32)
    indices = np.stack((np.zeros(picks), rng.integers(0, classes, picks),
                        rng.integers(0, count, picks)), axis=1)
    return {'boxes': corners, 'scores': scores, 'indices': indices.astype(np.int32)}


def by_hand(outputs: Any, threshold: float = 0.3) -> list[tuple[float, ...]]:
    """Look each triple up."""
    boxes, scores, indices = outputs.values()
    found = []
    for batch, class_id, row in indices.reshape(-1, 3).tolist():
        if min(batch, class_id, row) < 0 or scores[batch, class_id, row] < threshold:
            continue
        y1, x1, y2, x2 = boxes[batch, row].tolist()
        found.append((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2),
                      float(scores[batch, class_id, row]), class_id))
    return found


@pytest.mark.parametrize('batch', [True, False])
@pytest.mark.parametrize('dtype', [np.int32, np.int64])
@pytest.mark.parametrize('names', [
    ('boxes', 'scores', 'indices'),
    # Those of Tiny YOLOv3 in the ONNX model zoo.
    ('yolonms_layer_1/ExpandDims_1:0', 'yolonms_layer_1/ExpandDims_3:0',
     'yolonms_layer_1/concat_2:0')])
def test_the_loop_agrees(tmp_path: Path, batch: bool, dtype: Any, names: Any) -> None:
    outputs = dict(zip(names, numbers().values()))
    # A row of padding.
    outputs[names[2]][3] = -1
    outputs[names[2]] = outputs[names[2]].astype(dtype)
    if batch:
        outputs[names[2]] = outputs[names[2]][np.newaxis]
    result = run_model(tmp_path, outputs, {'decoder': 'selected_indices'},
                       labels=['a', 'b', 'c', 'd', 'e'])
    assert agree(result, on_image(by_hand(outputs)))


def test_source_pixels_and_declared_names(tmp_path: Path) -> None:
    outputs = numbers()
    result = run_model(tmp_path, outputs, {
        'decoder': 'selected_indices', 'units': 'source',
        'outputs': {'boxes': 'boxes', 'scores': 'scores:0', 'indices': 'indices'}})
    assert agree(result, by_hand(outputs))


def test_normalized_boxes(tmp_path: Path) -> None:
    outputs = numbers()
    expected = on_image(by_hand(outputs))
    outputs['boxes'] /= 64
    result = run_model(tmp_path, outputs, {'decoder': 'selected_indices', 'units': 'normalized'})
    assert agree(result, expected)


def decode(given: Any, threshold: float = 0.3, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(
        given, DECODER.parse_options(options), DecodeContext(MODEL, threshold))


def test_nothing_selected() -> None:
    for shape in ((0, 3), (1, 0, 3)):
        outputs = {**numbers(), 'indices': np.zeros(shape, np.int64)}
        assert decode(outputs).boxes.shape == (0, 4)


def test_what_is_not_finite_is_dropped() -> None:
    outputs = numbers()
    outputs['indices'] = np.array([[0, 0, row] for row in range(30)], np.int64)
    outputs['scores'][:] = 0.9
    outputs['scores'][0, 0, :2] = np.nan, np.inf
    outputs['boxes'][0, 2, 1], outputs['boxes'][0, 3, 2] = np.nan, np.inf
    with np.errstate(all='raise', under='ignore'):
        assert len(decode(outputs)) == 26


@pytest.mark.parametrize(('changes', 'words'), [
    ({'boxes': np.zeros((1, 30, 5), 'f')}, ['boxes', 'output.outputs.boxes']),
    ({'boxes': np.zeros((2, 30, 4), 'f')}, ["'boxes' has the shape [2, 30, 4]"]),
    ({'scores': np.zeros((1, 30, 5), 'f')}, ["'scores' has the shape [1, 30, 5]",
                                             '[1, classes, 30]']),
    ({'indices': np.zeros((4, 2), 'i8')}, ['indices', 'output.outputs.indices']),
    ({'indices': np.zeros((2, 4, 3), 'i8')}, ["'indices' has the shape [2, 4, 3]"]),
    ({'indices': np.array([[0, 5, 0]])}, ['[0, 5, 0]', 'below [1, 5, 30]']),
    ({'indices': np.array([[1, 0, 0]])}, ['[1, 0, 0]', 'below [1, 5, 30]'])])
def test_outputs_that_do_not_fit(changes: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode({**numbers(), **changes})
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    assert DECODER.class_count(numbers(), DECODER.parse_options({})) == 5


@pytest.mark.parametrize(('options', 'word'), [
    ({'units': 'px'}, 'model, source, normalized'), ({'box_format': 'yx'}, 'yxyx'),
    ({'outputs': {'rows': 'a'}}, 'unknown key')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)


def test_the_old_word_for_model_pixels_still_works_with_one_warning(
        caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        old = {'units': 'network'}  # words: old
        options = DECODER.parse_options(old, 'old_selected_indices.yaml')
        assert options.units == 'model'
    assert [record.getMessage() for record in caplog.records] == [
        'old_selected_indices.yaml, units: network was renamed to model and works '  # words: old
        'until the next release; write model']
