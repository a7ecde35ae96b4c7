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

"""Marked pixels: in their colours, where the result says, and nowhere else."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from ros2_classify.errors import InputError
from ros2_classify.results.masks import InstanceMasks
from ros2_classify.results.overlay import draw
from ros2_classify.results.overlay_colors import color_of
from ros2_classify.results.results import Classification, Detections, Segmentation, Timing

TIMING = Timing(0, 0, 0)
SIZE = (320, 240)
BOXES = np.array([[40, 60, 160, 200], [100, 60, 300, 200]], np.float32)


def pixels() -> Any:
    return np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)


def detections(masks: Any = None) -> Detections:
    return Detections(BOXES, np.array([3, 8]), np.array([0.9, 0.8]),
                      np.array(['a', 'b'], object), SIZE, TIMING, masks)


def lower_halves() -> InstanceMasks:
    """Return masks that fill the lower half of each box."""
    values = np.zeros((2, 2, 1), np.float32)
    values[:, 1] = 1
    return InstanceMasks(values, BOXES)


def tint(class_id: int) -> Any:
    return 90 * 0.55 + 0.45 * np.array(color_of(class_id))


def test_objects_are_tinted_the_best_in_front() -> None:
    plain, drawn = draw(pixels(), detections()), draw(pixels(), detections(lower_halves()))
    assert np.abs(drawn[170, 60] - tint(3)).max() < 1.5
    # Both masks are here.
    assert np.abs(drawn[170, 130] - tint(3)).max() < 1.5
    assert np.abs(drawn[170, 250] - tint(8)).max() < 1.5
    # The outline has the class's own colour.
    assert (drawn[130:134, 250] == color_of(8)).all(axis=1).any()
    # Above the masks all is as without them.
    assert (drawn[:129] == plain[:129]).all() and (drawn[202:] == plain[202:]).all()


def test_instances_given_as_an_image_are_drawn_the_same_way() -> None:
    result = detections(lower_halves())
    instances = result.instances()
    assert instances is not None
    bare = dataclasses.replace(result, masks=None)
    expected = draw(pixels(), result)
    assert (draw(pixels(), bare, instances=instances) == expected).all()
    assert (draw(pixels(), bare, instances=instances.astype(np.uint16)) == expected).all()


def test_the_callers_image_stays() -> None:
    image = pixels()
    draw(image, detections(lower_halves()))
    assert (image == 90).all()
    assert draw(image, detections(lower_halves()), copy=False) is image
    assert (image != 90).any()


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_classes_are_tinted_but_the_background(dtype: Any) -> None:
    image = np.zeros((SIZE[1], SIZE[0]), dtype)
    image[:, 160:] = 5
    image[160:, :160] = 17
    image[200:, :160] = np.iinfo(dtype).max
    result = Segmentation(image, np.array([5, 17]), np.array([0.5, 0.1]),
                          np.array(['road', 'sky'], object), SIZE, TIMING, background=0)
    drawn = draw(pixels(), result)
    assert np.abs(drawn[180:, 170:] - tint(5)).max() < 1.5
    assert np.abs(drawn[165:195, 5:150] - tint(17)).max() < 1.5
    assert (drawn[200:, :160] == 90).all() and (drawn[120:155, 5:150] == 90).all()
    # The panel with the classes' names.
    assert (drawn[:60, :120] != 90).any()
    whole = draw(pixels(), dataclasses.replace(result, background=None, class_ids=[5, 0]))
    assert np.abs(whole[120:155, 5:150] - tint(0)).max() < 1.5


def test_pixels_of_another_image_are_refused() -> None:
    with pytest.raises(InputError, match='image of 320x240, but the image to draw on is 100x'):
        draw(np.zeros((50, 100, 3), np.uint8), detections(lower_halves()))
    none = Classification(np.array([1]), np.array([0.5]), np.array(['x'], object), SIZE, TIMING)
    assert draw(np.zeros((50, 100, 3), np.uint8), none).any()
