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

"""Image messages with anything in every field: refused with a reason, or read right."""

from __future__ import annotations

from array import array
import struct
from typing import Any
import zlib

import cv2
from fuzzing import forget_memory_peak, fuzz, memory_now, memory_peak, spoilt, TEXTS
from hypothesis import strategies as st
import numpy as np
import pytest
from ros2_classify.errors import InputError
from ros2_classify.sources.image_messages import compressed_to_array, ENCODINGS, to_array, to_ids
from sensor_msgs.msg import CompressedImage, Image

UINT32 = st.one_of(
    st.integers(0, 20), st.sampled_from((2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)),
    st.integers(0, 2**32 - 1))
PRINTABLE = TEXTS.filter(lambda text: not any('\ud800' <= each <= '\udfff' for each in text))
NAMES = st.one_of(st.sampled_from(sorted(ENCODINGS)), st.sampled_from((
    '32FC1', '16SC1', 'RGB8', 'rgb8 ', 'bayer', 'jpeg', 'h264')), PRINTABLE)


def read(msg: Any, read_message: Any) -> None:
    """Read a message: an error of ours, or an image of the size that it says."""
    try:
        pixels, color = read_message(msg, 10_000)
    except InputError as error:
        assert 0 < len(str(error)) < 2000
        return
    channels = {'mono': (), 'rgb': (3,), 'bgr': (3,), 'rgba': (4,), 'bgra': (4,)}[color]
    assert pixels.dtype == np.uint8 and pixels.shape[2:] == channels
    assert 0 < pixels.shape[0] * pixels.shape[1] <= 10_000
    int(pixels.sum())  # every byte of it can be read
    if isinstance(msg, Image):
        assert pixels.shape[:2] == (msg.height, msg.width)


@fuzz(2.0, height=UINT32, width=UINT32, step=UINT32, encoding=NAMES,
      is_bigendian=st.integers(0, 255), data=st.binary(max_size=400))
def test_any_fields(
        height: int, width: int, step: int, encoding: str, is_bigendian: int,
        data: bytes) -> None:
    """Numbers that have nothing to do with each other."""
    read(Image(height=height, width=width, step=step, encoding=encoding,
               is_bigendian=is_bigendian, data=array('B', data)), to_array)


@fuzz(2.0, height=st.integers(0, 7), width=st.integers(0, 7), encoding=NAMES,
      padding=st.integers(-2, 9), missing=st.integers(-3, 12), is_bigendian=st.integers(0, 2))
