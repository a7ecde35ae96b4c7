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

"""Reading image messages: each encoding against pixels that were encoded here, in plain numpy."""

from array import array

import cv2
import numpy as np
import pytest
from ros2_classify.errors import InputError
from ros2_classify.ros.messages.image import to_ids_msg, to_image_msg
from ros2_classify.sources.image_messages import ENCODINGS, ImageError, to_array, to_bgr, to_ids
from sensor_msgs.msg import Image
from std_msgs.msg import Header

# Red, green, blue, white, black and two mixed colours, as RGB.
PATCHES = np.array([
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 100, 30),
    (20, 90, 180), (128, 128, 128)], np.uint8)
SIDE = 12

PLAIN = {'mono8': 'mono', 'rgb8': 'rgb', 'bgr8': 'bgr', 'rgba8': 'rgba', 'bgra8': 'bgra',
         '8UC1': 'mono', '8UC3': 'bgr', '8UC4': 'bgra'}
WIDE = {'mono16': 'mono', 'rgb16': 'rgb', 'bgr16': 'bgr', 'rgba16': 'rgba', 'bgra16': 'bgra',
        '16UC1': 'mono', '16UC3': 'bgr', '16UC4': 'bgra'}
BAYER = [f'bayer_{pattern}{bits}' for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')
         for bits in (8, 16)]


def message(rows, encoding, width, height, padding=0, trailing=0, big_endian=False):
    """Make a message from the bytes of each row; padding and trailing bytes are garbage."""
    msg = Image(height=height, width=width, encoding=encoding, is_bigendian=int(big_endian))
    msg.step = len(rows[0]) + padding
    msg.data = array('B', b''.join(row + b'\xa5' * padding for row in rows) + b'\x5a' * trailing)
    return msg


def rows_of(pixels, big_endian=False):
    """Return the bytes of each row; 16-bit numbers in the byte order asked for."""
    order = '>' if big_endian else '<'
    return [row.astype(row.dtype.newbyteorder(order)).tobytes() for row in pixels]


def random_pixels(channels, dtype=np.uint8, width=7, height=5):
    """Return an image of odd size; two dimensions for one channel."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(channels).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def patches():
    """Return an RGB image of patches in one colour each, 48 x 24 pixels."""
    grid = PATCHES.reshape(2, 4, 3)
    return grid.repeat(SIDE, 0).repeat(SIDE, 1)


def inner(image):
    """Return the colours in the middle of the patches."""
    return image[SIDE // 2::SIDE, SIDE // 2::SIDE].reshape(8, -1).astype(int)


def yuv(rgb):
    """Encode RGB to Y, U, V after ITU-R BT.601, limited range, each [height, width]."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255
    v = 128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255
    return [np.rint(plane).astype(np.uint8) for plane in (y, u, v)]


