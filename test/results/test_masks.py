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

"""Instance masks against loops over all pixels, alone and from an ONNX model's outputs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_classify.errors import OutputError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.masks import InstanceMasks
from ros2_classify.results.results import Detections
from ros2_classify.testing import save_constant_model

IMAGE = (120, 90)


def value_at(mask: Any, u: float, v: float) -> float:
    """Interpolate by hand: u and v from 0 to 1 of the mask's width and height."""
    height, width = len(mask), len(mask[0])
    x = min(max(u * width - 0.5, 0.0), width - 1.0)
    y = min(max(v * height - 0.5, 0.0), height - 1.0)
    left, top = math.floor(x), math.floor(y)
    total = 0.0
    for row, part_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, part_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            if part_x and part_y:
                total += part_x * part_y * float(mask[row][column])
    return total


def by_hand(masks: Any, frames: Any, size: tuple[int, int]) -> Any:
    """Look at each pixel of each object; NaN marks what is too close to call in float32."""
    image = np.zeros((size[1], size[0]))
    for row in range(len(masks) - 1, -1, -1):
        x1, y1, x2, y2 = (float(edge) for edge in frames[row])
        for y in range(size[1]):
            for x in range(size[0]):
                if x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2:
                    value = value_at(
                        masks[row], (x + 0.5 - x1) / (x2 - x1), (y + 0.5 - y1) / (y2 - y1))
                    if abs(value - 0.5) < 1e-5:
                        image[y, x] = np.nan
                    elif value > 0.5:
                        image[y, x] = row + 1
    return image


def same(got: Any, expected: Any) -> bool:
    sure = ~np.isnan(expected)
    return bool(sure.mean() > 0.99 and (got[sure] == expected[sure]).all())


