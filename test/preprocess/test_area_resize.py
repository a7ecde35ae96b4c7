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

"""Averaging is exact, whatever the sizes, and equals OpenCV's but where it rounds."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import reference_resize

from ros2_classify.model.input_spec import InputSpec
from ros2_classify.preprocess.preprocessor import AreaShrinker, pays, Preprocessor

SIZES = [
    ((43, 31), (20, 12)), ((64, 480), (31, 256)), ((17, 9), (5, 4)), ((9, 7), (9, 2)),
    ((7, 9), (1, 1)), ((5, 5), (5, 5)), ((40, 24), (20, 12)), ((1, 300), (1, 7)),
    ((300, 2), (7, 1)), ((31, 1080), (7, 256)), ((11, 13), (10, 12))]


def noise(size: tuple[int, int], channels: tuple[int, ...], seed: int = 0) -> Any:
    """Return a random image."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *channels), np.uint8)


def shrink(image: Any, target: tuple[int, int]) -> Any:
    """Return the smaller image."""
    result = np.empty((target[1], target[0], *image.shape[2:]), np.uint8)
    AreaShrinker((image.shape[1], image.shape[0]), target, image.shape[2:])(image, result)
    return result


@pytest.mark.parametrize(('source', 'target'), SIZES)
@pytest.mark.parametrize('channels', [(), (3,), (4,)])
def test_each_pixel_is_the_mean_of_its_area(
    source: tuple[int, int], target: tuple[int, int], channels: tuple[int, ...],
) -> None:
    image = noise(source, channels)
    rows = reference_resize.area_weights(target[1], source[1])
    columns = reference_resize.area_weights(target[0], source[0])
    expected = np.einsum('ih,hw...,jw->ij...', rows, image.astype(float), columns)
    # Half a level, where the last digit decides.
    assert np.abs(shrink(image, target) - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(('source', 'target'), [
    ((1920, 1080), (455, 256)), ((1920, 1080), (416, 234)), ((1280, 720), (224, 224)),
    ((640, 480), (300, 225)), ((1000, 3000), (100, 101))])
def test_opencv_agrees(source: tuple[int, int], target: tuple[int, int]) -> None:
    """These are worked on in several strips."""
    image = noise(source, (3,))
    assert pays(source, target)
    expected = cv2.resize(image, target, interpolation=cv2.INTER_AREA)
    differences = np.abs(shrink(image, target).astype(int) - expected)
    assert differences.max() <= 1
    assert np.count_nonzero(differences) <= 1e-3 * differences.size


def test_white_stays_white_and_black_black() -> None:
    for level in (0, 255):
        assert (shrink(np.full((1080, 1920, 3), level, np.uint8), (455, 256)) == level).all()


def test_any_memory_layout() -> None:
    image = noise((200, 100), (3,))
    expected = shrink(image, (90, 40))
    wide = np.pad(image, ((1, 2), (3, 4), (0, 0)))
    for view in (wide[1:-2, 3:-4], np.ascontiguousarray(image[::-1])[::-1],
                 np.ascontiguousarray(image[:, ::-1])[:, ::-1], np.asfortranarray(image),
                 np.dstack((image, image))[..., :3]):
        before = view.copy()
        assert np.array_equal(shrink(view, (90, 40)), expected)
        assert np.array_equal(view, before)


def test_one_serves_image_after_image() -> None:
    shrinker = AreaShrinker((300, 200), (71, 53), (3,))
    result = np.empty((53, 71, 3), np.uint8)
    for seed in range(3):
        image = noise((300, 200), (3,), seed)
        shrinker(image, result)
        assert np.array_equal(result, shrink(image, (71, 53)))


@pytest.mark.parametrize(('source', 'target', 'expected'), [
    ((1920, 1080), (455, 256), True), ((640, 480), (341, 256), False),
    ((640, 480), (320, 240), False), ((1920, 1080), (640, 360), False),
    ((640, 480), (416, 312), False), ((100, 1000), (200, 100), False)])
def test_where_it_pays(
    source: tuple[int, int], target: tuple[int, int], expected: bool,
) -> None:
    assert pays(source, target) is expected


@pytest.mark.parametrize('resize', ['center_crop', 'stretch', 'letterbox'])
def test_the_preprocessor_uses_it(resize: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = InputSpec(
        name='x', size=(224, 224), layout='nchw', dtype='float32', resize=resize,
        interpolation='area')
    image = noise((1280, 720), (3,))
    used = []
    call = AreaShrinker.__call__
    monkeypatch.setattr(
        AreaShrinker, '__call__', lambda self, *args: (used.append(1), call(self, *args)))
    preprocessor = Preprocessor(spec)
    preprocessor(image)
    assert used
    monkeypatch.setattr('ros2_classify.preprocess.preprocessor.pays', lambda *sizes: False)
    plain = Preprocessor(spec)
    plain(image)
    assert len(used) == 1
    assert np.abs(preprocessor.tensor() - plain.tensor()).max() <= 1
