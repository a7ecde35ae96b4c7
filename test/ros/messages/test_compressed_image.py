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

"""Reading compressed image messages: JPEG and PNG in all the variants that ROS senders use."""

from array import array
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from ros2_classify.errors import InputError
from ros2_classify.image_io import image_size
from ros2_classify.sources.image_messages import compressed_to_array
from sensor_msgs.msg import CompressedImage

RED_BGR = (40, 30, 220)


def encoded(pixels, suffix='.png', parameters=()):
    """Return the file's bytes."""
    done, data = cv2.imencode(suffix, pixels, list(parameters))
    assert done
    return data.tobytes()


def message(data, fmt=''):
    """Return a message that holds a file."""
    return CompressedImage(format=fmt, data=array('B', data))


def flat(color=RED_BGR, width=20, height=10):
    """Return a BGR image of one colour."""
    return np.full((height, width, 3), color, np.uint8)


def noise(channels, dtype=np.uint8):
    """Return an image of 11 x 6 random pixels."""
    shape = (6, 11) if channels == 1 else (6, 11, channels)
    return np.random.default_rng(5).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


@pytest.mark.parametrize('channels, color', [(1, 'mono'), (3, 'bgr'), (4, 'bgra')])
def test_png_comes_back_exactly(channels, color):
    pixels = noise(channels)
    result, found = compressed_to_array(message(encoded(pixels), 'png'))
    assert found == color
    np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize('channels, color', [(1, 'mono'), (3, 'bgr'), (4, 'bgra')])
def test_16_bit_png_is_scaled(channels, color):
    pixels = noise(channels, np.uint16)
    result, found = compressed_to_array(message(encoded(pixels), '16UC1; png compressed '))
    assert found == color
    np.testing.assert_array_equal(result, np.rint(pixels / 257))


@pytest.mark.parametrize('fmt', [
    'jpeg', 'jpg', '', 'png', 'bgr8; jpeg compressed bgr8', 'rgb8; jpeg compressed bgr8',
    'yuv422; jpeg compressed bgr8', 'bayer_rggb8; jpeg compressed bgr8'])
def test_jpeg_colours_do_not_depend_on_the_format_field(fmt):
    result, color = compressed_to_array(message(encoded(flat(), '.jpg'), fmt))
    assert color == 'bgr'
    assert result.shape == (10, 20, 3)
    assert np.abs(result.astype(int) - RED_BGR).max() <= 4


def test_a_sender_that_swapped_the_channels_is_believed():
    swapped = encoded(flat(RED_BGR[::-1]), '.jpg')
    result, color = compressed_to_array(message(swapped, 'rgb8; jpeg compressed rgb8'))
    assert color == 'rgb'
    assert np.abs(result.astype(int) - RED_BGR[::-1]).max() <= 4


def test_grey_jpeg_is_mono():
    result, color = compressed_to_array(
        message(encoded(np.full((8, 8), 77, np.uint8), '.jpg'), 'jpeg'))
    assert color == 'mono'
    assert np.abs(result.astype(int) - 77).max() <= 1


@pytest.mark.parametrize('bits', [8, 16])
def test_a_png_of_a_bayer_camera_holds_the_mosaic(bits):
    mosaic = np.empty((12, 12), np.uint8 if bits == 8 else np.uint16)
    scale = 1 if bits == 8 else 257
    blue, green, red = RED_BGR
    mosaic[::2, ::2], mosaic[1::2, 1::2] = red * scale, blue * scale
    mosaic[::2, 1::2] = mosaic[1::2, ::2] = green * scale
    fmt = f'bayer_rggb{bits}; png compressed '
    result, color = compressed_to_array(message(encoded(mosaic), fmt))
    assert color == 'bgr'
    np.testing.assert_array_equal(result, flat(width=12, height=12))
    grey, color = compressed_to_array(
        message(encoded(mosaic), 'bayer_rggb8; jpeg compressed mono8'))
    assert (grey.shape, color) == ((12, 12), 'mono')


def test_rotation_marks_are_not_followed():
    data = encoded(flat(width=20, height=10), '.jpg')
    tiff = b'II*\0' + struct.pack('<IHHHIHHI', 8, 1, 0x112, 3, 1, 6, 0, 0)
    exif = b'Exif\0\0' + tiff
    turned = data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:]
    assert compressed_to_array(message(turned))[0].shape == (10, 20, 3)