@pytest.mark.parametrize('shape', [(7, 5), (1, 1), (1, 4), (14, 14)])
def test_the_loops_agree(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    size = (60, 40)
    corners = rng.uniform(-15, 50, (8, 2))
    frames = np.hstack((corners, corners + rng.uniform(0.2, 45, (8, 2)))).astype(np.float32)
    values = rng.uniform(0, 1, (8, *shape)).astype(np.float32)
    got = InstanceMasks(values, frames).instances(size)
    assert got.shape == (40, 60) and got.dtype == np.uint8
    assert same(got, by_hand(values, frames, size))
    # Something shows, and some of it is hidden.
    assert len(np.unique(got)) > 4


def test_a_frame_that_leaves_the_image_keeps_its_place() -> None:
    """The right half of the mask is set; the left third of the frame is beside the image."""
    values = np.zeros((1, 4, 6), np.float32)
    values[0, :, 3:] = 1
    x, y, pixels = InstanceMasks(values, np.array([[-20, 10, 40, 30]])).cutout(0, IMAGE)
    assert (x, y, pixels.shape) == (0, 10, (20, 40))
    # The frame's middle is at column 10.
    assert not pixels[:, :10].any() and pixels[:, 10:].all()


@pytest.mark.parametrize('frame', [
    (-30, 10, -5, 20), (130, 10, 150, 20), (10, 95, 20, 99), (5, 5, 5, 20), (9, 5, 3, 20),
    (10.6, 5, 11.4, 20)])
def test_frames_without_a_pixel(frame: tuple[float, ...]) -> None:
    masks = InstanceMasks(np.ones((1, 3, 3), np.float32), np.array([frame], np.float32))
    assert not masks.cutout(0, IMAGE).pixels.any()
    assert not masks.instances(IMAGE).any()


def test_the_best_is_in_front() -> None:
    masks = InstanceMasks(np.ones((2, 2, 2)), np.array([[0, 0, 10, 10], [5, 0, 15, 10]]))
    got = masks.instances((20, 10))
    assert got[0].tolist() == [1] * 10 + [2] * 5 + [0] * 5


@pytest.mark.parametrize(('count', 'dtype'), [(0, np.uint8), (255, np.uint8), (256, np.uint16)])
def test_many_objects_get_larger_numbers(count: int, dtype: Any) -> None:
    frames = np.array([(i % 20, i // 20, i % 20 + 1, i // 20 + 1) for i in range(count)])
    masks = InstanceMasks(np.ones((count, 1, 1)), frames.reshape(-1, 4))
    got = masks.instances((20, 20))
    assert got.dtype == dtype and got.max() == count
    assert got.reshape(-1)[:count].tolist() == list(range(1, count + 1))


def test_a_hundred_on_4k_stay_small() -> None:
    rng = np.random.default_rng(0)
    masks = InstanceMasks(
        rng.uniform(0, 1, (100, 28, 28)), np.tile(np.float32([0, 0, 3840, 2160]), (100, 1)))
    assert masks.values.nbytes + masks.frames.nbytes < 400_000
    with pytest.raises(ValueError, match='read-only'):
        masks.values[0, 0, 0] = 1


@pytest.mark.parametrize(('values', 'frames', 'words'), [
    (np.ones((2, 3)), np.ones((2, 4)), r'\(2, 3\)'),
    (np.ones((2, 0, 3)), np.ones((2, 4)), r'\(2, 0, 3\)'),
    (np.ones((2, 3, 3)), np.ones((1, 4)), r'frames .* \(1, 4\) but must have \(2, 4\)'),
    (np.full((1, 3, 3), np.nan), np.ones((1, 4)), 'not finite'),
    (np.ones((1, 3, 3)), np.full((1, 4), np.inf), 'not finite')])
def test_what_does_not_fit_is_refused(values: Any, frames: Any, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        InstanceMasks(values, frames)


def test_too_many_for_an_image() -> None:
    masks = InstanceMasks(np.ones((65536, 1, 1)), np.zeros((65536, 4)))
    with pytest.raises(OutputError, match='65536 objects .* max_detections'):
        masks.instances((4, 4))


# ---- through the whole pipeline: rows of masks must stay with their boxes

# ymin, xmin, ymax, xmax: out of order, one below the threshold, one beside the image, one
# that leaves it, and one past the count.
BOXES = [(0.1, 0.1, 0.5, 0.4), (0.2, 0.3, 0.9, 0.8), (0.0, 0.0, 1.0, 1.0), (1.2, 1.2, 1.5, 1.5),
         (0.5, 0.7, 1.1, 1.3), (0.3, 0.3, 0.6, 0.6)]
SCORES = [0.6, 0.9, 0.1, 0.95, 0.7, 0.99]
COUNT = 5


def model(directory: Path, size: tuple[int, int] = (32, 24), **changes: Any) -> tuple[Path, Any]:
    """Write an ONNX model with the outputs of Mask R-CNN; return its masks, too."""
    masks = np.random.default_rng(3).uniform(0, 1, (1, len(BOXES), 9, 7)).astype(np.float32)
    outputs = {
        'detection_boxes': np.array([BOXES], np.float32),
        'detection_classes': np.arange(1, 7, dtype=np.float32)[np.newaxis],
        'detection_scores': np.array([SCORES], np.float32),
        'num_detections': np.array([COUNT], np.float32), 'detection_masks': masks, **changes}
    path = save_constant_model(
        directory / 'masks.onnx', {name: value for name, value in outputs.items()
                                   if value is not None}, input_shape=(1, 3, size[1], size[0]))
    return path, masks[0]


def pipeline_of(path: Path, **more: Any) -> Pipeline:
    return Pipeline.load(ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'output': {'decoder': 'tf_detection'},
        'labels': ['???', 'a', 'b', 'c', 'd', 'e', 'f'], **more}), provider='cpu')


@pytest.mark.parametrize('resize', ['stretch', 'letterbox', 'center_crop'])
@pytest.mark.parametrize('options', [{}, {'max_detections': 2}, {'score_threshold': 0.65},
                                     {'ioa_threshold': 0.01}])
def test_masks_stay_with_their_boxes(
    tmp_path: Path, resize: str, options: dict[str, Any],
) -> None:
    path, masks = model(tmp_path)
    with pipeline_of(path, input={'resize': resize}) as pipeline:
        assert not pipeline.gives_masks
        result = pipeline(np.zeros((IMAGE[1], IMAGE[0], 3), np.uint8),
                          options=pipeline.options.replace(**options))
        assert pipeline.gives_masks
        batch = pipeline.new_batch()
        batch.add(np.zeros((90, 120, 3), np.uint8))
        geometry = batch.geometries[0]
    assert isinstance(result, Detections) and result.masks is not None
    assert 0 < len(result) == len(result.masks) <= 3
    rows = [class_id - 1 for class_id in result.class_ids.tolist()]
    frames = []
    for row in rows:
        top, left, bottom, right = BOXES[row]
        frames.append((left * 32 * geometry.scale_x + geometry.offset_x,
                       top * 24 * geometry.scale_y + geometry.offset_y,
                       right * 32 * geometry.scale_x + geometry.offset_x,
                       bottom * 24 * geometry.scale_y + geometry.offset_y))
    assert np.allclose(result.masks.frames, frames, atol=1e-3)
    instances = result.instances()
    assert same(instances, by_hand(masks[rows], result.masks.frames, IMAGE))
    # Each object's pixels lie in its clipped box.
    for row, (x1, y1, x2, y2) in enumerate(result.boxes.tolist()):
        ys, xs = np.nonzero(instances == row + 1)
        assert len(xs) == 0 or (xs.min() + 0.5 >= x1 and xs.max() + 0.5 <= x2
                                and ys.min() + 0.5 >= y1 and ys.max() + 0.5 <= y2)
    assert 'mask' not in str(result.to_dict())


def test_without_masks_there_are_none(tmp_path: Path) -> None:
    path, _ = model(tmp_path, detection_masks=None)
    with pipeline_of(path) as pipeline:
        result = pipeline(np.zeros((9, 9, 3), np.uint8))
        assert isinstance(result, Detections)
        assert result.masks is None and result.instances() is None and not pipeline.gives_masks


def test_an_empty_result_still_has_an_instance_image(tmp_path: Path) -> None:
    path, _ = model(tmp_path, num_detections=np.zeros(1, np.float32))
    with pipeline_of(path) as pipeline:
        result = pipeline(np.zeros((9, 12, 3), np.uint8))
    assert isinstance(result, Detections) and len(result) == 0
    instances = result.instances()
    assert instances is not None and instances.shape == (9, 12) and not instances.any()


def test_another_name_and_broken_numbers(tmp_path: Path) -> None:
    masks = np.ones((1, len(BOXES), 3, 3), np.float32)
    masks[:, :, 0] = np.nan
    path, _ = model(tmp_path, detection_masks=None, shapes=masks)
    output = {'decoder': 'tf_detection', 'outputs': {'masks': 'shapes:0'}}
    with pipeline_of(path, output=output) as pipeline:
        result = pipeline(np.zeros((90, 120, 3), np.uint8))
    assert isinstance(result, Detections) and result.masks is not None
    assert not result.masks.values[:, 0].any() and result.masks.values[:, 1:].all()


@pytest.mark.parametrize('shape', [(1, 5, 3, 3), (1, 6, 3), (1, 6, 2, 3, 3), (1, 6, 0, 3)])
def test_masks_of_another_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path, _ = model(tmp_path, detection_masks=np.ones(shape, np.float32))
    with pipeline_of(path) as pipeline, pytest.raises(OutputError) as caught:
        pipeline(np.zeros((9, 9, 3), np.uint8))
    assert f"'detection_masks' has the shape {list(shape)}" in str(caught.value)
    assert '[1, 6, height, width]' in str(caught.value)


def test_a_bare_model_is_known_by_its_names(tmp_path: Path) -> None:
    path, _ = model(tmp_path)
    with Pipeline.load(path, provider='cpu') as pipeline:
        assert pipeline.descriptor.output.options['outputs']['masks'] == 'detection_masks'
        assert pipeline(np.zeros((9, 9, 3), np.uint8)).task == 'detection'
        assert pipeline.gives_masks