def mosaic(rgb, pattern):
    """Sample one colour a pixel; the pattern names the first row's two, then the second's."""
    result = np.empty(rgb.shape[:2], rgb.dtype)
    for i, letter in enumerate(pattern):
        result[i // 2::2, i % 2::2] = rgb[i // 2::2, i % 2::2, 'rgb'.index(letter)]
    return result


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', PLAIN)
def test_8_bit_encodings_are_views_of_the_message(encoding, padding):
    pixels = random_pixels(ENCODINGS[encoding].channels)
    msg = message(rows_of(pixels), encoding, 7, 5, padding, trailing=3)
    result, color = to_array(msg)
    assert color == PLAIN[encoding]
    np.testing.assert_array_equal(result, pixels)
    assert np.shares_memory(result, np.frombuffer(msg.data, np.uint8))
    assert not result.flags.writeable


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize('padding', [0, 3, 4])
@pytest.mark.parametrize('encoding', WIDE)
def test_16_bit_encodings_are_scaled_by_255_over_65535(encoding, padding, big_endian):
    pixels = random_pixels(ENCODINGS[encoding].channels, np.uint16)
    msg = message(rows_of(pixels, big_endian), encoding, 7, 5, padding, 2, big_endian)
    result, color = to_array(msg)
    assert color == WIDE[encoding]
    np.testing.assert_array_equal(result, np.rint(pixels / 257))


def test_16_bits_keep_all_8_bit_values():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    result, _ = to_array(message(rows_of(values), 'mono16', 256, 256))
    np.testing.assert_array_equal(result, np.rint(values / 257))


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', BAYER)
def test_bayer_colours_are_right(encoding, padding, big_endian):
    rgb = patches()
    cells = mosaic(rgb, encoding[6:10])
    if encoding.endswith('16'):
        cells = cells.astype(np.uint16) * 257
    msg = message(rows_of(cells, big_endian), encoding, 48, 24, padding, big_endian=big_endian)
    result, color = to_array(msg)
    assert color == 'bgr'
    np.testing.assert_array_equal(inner(result[..., ::-1]), PATCHES)


@pytest.mark.parametrize('padding', [0, 10])
@pytest.mark.parametrize('encoding', ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv'])
def test_yuv_422_colours_are_right(encoding, padding):
    y, u, v = yuv(patches())
    chroma = np.empty_like(y)
    chroma[:, ::2], chroma[:, 1::2] = u[:, ::2], v[:, ::2]
    pair = [chroma, y] if encoding in ('yuv422', 'uyvy') else [y, chroma]
    msg = message(rows_of(np.dstack(pair)), encoding, 48, 24, padding, trailing=7)
    result, color = to_array(msg)
    assert color == 'bgr'
    assert np.abs(inner(result[..., ::-1]) - PATCHES).max() <= 3


@pytest.mark.parametrize('padding', [0, 16])
@pytest.mark.parametrize('encoding', ['nv12', 'nv21', 'nv24'])
def test_semi_planar_yuv_colours_are_right(encoding, padding):
    y, u, v = yuv(patches())
    first, second = (v, u) if encoding == 'nv21' else (u, v)
    every = 1 if encoding == 'nv24' else 2
    chroma = np.dstack([first, second])[::every, ::every].reshape(24 // every, -1)
    luma_rows, chroma_rows = rows_of(y), rows_of(chroma)
    msg = message(luma_rows, encoding, 48, 24, padding)
    chroma_padding = b'\xa5' * (padding * (2 if encoding == 'nv24' else 1))
    msg.data.extend(b''.join(row + chroma_padding for row in chroma_rows))
    result, color = to_array(msg)
    assert color == 'bgr'
    assert result.shape == (24, 48, 3)
    assert np.abs(inner(result[..., ::-1]) - PATCHES).max() <= 3


@pytest.mark.parametrize('padding', [0, 16])
@pytest.mark.parametrize('encoding', ['i420', 'yuv420', 'YUV420', 'yuv420p', 'yv12'])
def test_planar_yuv_colours_are_right(encoding, padding):
    y, u, v = yuv(patches())
    msg = message(rows_of(y), encoding, 48, 24, padding)
    for plane in (v, u) if encoding == 'yv12' else (u, v):
        msg.data.extend(b''.join(row + b'\xa5' * (padding // 2) for row in rows_of(
            plane[::2, ::2])))
    result, color = to_array(msg)
    assert color == 'bgr' and result.shape == (24, 48, 3)
    assert np.abs(inner(result[..., ::-1]) - PATCHES).max() <= 3
    # A crop, whose last row has no padding; and a byte less.
    end = len(msg.data) - padding // 2
    msg.data = msg.data[:end]
    np.testing.assert_array_equal(to_array(msg)[0], result)
    msg.data = msg.data[:-1]
    with pytest.raises(ImageError, match=f'takes {end}'):
        to_array(msg)


def test_nv24_agrees_with_opencv_where_chroma_is_flat():
    y, u, v = yuv(np.repeat(np.repeat(patches(), 2, 0), 2, 1))
    full = message([*rows_of(y)], 'nv24', 96, 48)
    full.data.extend(np.dstack([u, v]).tobytes())
    half = message([*rows_of(y)], 'nv12', 96, 48)
    half.data.extend(np.ascontiguousarray(np.dstack([u, v])[::2, ::2]).tobytes())
    difference = to_array(full)[0].astype(int) - to_array(half)[0]
    assert np.abs(difference).max() <= 2


def test_a_crop_needs_no_padding_after_its_last_row():
    whole = random_pixels(3, width=20, height=10)
    data = whole.tobytes()
    msg = Image(width=6, height=4, encoding='rgb8', step=60)
    start = 3 * 60 + 5 * 3
    msg.data = array('B', data[start:start + 3 * 60 + 6 * 3])
    np.testing.assert_array_equal(to_array(msg)[0], whole[3:7, 5:11])
    msg.data = msg.data[:-1]
    with pytest.raises(ImageError, match='data has 197 bytes, but a rgb8 image of 6x4'):
        to_array(msg)


BAD = {
    'no size': ({'width': 0, 'height': 480}, 'no pixels: its size is 0x480'),
    'no height': ({'height': 0}, 'no pixels'),
    'small step': ({'step': 10}, 'step is 10, but a row of a rgb8 image of 8x6 takes 24'),
    'zero step': ({'step': 0}, 'step is 0'),
    'huge step': ({'step': 2**32 - 1}, 'data has 144 bytes'),
    'short data': ({'height': 7}, 'data has 144 bytes, but .* with step 24 takes 168'),
    'unknown encoding': (
        {'encoding': 'rgb565'}, "unknown encoding 'rgb565'.*supported are: mono8"),
    'long encoding': ({'encoding': 'x' * 10**6}, f"unknown encoding '{'x' * 40}...'; supported"),
    'empty encoding': ({'encoding': ''}, "unknown encoding ''"),
    'wrong case': ({'encoding': 'RGB8'}, "did you mean 'rgb8'"),
    # Read as yuv422, which is close by its letters, it would be garbage.
    'another yuv': ({'encoding': 'yuv444'}, "unknown encoding 'yuv444'; supported"),
    'packed 12 bits': ({'encoding': 'bayer_rggb12'}, "'bayer_rggb12'; supported"),
    'another spelling': ({'encoding': 'Bayer-RGGB8'}, "did you mean 'bayer_rggb8'"),
    'a codec': ({'encoding': 'mjpeg'}, 'compressed format.*CompressedImage'),
    'odd step': ({'encoding': 'i420', 'step': 9}, 'step is 9, but must be even'),
    'odd yv12': ({'encoding': 'yv12', 'height': 5}, 'width and height must be even'),
    'depth': ({'encoding': '32FC1'}, 'contains measurements'),
    'huge size': ({'width': 2**32 - 1, 'height': 2**32 - 1}, 'max_image_pixels'),
    'odd yuyv': ({'width': 7, 'encoding': 'yuyv'}, 'its width must be even'),
    'odd nv12': ({'height': 5, 'encoding': 'nv12'}, 'width and height must be even'),
    'short nv21': ({'encoding': 'nv21'}, 'data has 144 bytes, but a nv21 .* takes 200'),
    'short nv24': ({'encoding': 'nv24'}, 'data has 144 bytes'),
    'small bayer': ({'width': 2, 'encoding': 'bayer_rggb8'}, 'both sides need 3 pixels'),
}


@pytest.mark.parametrize('change, words', BAD.values(), ids=BAD)
def test_a_malformed_message_is_refused_in_words(change, words):
    msg = message(rows_of(random_pixels(3, width=8, height=6)), 'rgb8', 8, 6)
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(ImageError, match=words) as caught:
        to_array(msg)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('trailing', [0, 200])
def test_a_file_in_the_place_of_pixels_is_named(suffix, trailing):
    data = cv2.imencode(suffix, np.zeros((6, 8, 3), np.uint8))[1].tobytes()
    # With and without as many bytes as pixels would have.
    msg = message([data[:24] if trailing else data], 'bgr8', 8, 6)
    msg.step, msg.data = 24, array('B', data + bytes(trailing))
    with pytest.raises(ImageError, match=(
            r'data is a (JPEG|PNG) of 8x6, not bgr8 pixels.*CompressedImage.*image_transport')):
        to_array(msg)


def test_pixels_that_begin_as_a_jpeg_are_pixels():
    pixels = random_pixels(3)
    pixels[0, 0] = (0xFF, 0xD8, 0xFF)
    np.testing.assert_array_equal(to_array(message(rows_of(pixels), 'bgr8', 7, 5))[0], pixels)


def test_the_pixel_limit_is_the_callers():
    msg = message(rows_of(random_pixels(1)), 'mono8', 7, 5)
    assert to_array(msg, max_pixels=35)[0].shape == (5, 7)
    with pytest.raises(ImageError, match='7x5 has more than the 34 pixels'):
        to_array(msg, max_pixels=34)


@pytest.mark.parametrize('encoding', PLAIN)
def test_what_is_written_reads_the_same(encoding):
    pixels = random_pixels(ENCODINGS[encoding].channels)
    header = Header(frame_id='eye')
    msg = to_image_msg(pixels, encoding, header)
    assert (msg.width, msg.height, msg.step) == (7, 5, 7 * ENCODINGS[encoding].channels)
    assert msg.header == header and msg.encoding == encoding
    np.testing.assert_array_equal(to_array(msg)[0], pixels)


def test_a_strided_image_is_written_whole():
    pixels = random_pixels(3, width=20, height=10)[2:8, 3:15]
    msg = to_image_msg(pixels, 'bgr8', Header())
    np.testing.assert_array_equal(to_array(msg)[0], pixels)


@pytest.mark.parametrize('pixels, encoding, words', [
    (np.zeros((4, 4, 3), np.uint8), 'mono8', 'takes uint8 with 1 channel'),
    (np.zeros((4, 4), np.uint8), 'bgr8', 'takes uint8 with 3 channel'),
    (np.zeros((4, 4, 3), np.uint16), 'bgr8', 'an array of uint16'),
    (np.zeros((4, 4, 3), np.uint8), 'bgr16', "cannot write encoding 'bgr16'; use one of: mono8"),
    (np.zeros((4, 4, 3), np.uint8), 'nonsense', "cannot write encoding 'nonsense'"),
])
def test_a_image_that_does_not_fit_its_encoding_is_refused(pixels, encoding, words):
    with pytest.raises(ImageError, match=words):
        to_image_msg(pixels, encoding, Header())


@pytest.mark.parametrize('color, order', [
    ('rgb', [2, 1, 0]), ('bgr', [0, 1, 2]), ('rgba', [2, 1, 0]), ('bgra', [0, 1, 2])])
def test_to_bgr_puts_the_channels_in_order(color, order):
    pixels = random_pixels(len(color))
    before = pixels.copy()
    result = to_bgr(pixels, color)
    np.testing.assert_array_equal(result, pixels[..., order])
    np.testing.assert_array_equal(pixels, before)


def test_to_bgr_repeats_grey():
    pixels = random_pixels(1)
    np.testing.assert_array_equal(to_bgr(pixels, 'mono'), np.dstack([pixels] * 3))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('big_endian', [False, True])
def test_numbers_of_objects_come_back_unscaled(dtype, padding, big_endian):
    ids = random_pixels(1, dtype)
    header = Header(frame_id='eye')
    made = to_ids_msg(ids, header)
    encoding = {np.uint8: 'mono8', np.uint16: 'mono16'}[dtype]
    assert (made.encoding, made.width, made.height) == (encoding, 7, 5)
    assert made.header is header and made.step == 7 * ids.itemsize
    assert np.array_equal(to_ids(made), ids) and to_ids(made).dtype == dtype
    sent = message(rows_of(ids, big_endian), encoding, 7, 5, padding, big_endian=big_endian)
    assert np.array_equal(to_ids(sent), ids)
    # Readers of images get the same shape.
    assert to_array(made)[0].shape == (5, 7)


def test_numbers_in_colour_are_refused():
    with pytest.raises(ImageError, match="'rgb8' contains no ids"):
        to_ids(Image(width=1, height=1, step=3, encoding='rgb8', data=[0, 0, 0]))
    with pytest.raises(ImageError, match='data has 1 bytes'):
        to_ids(Image(width=2, height=1, step=4, encoding='mono16', data=[0]))
