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

"""The decoder of TensorFlow's detection outputs against a loop over the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import OutputError

DECODER = DECODERS['tf_detection']
SIZE = (300, 200)
USUAL = ('detection_boxes', 'detection_classes', 'detection_scores', 'num_detections')


def decode(given: Any, threshold: float = 0.5, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(
        given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def random_outputs(names: Any = USUAL, count: float = 10, rows: int = 10, seed: int = 0) -> Any:
    """Return outputs as such a model gives them: boxes, classes, scores, count."""
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(-0.1, 1.1, (1, rows, 4)).astype(np.float32)
    return dict(zip(names, (
        boxes, rng.integers(0, 90, (1, rows)).astype(np.float32),
        np.sort(rng.uniform(0, 1, (1, rows)).astype(np.float32))[:, ::-1],
        np.array([count], np.float32))))


def by_hand(outputs: Any, threshold: float, offset: int = 0) -> Any:
    """Walk over the rows."""
    boxes, classes, scores, count = (array[0] for array in outputs.values())
    found = []
    for row in range(min(int(count), len(scores))):
        if scores[row] >= threshold:
            top, left, bottom, right = boxes[row].tolist()
            found.append((left * SIZE[0], top * SIZE[1], right * SIZE[0], bottom * SIZE[1],
                          scores[row], int(classes[row]) + offset))
    return np.array(found).reshape(-1, 6)


def same(found: Any, expected: Any) -> bool:
    """Tell whether candidates are those of the loop."""
    return (len(found) == len(expected)
            and np.allclose(found.boxes, expected[:, :4], atol=1e-3)
            and np.allclose(found.scores, expected[:, 4])
            and found.class_ids.tolist() == expected[:, 5].astype(int).tolist())


@pytest.mark.parametrize('names', [
    USUAL, tuple(f'{name}:0' for name in USUAL),
    ('TFLite_Detection_PostProcess', 'TFLite_Detection_PostProcess:1',
     'TFLite_Detection_PostProcess:2', 'TFLite_Detection_PostProcess:3'),
    ('a', 'b', 'c', 'd')])
@pytest.mark.parametrize('offset', [0, 1, -1])
def test_the_loop_agrees(names: tuple[str, ...], offset: int) -> None:
    for seed in range(5):
        outputs = random_outputs(names, seed=seed)
        for threshold in (0.0, 0.4, 0.99):
            assert same(decode(outputs, threshold, class_offset=offset),
                        by_hand(outputs, threshold, offset))


def test_the_order_of_named_outputs_is_no_matter() -> None:
    outputs = random_outputs()
    shuffled = {name: outputs[name] for name in (USUAL[0], USUAL[2], USUAL[1], USUAL[3])}
    assert same(decode(shuffled), by_hand(outputs, 0.5))


@pytest.mark.parametrize('suffix', ['', ':0'])
def test_declared_names(suffix: str) -> None:
    outputs = random_outputs(('p', 'q:0', 'r', 's:0'))
    named = {'boxes': f'p{suffix}', 'classes': f'q{suffix}', 'scores': f'r{suffix}',
             'count': f's{suffix}'}
    assert same(decode(outputs, outputs=named), by_hand(outputs, 0.5))


@pytest.mark.parametrize('count', [0, 3, 10, 99])
def test_rows_beyond_the_count_are_padding(count: int) -> None:
    outputs = random_outputs(count=count)
    assert same(decode(outputs, 0.0), by_hand(outputs, 0.0))


def test_without_a_count_all_rows_are_used() -> None:
    outputs = random_outputs()
    expected = by_hand(outputs, 0.0)
    del outputs['num_detections']
    assert same(decode(outputs, 0.0), expected)


def test_what_is_not_finite_is_dropped() -> None:
    outputs = random_outputs(count=float('nan'))
    boxes, classes, scores, _ = outputs.values()
    scores[:] = 0.9
    boxes[0, 0, 2] = np.nan
    boxes[0, 1, 0] = np.inf
    classes[0, 2] = np.nan
    classes[0, 3] = np.inf
    scores[0, 4] = np.nan
    scores[0, 5] = np.inf
    with np.errstate(all='raise', under='ignore'):
        found = decode(outputs)
    assert len(found) == 4
    assert np.isfinite(found.boxes).all()


def test_no_rows_at_all() -> None:
    outputs = random_outputs(rows=0, count=0)
    assert len(decode(outputs)) == 0


def test_a_missing_output() -> None:
    outputs = random_outputs()
    del outputs['detection_classes']
    with pytest.raises(OutputError) as caught:
        decode(outputs)
    for word in ("'detection_classes'", 'output.outputs.classes', 'detection_boxes',
                 '[1, 10, 4]'):
        assert word in str(caught.value)
    with pytest.raises(OutputError, match="no output 'klasses'"):
        decode(random_outputs(), outputs={'classes': 'klasses'})


@pytest.mark.parametrize(('name', 'shape'), [
    ('detection_boxes', (1, 10, 5)), ('detection_boxes', (10,)),
    ('detection_scores', (1, 9)), ('detection_classes', (1, 10, 2)), ('num_detections', (2,))])
def test_shapes_that_do_not_fit(name: str, shape: tuple[int, ...]) -> None:
    outputs = random_outputs()
    outputs[name] = np.zeros(shape, np.float32)
    with pytest.raises(OutputError) as caught:
        decode(outputs)
    assert f'{name!r} has the shape {list(shape)}' in str(caught.value)


def test_the_number_of_classes_is_not_told() -> None:
    assert DECODER.class_count(random_outputs(), DECODER.parse_options({})) is None
    assert not DECODER.needs_nms
