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

"""16-bit images: which values are black and white, against numbers worked out here."""

import logging
import re

import cv2
import numpy as np
import pytest
from ros2_classify.errors import OptionsError
from ros2_classify.image_io import read_image
from ros2_classify.input_range import ALL_BITS, DepthReader, InputRange, PATTERN, scale


def reader(setting, watched=5):
    """Return a reader, and the lists of what it says and warns of."""
    said, warned = [], []
    read = DepthReader(InputRange.parse(setting), said.append, warned.append, watched)
    return read, said, warned


def pixels_of(low, high, shape=(40, 60), seed=0):
    """Return 16-bit values from low to high, both of which occur."""
    pixels = np.random.default_rng(seed).integers(low, high + 1, shape).astype(np.uint16)
    pixels.flat[:2] = low, high
    return pixels


@pytest.mark.parametrize('setting, text', [
    (12, '12'), ('12', '12'), ('14 bits', '14'), ('8bit', '8'), (16, '16'),
    ('1000..5000', '1000..5000'), ('1000 .. 5000.5', '1000..5000.5'), ('0..4095', '12'),
    ('percentile', 'percentile 1..99'), ('percentile 2 .. 98', 'percentile 2..98'),
    ('auto', 'auto')])
def test_settings_are_read_and_written(setting, text):
    assert str(InputRange.parse(setting)) == text
    assert InputRange.parse(text) == InputRange.parse(setting)
    # The schema of descriptors takes the same words.
    assert isinstance(setting, int) or re.search(PATTERN, setting)


@pytest.mark.parametrize('setting', [
    '', 'bright', 7, 17, True, None, '5000..1000', '0..0', '0..70000', '-5..10', 12.5,
    'percentile 1..101', 'percentile 5'])
def test_other_settings_are_refused_with_what_is_allowed(setting):
    with pytest.raises(OptionsError, match='number of bits from 8 to 16 .*percentile.*auto'):
        InputRange.parse(setting)


@pytest.mark.parametrize('shape', [(40, 60), (40, 60, 3), (40, 60, 4)])
@pytest.mark.parametrize('setting, low, high', [
    (16, 0, 65535), (12, 0, 4095), (10, 0, 1023), ('1000..5000', 1000, 5000)])
def test_values_are_scaled_and_stop_at_black_and_white(setting, low, high, shape):
    pixels = pixels_of(0, 65535, shape)
    pixels.flat[:4] = low, high, (low + high) // 2, min(high + 7, 65535)
    exact = np.clip((pixels.astype(float) - low) / (high - low), 0, 1) * 255
    result = reader(setting)[0](pixels)
    assert result.dtype == np.uint8
    # Half a step may be rounded either way.
    assert np.abs(result - exact).max() <= 0.5 + 1e-4


def test_percentiles_are_those_of_each_image_and_alpha_is_not_counted():
    pixels = pixels_of(7000, 9000, (50, 60, 4))
    pixels[..., 3] = 65535
    for offset in (0, 20000):
        image = pixels + np.uint16(offset) * np.array([1, 1, 1, 0], np.uint16)
        low, high = np.percentile(image[..., :3], (2, 98))
        exact = np.clip((image[..., :3] - low) / (high - low), 0, 1) * 255
        result = reader('percentile 2..98')[0](image)[..., :3]
        assert np.abs(result - exact).max() <= 1
    uniform = np.full((4, 5), 8000, np.uint16)
    assert reader('percentile')[0](uniform).shape == (4, 5)


def test_8_bit_images_pass():
    pixels = np.zeros((2, 2), np.uint8)
    assert reader(12)[0](pixels) is pixels


def test_auto_takes_the_fewest_bits_so_far_and_says_so():
    read, said, warned = reader('auto')
    for largest, bits in ((200, 8), (3000, 12), (900, 12), (4096, 14), (5, 14)):
        pixels = pixels_of(0, largest)
        np.testing.assert_array_equal(read(pixels), scale(pixels, 0, (1 << bits) - 1))
    assert said == [f'input_range auto: {bits} bits, for the largest value so far, {largest}'
                    for bits, largest in ((8, 200), (12, 3000), (14, 4096))]
    assert not warned


@pytest.mark.parametrize('bits', [10, 12, 14])
def test_values_of_fewer_bits_are_warned_of_once(bits):
    read, said, warned = reader(16)
    for seed in range(12):
        read(pixels_of(0, (1 << bits) - 1, seed=seed))
        assert len(warned) == (seed >= 4)
    assert not said
    assert re.search(
        f'from 0 to {(1 << bits) - 1}, but 65535 is white: they are nearly black; set input_range '
        f'to {bits} for a camera of {bits} bits.*key of the descriptor under input', warned[0])


def test_a_bright_image_ends_the_watch():
    read, _, warned = reader(16)
    for high in (900, 800, 40000, *[900] * 9):
        read(pixels_of(0, high))
    assert not warned


def test_thermal_images_in_a_narrow_band_are_warned_of():
    read, _, warned = reader(16, watched=1)
    read(pixels_of(29000, 31000))
    assert 'nearly uniform; set input_range to percentile, or to a range such as 29000..31000' in (
        warned[0])
    read, _, warned = reader('28000..32000', watched=1)
    read(pixels_of(29000, 31000))
    assert not warned


def test_files_have_an_input_range_too(tmp_path, caplog):
    caplog.set_level(logging.INFO, 'ros2_classify')
    pixels = pixels_of(0, 4095)
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), pixels)
    dark = read_image(path)
    np.testing.assert_array_equal(dark[..., 0], scale(pixels))
    assert 'nearly black; set input_range to 12' in caplog.text
    caplog.clear()
    bright = read_image(path, input_range=12)
    np.testing.assert_array_equal(bright, np.dstack([scale(pixels, 0, 4095)] * 3))
    assert not caplog.text
    np.testing.assert_array_equal(read_image(path, input_range='auto'), bright)
    assert '12 bits' in caplog.text
    with pytest.raises(OptionsError):
        read_image(path, input_range='none')


def test_the_default_is_all_bits():
    assert InputRange.parse(16) == ALL_BITS
