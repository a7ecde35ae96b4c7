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

"""Label images against a loop over the pixels, for each way an image is fitted in."""

from __future__ import annotations

import itertools
import math
from typing import Any

import cv2
import numpy as np
import pytest

from ros2_classify.decoders import PixelClasses
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.postprocess.label_image import _cells, classes_on, label_image
from ros2_classify.preprocess.geometry import Geometry, make_plan
from ros2_classify.preprocess.preprocessor import Preprocessor

SIZES = [((64, 48), (32, 32)), ((50, 70), (32, 24)), ((41, 33), (16, 16)), ((10, 12), (32, 32))]
RULES = list(itertools.product(
    ['stretch', 'letterbox', 'center_crop'], ['center', 'top_left'], ['linear', 'pyramid']))


def input_spec(size: tuple[int, int], resize: str, anchor: str = 'center',
               interpolation: str = 'linear', fraction: float = 0.875) -> InputSpec:
    settings: dict[str, Any] = {
        'name': 'x', 'size': size, 'layout': 'nhwc', 'dtype': 'uint8', 'color': 'gray',
        'mean': (0.0,), 'std': (1.0,), 'resize': resize, 'anchor': anchor, 'pad_value': 0.0,
        'interpolation': interpolation, 'crop_fraction': fraction}
    return InputSpec(**settings)


