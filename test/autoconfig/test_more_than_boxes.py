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

"""Rows that hold rotated boxes or key points are named, and never taken for classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from published_outputs import centers, dense, falling, grid, ids, RANDOM
import pytest
from ros2_classify.autoconfig.complete import complete
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Detections
from ros2_classify.testing import FakeEngine, tensor
from test_detectors import BARE, infer, refusal, SIZE
import yaml

ROTATED = np.concatenate(
    [centers(50, SIZE), RANDOM.uniform(-1.5, 1.5, (50, 1)), falling(50)], axis=1).astype('f4')


@pytest.mark.parametrize('names', [('dets', 'labels'), ('17', '18')])
@pytest.mark.parametrize('batch', [True, False])
def test_rotated_boxes_of_mmrotate_are_named(names: tuple[str, str], batch: bool) -> None:
    classes = ids(50)[:, 0].astype(np.int64)
    outputs = {names[0]: ROTATED, names[1]: classes}
    outputs = {name: array[None] if batch else array for name, array in outputs.items()}
    said = refusal(outputs)
    assert 'as MMRotate exports rotated boxes' in said
    # The line that it gives decides.
    found = Pipeline(complete(declared(said), engine_of(outputs)), engine_of(outputs))(BLACK)
    np.testing.assert_allclose(found.oriented[:, :2], ROTATED[:len(found), :2], atol=1e-3)


BLACK = np.zeros((SIZE, SIZE, 3), np.uint8)


def engine_of(outputs: dict[str, Any]) -> FakeEngine:
    return FakeEngine(
        [tensor('images', [1, 3, SIZE, SIZE])],
        [tensor(name, array.shape, array.dtype) for name, array in outputs.items()], outputs)


def declared(said: str) -> ModelDescriptor:
    """Return the descriptor that an error asks for."""
    line = said[said.index('output: {decoder'):]
    return ModelDescriptor.from_mapping({
        'source': {'path': '/m/net.onnx'}, 'defaults': {'score_threshold': 0.1},
        **yaml.safe_load(line)})


def anchored(*tail: Any) -> Any:
    """Return rows of three anchors for each cell, with more numbers behind the objectness."""
    rows = dense(SIZE, 1, objectness=0.5, anchors=3)[0][:, :5]
    assert len(rows) == 3 * len(grid(SIZE))
    return np.concatenate([rows, *tail], axis=1).astype('f4')[None]


def pixels(count: int, every: int) -> Any:
    """Return key points in pixels, every second or third number of which may be a score."""
    places = RANDOM.uniform(-9, SIZE, (3 * len(grid(SIZE)), count))
    if every == 3:
        places[:, 2::3] = RANDOM.uniform(0, 1, places[:, 2::3].shape)
    return places


SCORES = RANDOM.uniform(0, 1, (3 * len(grid(SIZE)), 1))


def test_key_points_before_the_class_are_named() -> None:
    outputs = {'output': anchored(pixels(10, 2), SCORES)}
    said = refusal(outputs)
    assert 'as YOLOv5-face has them' in said
    found = Pipeline(complete(declared(said), engine_of(outputs)), engine_of(outputs))(BLACK)
    assert len(found) and set(found.class_ids.tolist()) == {0}
    assert found.keypoints.points.shape[1:] == (5, 2)


@pytest.mark.parametrize('points, numbers', [(5, 3), (5, 2), (17, 3)])
def test_key_points_behind_the_class_are_no_classes(points: int, numbers: int) -> None:
    """The boxes are read as from the same rows without key points."""
    rows = anchored(SCORES, pixels(points * numbers, numbers))
    found = infer({'output': rows})
    assert found.output.options['classes'] == 1 and found.output.options['objectness'] is True
    assert found.output.options['keypoints'] == (points, numbers)
    results = []
    for array in (rows, rows[..., :6]):
        engine = FakeEngine([tensor('images', [1, 3, SIZE, SIZE])],
                            [tensor('output', array.shape)], {'output': array})
        pipeline: Pipeline[Any] = Pipeline(complete(BARE, engine), engine)
        results.append(pipeline(np.zeros((SIZE, SIZE, 3), np.uint8)))
    with_points, without = results
    assert isinstance(with_points, Detections) and len(with_points)
    assert set(with_points.class_ids.tolist()) == {0}
    assert with_points.boxes.tolist() == without.boxes.tolist()
    assert with_points.scores.tolist() == without.scores.tolist()