def test_nearly_right_fields(
        height: int, width: int, encoding: str, padding: int, missing: int,
        is_bigendian: int) -> None:
    """Numbers that nearly fit each other: a byte too few, a row too short, an odd side."""
    known = ENCODINGS.get(encoding)
    step = max(0, width * (known.pixel_bytes if known else 3) + padding)
    planes = {0: 2, 1: 3, 2: 6}[known.chroma_strides if known else 0]
    size = max(0, step * height * planes // 2 - missing)
    msg = Image(height=height, width=width, step=step, encoding=encoding,
                is_bigendian=is_bigendian, data=array('B', bytes(size)))
    read(msg, to_array)
    try:
        to_ids(msg)
    except InputError:
        pass


def encoded(suffix: str, shape: tuple[int, ...], dtype: Any = np.uint8, *options: int) -> bytes:
    """Return an image file."""
    limit = np.iinfo(dtype).max
    pixels = np.random.default_rng(3).integers(0, limit, shape, dtype, endpoint=True)
    done, data = cv2.imencode(suffix, pixels, list(options))
    assert done
    return bytes(data.tobytes())


FILES = [
    encoded('.png', (9, 12)), encoded('.png', (9, 12, 3)), encoded('.png', (9, 12, 4)),
    encoded('.png', (5, 6, 3), np.uint16), encoded('.jpg', (9, 12)),
    encoded('.jpg', (16, 24, 3)),
    encoded('.jpg', (16, 24, 3), np.uint8, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    encoded('.jpg', (16, 24, 3), np.uint8, cv2.IMWRITE_JPEG_RST_INTERVAL, 1)]


@fuzz(3.0, data=st.one_of(spoilt(st.sampled_from(FILES)), st.binary(max_size=200)),
      fmt=st.one_of(PRINTABLE, st.sampled_from((
          'jpeg', 'png', 'rgb8; jpeg compressed rgb8', 'bayer_rggb8; png compressed ',
          'bayer_rggb16; png compressed ', '16UC1; png compressed ', '32FC1; compressedDepth'))))
def test_compressed_images(data: bytes, fmt: str) -> None:
    """Files that were damaged, under any name."""
    read(CompressedImage(format=fmt, data=array('B', data)), compressed_to_array)


def png(width: int, height: int, body: bytes, depth: int = 8, color: int = 2) -> bytes:
    """Write a PNG whose header may say anything of its size."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack('>I', len(content)) + checked + struct.pack('>I', zlib.crc32(checked))
    header = struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', body)
            + chunk(b'IEND', b''))


def jpeg_of(width: int, height: int) -> bytes:
    """Return a small JPEG whose header says that it is large."""
    data = encoded('.jpg', (16, 24, 3))
    at = data.index(b'\xff\xc0')
    return data[:at + 5] + struct.pack('>HH', height, width) + data[at + 9:]


BOMBS = {
    'png 20000x20000': lambda: png(20_000, 20_000, zlib.compress(bytes(60_001) * 2000, 9)),
    'png 20000x20000 of 16 bits': lambda: png(
        20_000, 20_000, zlib.compress(bytes(10**7), 9), 16, 6),
    'png 4294967295x4294967295': lambda: png(2**32 - 1, 2**32 - 1, b''),
    'jpeg 20000x20000': lambda: jpeg_of(20_000, 20_000),
    'jpeg 65535x65535': lambda: jpeg_of(65_535, 65_535),
}


@pytest.mark.parametrize('name', BOMBS)
def test_decompression_bombs(name: str) -> None:
    """A few bytes that stand for gigabytes are refused by what the header says."""
    msg = CompressedImage(format='', data=array('B', BOMBS[name]()))
    forget_memory_peak()
    before = memory_now()
    with pytest.raises(InputError, match='more than the 67108864 pixels allowed'):
        compressed_to_array(msg)
    assert memory_peak() - before < 16 * 1024


@pytest.mark.parametrize('announced', [2**31 - 1, 2**32 - 128, 10**8])
@pytest.mark.parametrize('kind', [b'IDAT', b'tEXt', b'IEND'])
def test_a_png_whose_chunk_declares_more_than_there_is(announced: int, kind: bytes) -> None:
    """The decoder would take the memory, gigabytes of it, before it looks for the bytes."""
    data = bytearray(png(9, 12, zlib.compress(bytes(9 * 3 * 12 + 12))))
    at = data.find(kind) if kind != b'tEXt' else data.index(b'IDAT')
    data[at:at + 4] = kind
    data[at - 4:at] = announced.to_bytes(4, 'big')
    forget_memory_peak()
    before = memory_now()
    with pytest.raises(InputError, match=f'a chunk declares {announced} bytes'):
        compressed_to_array(CompressedImage(data=array('B', data)))
    assert memory_peak() - before < 16 * 1024


@pytest.mark.parametrize(('width', 'height'), [(0, 5), (5, 0), (0, 0)])
def test_images_without_pixels(width: int, height: int) -> None:
    """An image of 0 x N is none."""
    for data in (png(width, height, b''), jpeg_of(width, height)):
        with pytest.raises(InputError, match='has no pixels'):
            compressed_to_array(CompressedImage(data=array('B', data)))
    with pytest.raises(InputError, match='has no pixels'):
        to_array(Image(width=width, height=height, encoding='rgb8', step=15))


def test_a_large_raw_image_is_refused_before_its_bytes_are_looked_at() -> None:
    """20,000 x 20,000 pixels are too many, whatever is in the message."""
    msg = Image(width=20_000, height=20_000, encoding='bgr8', step=60_000)
    with pytest.raises(InputError, match='more than the 67108864 pixels allowed'):
        to_array(msg)