def chunk(kind, body):
    """Return a chunk of a PNG, with its check sum."""
    return struct.pack('>I', len(body)) + kind + body + struct.pack(
        '>I', zlib.crc32(kind + body))


def bomb_png(width, height):
    """Return a PNG that claims a size and holds next to nothing."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', zlib.compress(b'\0' * 1000)) + chunk(b'IEND', b''))


def bomb_jpeg(width, height):
    """Return a JPEG whose frame header claims another size."""
    data = bytearray(encoded(flat(), '.jpg'))
    at = data.index(b'\xff\xc0')
    data[at + 5:at + 9] = struct.pack('>HH', height, width)
    return bytes(data)


@pytest.mark.parametrize('bomb', [bomb_png(20000, 20000), bomb_jpeg(65000, 65000)])
def test_a_bomb_is_refused_before_it_is_decoded(bomb, monkeypatch):
    def explode(*_):
        pytest.fail('the image was decoded')
    monkeypatch.setattr(cv2, 'imdecode', explode)
    with pytest.raises(InputError, match='has more than the .* pixels allowed'):
        compressed_to_array(message(bomb))


def hostile_png(number):
    """Return a PNG with valid chunks and no pixels."""
    header = struct.pack('>IIBBBBB', 20, 10, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', b'no pixels %d' % number) + chunk(b'IEND', b''))


def damaged_jpeg(number):
    """Return a JPEG with a bad byte in its middle; libjpeg reads it with a warning."""
    data = bytearray(encoded(noise_of(64), '.jpg'))
    data[len(data) // 2 + number] = 0xFF
    data[len(data) // 2 + number + 1] = 0xD3
    return bytes(data)


def noise_of(side):
    """Return an image of random pixels."""
    return np.random.default_rng(8).integers(0, 256, (side, side, 3), np.uint8)


def test_a_png_without_pixels_is_refused():
    for number in range(20):
        with pytest.raises(InputError, match='damaged'):
            compressed_to_array(message(hostile_png(number)))


def test_a_jpeg_with_a_bad_byte_is_read():
    for number in range(20):
        assert compressed_to_array(message(damaged_jpeg(number)))[0].shape == (64, 64, 3)


def test_the_descriptor_of_stderr_is_left_alone(capfd, monkeypatch):
    before = os.fstat(2).st_ino

    def imdecode(*_):
        assert os.fstat(2).st_ino == before
        return flat()

    monkeypatch.setattr(cv2, 'imdecode', imdecode)
    compressed_to_array(message(JPEG))


def test_an_exception_of_the_decoder_is_an_input_error(monkeypatch):
    def imdecode(*_):
        raise cv2.error('no way')

    monkeypatch.setattr(cv2, 'imdecode', imdecode)
    with pytest.raises(InputError, match='cannot be decoded: no way'):
        compressed_to_array(message(JPEG))


@pytest.mark.parametrize(('at', 'kind'), [(30, 'IHDR'), (45, 'IDAT'), (-2, 'IEND')])
def test_a_png_whose_check_sum_is_wrong_is_not_decoded(at, kind, monkeypatch):
    data = bytearray(PNG)
    data[at] ^= 1
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('the image was decoded'))
    with pytest.raises(InputError, match=f'checksum of the chunk .{kind}. at byte .* is wrong'):
        compressed_to_array(message(bytes(data)))


def test_the_pixel_limit_is_the_callers():
    data = encoded(flat())
    assert compressed_to_array(message(data), max_pixels=200)[0].shape == (10, 20, 3)
    with pytest.raises(InputError, match='20x10 has more than the 199 pixels'):
        compressed_to_array(message(data), max_pixels=199)


JPEG, PNG = encoded(flat(), '.jpg'), encoded(flat())


@pytest.mark.parametrize('data, words', [
    (b'', 'data is empty'),
    (b'GIF89a' + bytes(20), 'starts with 47 49 46 38 39 61 00 00, but must be JPEG or PNG'),
    (JPEG[:20], 'JPEG of 20 bytes has no complete header'),
    (b'\xff\xd8\xff', 'no complete header'),
    (b'\xff\xd8\xff\xd9', 'no complete header'),
    (PNG[:20], 'PNG of 20 bytes has no complete header'),
    (JPEG[:-40], 'JPEG of 20x10 is cut off'),
    (PNG[:-30], 'PNG of 20x10 is cut off'),
    (bomb_png(0, 10), 'no pixels: its size is 0x10'),
    (PNG[:8] + PNG[8:40] + bytes(len(PNG) - 48) + PNG[-8:], 'PNG of 20x10'),
], ids=range(10))
def test_bad_data_is_refused_with_a_reason(data, words):
    with pytest.raises(InputError, match=words):
        compressed_to_array(message(data, 'jpeg'))


def test_every_cut_and_every_flipped_byte_gives_pixels_or_an_error():
    rng = np.random.default_rng(7)
    decoded = 0
    for data in (JPEG, PNG):
        for at in range(0, len(data), 7):
            flipped = bytearray(data)
            flipped[at] ^= int(rng.integers(1, 256))
            for bad in (data[:at], bytes(flipped)):
                try:
                    pixels, _ = compressed_to_array(message(bad), max_pixels=10**6)
                except InputError:
                    continue
                assert pixels.dtype == np.uint8
                decoded += 1
    assert decoded > 0


@pytest.mark.parametrize('parameters', [
    (), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)])
def test_the_size_is_read_from_all_kinds_of_jpeg(parameters):
    data = encoded(flat(width=33, height=17), '.jpg', parameters)
    assert image_size(data) == (33, 17)
    filled = data[:2] + b'\xff\xff' + data[2:]
    assert image_size(filled) == (33, 17)


def textured(channels=3, width=330, height=250):
    """Return an image with structure in every block."""
    shape = (20, 25) if channels == 1 else (20, 25, channels)
    small = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


KINDS = {'baseline': (), 'progressive': (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
         'restarts': (cv2.IMWRITE_JPEG_RST_INTERVAL, 3)}
END = b'\xff\xd9'
# A thumbnail has an end marker of its own.
THUMBNAIL = b'\xff\xe1' + (2 + len(JPEG)).to_bytes(2, 'big') + JPEG


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('kind', KINDS)
def test_a_jpeg_without_its_last_marker_is_read(kind, channels):
    data = encoded(textured(channels), '.jpg', KINDS[kind])
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert data.endswith(END)
    for bytes_ in (data, data[:-1], data[:-2], data + bytes(9), data[:2] + THUMBNAIL + data[2:-2]):
        np.testing.assert_array_equal(compressed_to_array(message(bytes_, 'jpeg'))[0], expected)


@pytest.mark.parametrize('tail', [b'', END, b'\xff'], ids=['cut', 'end marker', 'half of it'])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('kind', KINDS)
def test_a_jpeg_whose_data_ended_early_is_refused(kind, channels, tail):
    data = encoded(textured(channels), '.jpg', KINDS[kind])
    data = data[:2] + THUMBNAIL + data[2:]
    first = data.index(b'\xff\xda', len(THUMBNAIL))
    # Before an end marker, a part of the last block or of the last scan may be missing.
    last = len(data) - (3 if tail != END else 300)
    if kind == 'progressive' and tail == END:
        last = data.rindex(b'\xff\xda')
    for end in np.linspace(first + 20, last, 12, dtype=int):
        with pytest.raises(InputError, match='JPEG of 330x250 is cut off: its image data ended'):
            compressed_to_array(message(data[:end] + tail, 'jpeg'))


@pytest.mark.parametrize('tail', [b'', END])
def test_the_last_byte_of_a_small_jpeg_is_missed(tail):
    data = encoded(textured(width=20, height=20), '.jpg', (cv2.IMWRITE_JPEG_QUALITY, 100))[:-6]
    with pytest.raises(InputError, match='JPEG of 20x20 is cut off'):
        compressed_to_array(message(data + tail, 'jpeg'))


@pytest.mark.parametrize('fmt', ['mono16; png compressed ', 'bayer_rggb16; png compressed '])
def test_the_callers_scale_is_used_for_16_bits(fmt):
    values = (np.arange(60 * 80).reshape(60, 80) % 4096).astype(np.uint16)
    seen = []

    def to_8_bits(pixels):
        seen.append(pixels.dtype)
        return (pixels // 16).astype(np.uint8)

    pixels, color = compressed_to_array(message(encoded(values), fmt), to_8_bits=to_8_bits)
    assert seen == [np.uint16] and pixels.max() == 255
    assert color == ('bgr' if 'bayer' in fmt else 'mono')
    if color == 'mono':
        np.testing.assert_array_equal(pixels, values // 16)


def test_a_grey_jpeg_is_no_sign_of_missing_data():
    grey = flat((128, 128, 128), 640, 480)
    pixels, _ = compressed_to_array(message(encoded(grey, '.jpg'), 'jpeg'))
    np.testing.assert_array_equal(pixels, grey)
