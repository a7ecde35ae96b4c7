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

"""Boxes come back to where they were on the image, whatever was done to it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ros2_classify.model.input_spec import InputSpec
from ros2_classify.preprocess.geometry import Geometry, make_plan
from ros2_classify.preprocess.preprocessor import Preprocessor

RULES = list(itertools.product(
    ['stretch', 'letterbox', 'center_crop'], ['center', 'top_left'],
    ['area', 'pyramid', 'linear']))


def input_spec(size: tuple[int, int], rule: tuple[str, str, str], **more: Any) -> InputSpec:
    """Return a grey input of raw pixels."""
    resize, anchor, interpolation = rule
    settings: dict[str, Any] = {
        'name': 'x', 'size': size, 'layout': 'nhwc', 'dtype': 'float32', 'color': 'gray',
        'mean': (0.0,), 'std': (1.0,), 'resize': resize, 'anchor': anchor,
        'interpolation': interpolation, 'pad_value': 0.0, **more}
    return InputSpec(**settings)


@pytest.mark.parametrize('rule', RULES)
def test_there_and_back(rule: tuple[str, str, str]) -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        source = tuple(int(side) for side in rng.integers(1, 3000, 2))
        model = tuple(int(side) for side in rng.integers(1, 700, 2))
        spec = input_spec(
            (model[0], model[1]), rule, crop_fraction=float(rng.uniform(0.3, 1.0)))
        geometry = make_plan(spec, (source[0], source[1])).geometry
        boxes = np.sort(rng.uniform(0, 1, (20, 2, 2)), axis=1).reshape(20, 4) * (source * 2)
        boxes = boxes.astype(np.float32)
        offset = np.array((geometry.offset_x, geometry.offset_y) * 2)
        scale = np.array((geometry.scale_x, geometry.scale_y) * 2)
        there = ((boxes - offset) / scale).astype(np.float32)
        back = geometry.to_source(there)
        assert back.dtype == np.float32
        # Far outside a crop the step between two float32 numbers is what limits it.
        step = np.spacing(np.abs(there).max()) * max(geometry.scale_x, geometry.scale_y)
        assert np.abs(back - boxes).max() <= step + np.spacing(np.float32(max(source)))


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize(('source', 'model'), [
    ((640, 480), (64, 64)), ((480, 640), (96, 64)), ((101, 67), (64, 48)), ((50, 40), (160, 120)),
    ((333, 1000), (50, 80))])
def test_the_box_of_a_patch(
    rule: tuple[str, str, str], source: tuple[int, int], model: tuple[int, int],
) -> None:
    """A white patch is found in the tensor by its brightness, and mapped back to its place."""
    # In the middle, so that a crop shows all of it.
    x1, y1 = round(source[0] * 0.35), round(source[1] * 0.42)
    x2, y2 = round(source[0] * 0.6), round(source[1] * 0.58)
    image = np.zeros((source[1], source[0]), np.uint8)
    image[y1:y2, x1:x2] = 255
    preprocessor = Preprocessor(input_spec(model, rule))
    geometry = preprocessor(image, 'mono')
    tensor = preprocessor.tensor()
    light = tensor[0, ..., 0] / 255.0
    # The brightness of a row through the patch adds up to its width, wherever its edges fall.
    across, down = light.max(axis=0), light.max(axis=1)
    found = []
    for profile in (across, down):
        middle = (profile * (np.arange(len(profile)) + 0.5)).sum() / profile.sum()
        found.append((middle - profile.sum() / 2, middle + profile.sum() / 2))
    box = np.array([[found[0][0], found[1][0], found[0][1], found[1][1]]], np.float32)
    back = geometry.to_source(box)[0]
    # A model pixel covers several source pixels, and linear sampling sees only some of them.
    allowed = 0.75 * max(geometry.scale_x, geometry.scale_y, 1.0)
    assert np.abs(back - (x1, y1, x2, y2)).max() <= allowed


def test_clipping() -> None:
    geometry = Geometry(2.0, 3.0, -10.0, 5.0, (100, 60), (64, 64))
    boxes = np.array([[0, -9, 200, 10], [10, 0, 20, 5], [-50, -50, -40, -40]], np.float32)
    assert geometry.to_source(boxes).tolist() == [
        [0, 0, 100, 35], [10, 5, 30, 20], [0, 0, 0, 0]]
    assert geometry.to_source(boxes, clip=False)[0].tolist() == [-10, -22, 390, 35]
    assert boxes[0].tolist() == [0, -9, 200, 10], 'the boxes were modified'
    assert geometry.to_source(np.empty((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize(('source', 'expected'), [
    # ratio 416/768: 312 rows; the numbers are exact.
    ((768, 576), (768 / 416, 576 / 312, 0.0, 0.0)),
    # 354.9 columns: the fraction is cut off at the top left, as YOLOX does.
    ((517, 606), (517 / 354, 606 / 416, 0.0, 0.0)),
])
def test_letterbox_top_left(
    source: tuple[int, int], expected: tuple[float, float, float, float],
) -> None:
    plan = make_plan(input_spec((416, 416), ('letterbox', 'top_left', 'linear')), source)
    geometry = plan.geometry
    assert (geometry.scale_x, geometry.scale_y, geometry.offset_x, geometry.offset_y) \
        == pytest.approx(expected)


def test_letterbox_center() -> None:
    plan = make_plan(input_spec((416, 416), ('letterbox', 'center', 'linear')), (517, 606))
    # Rounded to 355 columns, and 30 of the 61 to spare on the left.
    assert plan.window == (30, 0, 355, 416)
    assert plan.geometry.offset_x == pytest.approx(-30 * 517 / 355)


def test_letterbox_fills_the_longer_side() -> None:
    """720 * (416 / 720) is 415.99999999999994, and the image 416 wide all the same."""
    plan = make_plan(input_spec((416, 416), ('letterbox', 'top_left', 'area')), (720, 480))
    assert plan.window == (0, 0, 416, 277)


def test_center_crop_of_the_usual_classifier() -> None:
    plan = make_plan(input_spec((224, 224), ('center_crop', 'center', 'area')), (640, 480))
    # 341x256, then 224 from column 58 and row 16.
    assert plan.geometry.offset_x == pytest.approx(58 * 640 / 341)
    assert plan.geometry.offset_y == pytest.approx(16 * 480 / 256)
    assert plan.geometry.scale_y == pytest.approx(480 / 256)


def test_a_wide_image_is_read_in_part_only() -> None:
    """What a crop cuts away is not resized first, where the grids allow it."""
    plan = make_plan(input_spec((224, 224), ('center_crop', 'center', 'area')), (1920, 1080))
    assert plan.roi[2] < 1300


def test_boxes_on_the_image_already_are_only_cut() -> None:
    geometry = make_plan(
        input_spec((64, 64), ('letterbox', 'center', 'linear')), (200, 100)).geometry
    boxes = np.array([[-5, 10, 300, 90], [20, -30, 40, 130]], np.float32)
    clipped = geometry.clip(boxes)
    assert clipped.tolist() == [[0, 10, 200, 90], [20, 0, 40, 100]]
    assert clipped.dtype == np.float32
    assert boxes[0, 0] == -5