def on_model(geometry: Geometry, x: int, y: int) -> Any:
    """Return where a pixel's centre lies on the network's image; None beside a crop."""
    u = (x + 0.5 - geometry.offset_x) / geometry.scale_x
    v = (y + 0.5 - geometry.offset_y) / geometry.scale_y
    if geometry.window is None:
        width, height = geometry.model_size
        return (u, v) if 0 <= u < width and 0 <= v < height else None
    left, top, width, height = geometry.window
    return (min(max(u, left), left + width - 1e-9), min(max(v, top), top + height - 1e-9))


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize(('source', 'model'), SIZES)
@pytest.mark.parametrize('stride', [1, 4])
def test_nearest(rule: tuple[str, str, str], source: Any, model: Any, stride: int) -> None:
    geometry = make_plan(input_spec(model, *rule), source).geometry
    grid = np.random.default_rng(1).integers(
        0, 9, (model[1] // stride, model[0] // stride)).astype(np.uint8)
    got = label_image(PixelClasses(grid, 255), geometry)
    assert got.shape == source[::-1] and got.dtype == np.uint8
    for y, x in itertools.product(range(source[1]), range(source[0])):
        place = on_model(geometry, x, y)
        expected = 255 if place is None else grid[int(place[1] / stride), int(place[0] / stride)]
        assert got[y, x] == expected, (x, y, place)
    assert (rule[0] == 'center_crop') == (255 in got)


@pytest.mark.parametrize('rule', RULES[::2])
@pytest.mark.parametrize(('source', 'model'), SIZES)
def test_linear(rule: tuple[str, str, str], source: Any, model: Any) -> None:
    geometry = make_plan(input_spec(model, *rule), source).geometry
    scores = np.random.default_rng(2).normal(0, 1, (4, model[1] // 4, model[0] // 4)).astype(
        np.float32)
    grid = np.zeros(scores.shape[1:], np.uint16)
    got = label_image(PixelClasses(grid, 65535, scores=scores), geometry)
    assert got.shape == source[::-1] and got.dtype == np.uint16
    sure = 0
    for y, x in itertools.product(range(source[1]), range(source[0])):
        place = on_model(geometry, x, y)
        if place is None:
            assert got[y, x] == 65535
            continue
        found = [interpolated(plane, place[0] / 4, place[1] / 4) for plane in scores.tolist()]
        best = sorted(found)
        if best[-1] - best[-2] > 1e-4:
            assert got[y, x] == found.index(best[-1]), (x, y)
            sure += 1
    assert sure > 0.9 * (got != 65535).sum() > 0


def interpolated(plane: Any, x: float, y: float) -> float:
    """Interpolate by hand between the centres of four cells."""
    height, width = len(plane), len(plane[0])
    x, y = min(max(x - 0.5, 0.0), width - 1.0), min(max(y - 0.5, 0.0), height - 1.0)
    left, top = math.floor(x), math.floor(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    above = plane[top][left] * (1 - x + left) + plane[top][right] * (x - left)
    below = plane[bottom][left] * (1 - x + left) + plane[bottom][right] * (x - left)
    return float(above * (1 - y + top) + below * (y - top))


@pytest.mark.parametrize('rule', [('stretch', 'center'), ('letterbox', 'center'),
                                  ('letterbox', 'top_left'), ('center_crop', 'center')])
def test_a_patch_is_found_where_it_is(rule: tuple[str, str]) -> None:
    """What the model sees as white is white in the label image: the image comes back."""
    image = np.zeros((96, 128), np.uint8)
    image[30:60, 40:90] = 255
    preprocessor = Preprocessor(input_spec((64, 64), *rule))
    geometry = preprocessor(image, 'mono')
    tensor = preprocessor.tensor()
    seen = (tensor[0, ..., 0] > 127).astype(np.uint8)
    got = label_image(PixelClasses(seen, 255), geometry)
    inside = got != 255
    assert (got[inside] == image[inside] // 255).mean() > 0.97
    assert (rule[0] == 'center_crop') == bool((~inside).any())
    assert got[32:58, 43:87].all() and (got[35:55, 45:85] == 1).all()


def test_a_broken_score_spoils_its_cell_only() -> None:
    scores = np.zeros((2, 4, 4), np.float32)
    scores[1] = 1
    scores[:, 2, 2] = np.nan
    geometry = make_plan(input_spec((4, 4), 'stretch'), (16, 16)).geometry
    with np.errstate(all='raise'):
        got = label_image(PixelClasses(np.zeros((4, 4), np.uint8), 255, scores=scores), geometry)
    assert got[9, 9] == 255 and (got[:4] == 1).all()


def test_images_of_one_pixel() -> None:
    geometry = make_plan(input_spec((4, 4), 'letterbox'), (1, 1)).geometry
    grid = np.full((1, 1), 7, np.uint8)
    assert label_image(PixelClasses(grid, 255), geometry).tolist() == [[7]]


def test_classes_on_a_label_image() -> None:
    image = np.array([[3, 3, 1, 1], [0, 255, 7, 0]], np.uint8)
    ids, parts = classes_on(image, (None, 255), 0.0)
    assert ids.tolist() == [0, 1, 3, 7] and parts.tolist() == [0.25, 0.25, 0.25, 0.125]
    assert classes_on(image, (0, 255), 0.2)[0].tolist() == [1, 3]
    wide = image.astype(np.uint16) * 300
    assert classes_on(wide, (0, 65535), 0.0)[0].tolist() == [300, 900, 2100, 76500 % 65536]
    assert classes_on(np.full((2, 2), 255, np.uint8), (None, 255), 0.0)[0].tolist() == []


@pytest.mark.parametrize('rule', ['stretch', 'letterbox', 'center_crop'])
@pytest.mark.parametrize('grid', [(1, 1), (1, 9), (9, 1), (2, 2), (33, 40)])
@pytest.mark.parametrize('flaw', [None, np.nan, -np.inf])
def test_ignored_classes_change_nothing(
    rule: Any, grid: tuple[int, int], flaw: float | None, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between cells of one class nothing is interpolated, and everything is as if it were."""
    rng = np.random.default_rng(grid[1])
    scores = np.stack([cv2.resize(
        rng.normal(size=(4, 5)).astype(np.float32), grid[::-1]).reshape(grid) for _ in range(6)])
    # Whole numbers, so that some are equal.
    scores = np.round(scores * 4)
    if flaw is not None:
        scores[0, grid[0] // 2, grid[1] // 2] = flaw
    found = PixelClasses(np.zeros(grid, np.uint8), 255, scores=scores)
    geometry = make_plan(InputSpec(size=(96, 64), resize=rule), (211, 150)).geometry
    quick = label_image(found, geometry)
    cells = _cells

    def every(found: PixelClasses) -> Any:
        winners, several = cells(found)
        return winners, np.ones_like(several)

    monkeypatch.setattr('ros2_classify.postprocess.label_image._cells', every)
    assert np.array_equal(quick, label_image(found, geometry))
