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

"""Images become tensors as plain numpy says they must, and nothing is copied without need."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import pytest
import reference_resize

from ros2_classify.errors import InputError
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.preprocess.preprocessor import Preprocessor, SOURCE_COLORS

CHANNELS = {'rgb': 3, 'bgr': 3, 'gray': 1}


def smooth(width: int, height: int, channels: int, seed: int = 0) -> Any:
    """Return a random image without hard edges, so that a 32nd of a pixel is no matter."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 6), max(2, width // 6), channels), np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return image if channels == 1 else image.reshape(height, width, channels)


def noise(width: int, height: int, channels: int, seed: int = 0) -> Any:
    """Return a random image, the hardest case for a filter."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def spec_for(color: str = 'rgb', dtype: str = 'float32', **more: Any) -> InputSpec:
    """Return an input of 20x12 with a scale, mean and std that tell all channels apart."""
    count = CHANNELS[color]
    numbers: dict[str, Any] = {'mean': (0.0,) * count, 'std': (1.0,) * count}
    if dtype != 'uint8':
        numbers = {'scale': 1 / 255, 'mean': (0.485, 0.456, 0.406)[:count],
                   'std': (0.229, 0.224, 0.225)[:count]}
    settings: dict[str, Any] = {
        'name': 'x', 'size': (20, 12), 'layout': 'nchw', 'dtype': dtype, 'color': color}
    return InputSpec(**{**settings, **numbers, **more})


def prepare(spec: InputSpec, image: Any, color: str = 'rgb') -> tuple[Any, Any]:
    """Return the tensor and the geometry of one image."""
    preprocessor = Preprocessor(spec)
    geometry = preprocessor(image, color)
    return preprocessor.tensor(), geometry


def levels(got: Any, expected: Any, spec: InputSpec) -> float:
    """Return the greatest difference in steps of the 256 pixel values."""
    axis = 1 if spec.layout == 'nchw' else 3
    std = np.array(spec.std).reshape([-1 if i == axis else 1 for i in range(4)])
    return float((np.abs(got.astype(float) - expected) * std / spec.scale).max())


@pytest.mark.parametrize('source', SOURCE_COLORS)
@pytest.mark.parametrize('dtype', ['float32', 'float16', 'uint8'])
@pytest.mark.parametrize(('layout', 'color'), list(itertools.product(
    ['nchw', 'nhwc'], CHANNELS)))
def test_colors_layouts_and_types(source: str, dtype: str, layout: str, color: str) -> None:
    spec = spec_for(color, dtype, layout=layout)
    image = smooth(43, 31, SOURCE_COLORS[source])
    tensor, _ = prepare(spec, image, source)
    expected = reference_resize.preprocess(image, source, spec)
    assert tensor.dtype == dtype
    assert tensor.shape == expected.shape
    # One step where the resize rounds, one where grey does, and the steps of float16.
    assert levels(tensor, expected, spec) <= (2.0 if color == 'gray' else 1.0) + (
        0.2 if dtype == 'float16' else 0.001)


SIZES = [(43, 31), (31, 43), (20, 12), (40, 24), (80, 48), (160, 96), (163, 99), (7, 5), (21, 11),
         (640, 13), (9, 300)]


def in_one_step(size: tuple[int, int], resize: str) -> bool:
    """Tell whether the image is thin and grows, so that its centre is sampled in one step."""
    ratio = max(20 / size[0], 12 / size[1]) / 0.875
    return resize == 'center_crop' and (size[0] < 23 or size[1] < 14) and (
        round(size[0] * ratio) * round(size[1] * ratio) > 16 * 20 * 12)


# OpenCV's filters in that one step are its own: test_growing_crop_samples_at_centers has them.
CASES = [case for case in itertools.product(
    SIZES, ['stretch', 'letterbox', 'center_crop'],
    ['area', 'pyramid', 'linear', 'nearest', 'cubic'])
    if not (in_one_step(*case[:2]) and case[2] in ('nearest', 'cubic'))]


@pytest.mark.parametrize(('size', 'resize', 'interpolation'), CASES)
def test_every_resize_rule(size: tuple[int, int], resize: str, interpolation: str) -> None:
    spec = spec_for(resize=resize, interpolation=interpolation)
    one_step = in_one_step(size, resize)
    image = smooth(*size, 3) if one_step else noise(*size, 3)
    tensor, _ = prepare(spec, image, 'rgb')
    expected = reference_resize.preprocess(image, 'rgb', spec)
    # Halving rounds once more each time; the one step knows 32nds of a pixel only.
    allowed = {'pyramid': 2.0, 'cubic': 2.0}.get(interpolation, 1.0)
    assert levels(tensor, expected, spec) <= (4.0 if one_step else allowed) + 0.001


@pytest.mark.parametrize('interpolation', ['nearest', 'cubic'])
def test_growing_crop_samples_at_centers(interpolation: str) -> None:
    """A ramp shows where each pixel was sampled, whatever the filter."""
    image = np.repeat(np.arange(10, 10 + 8 * 24, 24, dtype=np.uint8)[np.newaxis], 8, axis=0)
    spec = spec_for('gray', 'uint8', size=(28, 28), resize='center_crop', layout='nhwc',
                    interpolation=interpolation)
    tensor, geometry = prepare(spec, image, 'mono')
    sampled = (tensor[0, 14, :, 0].astype(float) - 10) / 24
    expected = (np.arange(28) + 0.5) * geometry.scale_x + geometry.offset_x - 0.5
    inside = (expected > 1) & (expected < 6)
    assert np.abs(sampled - expected)[inside].max() < (0.52 if interpolation == 'nearest' else 0.1)


@pytest.mark.parametrize('anchor', ['center', 'top_left'])
@pytest.mark.parametrize(('layout', 'dtype'), [
    ('nchw', 'float32'), ('nhwc', 'float16'), ('nhwc', 'uint8'), ('nchw', 'uint8')])
def test_letterbox_bars(anchor: str, layout: str, dtype: str) -> None:
    spec = spec_for(dtype=dtype, layout=layout, resize='letterbox', anchor=anchor, pad_value=77)
    preprocessor = Preprocessor(spec)
    # Tall, wide and tall again: bars of one image must not show in the next.
    for size in ((10, 40), (40, 10), (10, 40), (20, 12), (39, 11)):
        image = smooth(*size, 3)
        preprocessor(image, 'rgb')
        tensor = preprocessor.tensor()
        expected = reference_resize.preprocess(image, 'rgb', spec)
        assert levels(tensor, expected, spec) <= 1.2


@pytest.mark.parametrize('resize', ['stretch', 'letterbox', 'center_crop'])
@pytest.mark.parametrize('size', [(1, 1), (1, 5000), (20000, 1), (2, 1), (40000, 3)])
def test_degenerate_sizes(size: tuple[int, int], resize: str) -> None:
    image = np.full((size[1], size[0], 3), (200, 100, 50), np.uint8)
    for interpolation in ('area', 'pyramid', 'linear', 'nearest', 'cubic'):
        spec = spec_for(resize=resize, interpolation=interpolation, anchor='top_left')
        tensor, geometry = prepare(spec, image, 'rgb')
        expected = (np.array((200, 100, 50)) / 255 - spec.mean) / spec.std
        assert np.allclose(tensor[0, :, 0, 0], expected, atol=1e-5)
        assert geometry.source_size == size


def test_source_size_follows_each_image() -> None:
    preprocessor = Preprocessor(spec_for(size='source'))
    for size in ((10, 7), (33, 5), (10, 7)):
        image = noise(*size, 3)
        geometry = preprocessor(image, 'rgb')
        tensor = preprocessor.tensor()
        assert tensor.shape == (1, 3, size[1], size[0])
        assert levels(tensor, reference_resize.preprocess(image, 'rgb', spec_for(size='source')),
                      spec_for()) < 0.001
        assert geometry.model_size == geometry.source_size == size


@pytest.mark.parametrize(('color', 'source', 'shape'), [
    ('rgb', 'rgb', (12, 20, 3)), ('bgr', 'bgr', (12, 20, 3)), ('gray', 'mono', (12, 20)),
    ('gray', 'mono', (12, 20, 1))])
def test_a_image_that_is_the_tensor_is_not_copied(
    color: str, source: str, shape: tuple[int, ...],
) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    image.flags.writeable = False
    tensor, _ = prepare(spec_for(color, 'uint8', layout='nhwc'), image, source)
    assert np.shares_memory(tensor, image)
    assert np.array_equal(tensor.ravel(), image.ravel())


def test_a_tensor_in_another_order_is_a_copy() -> None:
    image = noise(20, 12, 3)
    tensor, _ = prepare(spec_for('bgr', 'uint8', layout='nhwc'), image, 'rgb')
    assert not np.shares_memory(tensor, image)
    assert np.array_equal(tensor[0], image[..., ::-1])


def views(image: Any) -> dict[str, Any]:
    """Return the same pixels as they may lie in memory."""
    height, width, channels = image.shape
    padded = np.zeros((height, width * channels + 13), np.uint8)
    padded[:, :width * channels] = image.reshape(height, -1)
    rows = padded[:, :width * channels]
    locked = image.copy()
    locked.flags.writeable = False
    return {
        'padded rows': np.lib.stride_tricks.as_strided(
            rows, (height, width, channels), (rows.strides[0], channels, 1)),
        'part of a larger one': np.pad(image, ((3, 2), (1, 4), (0, 0)))[3:-2, 1:-4],
        'upside down': np.ascontiguousarray(image[::-1])[::-1],
        'mirrored': np.ascontiguousarray(image[:, ::-1])[:, ::-1],
        'column by column': np.asfortranarray(image),
        'read-only': locked,
    }


@pytest.mark.parametrize('size', [(20, 12), (43, 31), (11, 7)])
@pytest.mark.parametrize('layout', ['nchw', 'nhwc'])
@pytest.mark.parametrize('dtype', ['float32', 'uint8'])
def test_any_memory_layout(size: tuple[int, int], layout: str, dtype: str) -> None:
    image = noise(*size, 3)
    spec = spec_for(dtype=dtype, layout=layout)
    expected = prepare(spec, image.copy(), 'bgr')[0].copy()
    for name, view in views(image).items():
        before = view.copy()
        tensor, _ = prepare(spec, view, 'bgr')
        assert np.array_equal(tensor, expected), name
        assert np.array_equal(view, before), f'{name}: the image was modified'


def test_a_tensor_is_contiguous_though_its_image_is_not() -> None:
    """Size, type and order are the model's; only the memory isn't laid out as engines read."""
    image = noise(20, 12, 3)
    for name, view in views(image).items():
        tensor, _ = prepare(spec_for(dtype='uint8', layout='nhwc'), view, 'rgb')
        assert tensor.flags.c_contiguous, name
        assert np.array_equal(tensor[0], image), name


def test_the_buffers_stay() -> None:
    preprocessor = Preprocessor(spec_for())
    preprocessor(noise(43, 31, 3), 'rgb')
    first = preprocessor.tensor()
    preprocessor(noise(43, 31, 3, seed=1), 'bgr')
    assert preprocessor.tensor().ctypes.data == first.ctypes.data


@pytest.mark.parametrize(('image', 'color', 'words'), [
    (np.zeros((4, 4, 3), np.uint8), 'yuv', ["'yuv'", 'mono, rgb, bgr, rgba, bgra']),
    ([[1]], 'rgb', ['list', 'numpy array of uint8']),
    (None, 'rgb', ['NoneType', 'cv2.imread']),
    (np.zeros((4, 4, 3), np.float32), 'rgb', ['float32', 'uint8']),
    (np.zeros((4, 4, 3), np.uint16), 'rgb', ['uint16', 'uint8']),
    (np.zeros((4, 4), np.uint8), 'rgb', ['(4, 4)', '(height, width, 3)']),
    (np.zeros((4, 4, 4), np.uint8), 'bgr', ['(4, 4, 4)', '(height, width, 3)', 'bgra 4']),
    (np.zeros((4, 4, 3), np.uint8), 'mono', ['(4, 4, 3)', '(height, width)']),
    (np.zeros((1, 4, 4, 3), np.uint8), 'rgb', ['(1, 4, 4, 3)']),
    (np.zeros((4,), np.uint8), 'mono', ['(4,)']),
    (np.zeros((0, 4, 3), np.uint8), 'rgb', ['4x0', '1x1']),
    (np.zeros((4, 0), np.uint8), 'mono', ['0x4', '1x1']),
])
def test_what_is_no_image(image: Any, color: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        Preprocessor(spec_for())(image, color)
    for word in words:
        assert word in str(caught.value)


def test_a_bad_image_leaves_the_next_one_alone() -> None:
    preprocessor = Preprocessor(spec_for())
    image = noise(43, 31, 3)
    preprocessor(image, 'rgb')
    expected = preprocessor.tensor().copy()
    with pytest.raises(InputError):
        preprocessor(np.zeros((0, 4, 3), np.uint8), 'rgb')
    assert np.array_equal(preprocessor.tensor(), expected)
    preprocessor(image, 'rgb')
    assert np.array_equal(preprocessor.tensor(), expected)
