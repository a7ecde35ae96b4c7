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

"""Image files: what can be read and written, and what the errors say."""

import struct

import cv2
import numpy as np
import pytest

from ros2_classify.errors import InputError
from ros2_classify.image_io import check_writable, read_image, write_image


@pytest.fixture
def pixels():
    """Return an image whose four quarters differ: blue, green, red, white."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:20, :30] = (255, 0, 0)
    image[:20, 30:] = (0, 255, 0)
    image[20:, :30] = (0, 0, 255)
    image[20:, 30:] = (255, 255, 255)
    return image


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tiff', '.ppm', '.PNG'])
def test_what_is_written_is_read(tmp_path, pixels, suffix):
    path = tmp_path / f'päth{suffix}'
    write_image(str(path), pixels)
    image = read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels)


def test_jpeg_keeps_the_colours(tmp_path, pixels):
    write_image(tmp_path / 'a.jpg', pixels)
    difference = np.abs(read_image(tmp_path / 'a.jpg').astype(int) - pixels)
    assert np.median(difference) < 8


@pytest.mark.parametrize('pixels, expected', [
    (np.full((4, 5), 128, np.uint8), 128), (np.full((4, 5), 0x8000, np.uint16), 128),
    (np.full((4, 5, 3), 0x8000, np.uint16), 128),
    (np.dstack([np.full((4, 5, 3), 128, np.uint8), np.zeros((4, 5), np.uint8)]), 128)])
def test_gray_deep_and_transparent_images_become_plain(tmp_path, pixels, expected):
    cv2.imwrite(str(tmp_path / 'a.png'), pixels)
    image = read_image(tmp_path / 'a.png')
    assert image.shape == (4, 5, 3)
    assert np.abs(image.astype(int) - expected).max() <= 1


def exif(orientation):
    """Return a JPEG segment that says how the camera was held (EXIF 2.3, tag 0x0112)."""
    tiff = b'MM\0*\0\0\0\x08' + struct.pack('>HHHIHHI', 1, 0x0112, 3, 1, orientation, 0, 0)
    return b'\xff\xe1' + struct.pack('>H', 8 + len(tiff)) + b'Exif\0\0' + tiff


@pytest.mark.parametrize('orientation, turned', [
    (1, lambda image: image), (3, lambda image: np.rot90(image, 2)),
    (6, lambda image: np.rot90(image, -1)), (8, np.rot90)])
def test_the_cameras_orientation_is_applied(tmp_path, pixels, orientation, turned):
    data = cv2.imencode('.jpg', pixels)[1].tobytes()
    (tmp_path / 'a.jpg').write_bytes(data[:2] + exif(orientation) + data[2:])
    image, expected = read_image(tmp_path / 'a.jpg'), turned(pixels)
    assert image.shape == expected.shape
    assert np.median(np.abs(image.astype(int) - expected)) < 8


@pytest.mark.parametrize('content', [b'', b'no image', b'\x89PNG\r\n\x1a\n' + b'\0' * 100])
def test_what_is_no_image(tmp_path, content):
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(
            InputError,
            match=f'a.png .{len(content)} bytes. (cannot be read as an|is not a valid) image'):
        read_image(tmp_path / 'a.png')


def test_a_file_of_several_jpegs_is_a_video(tmp_path, pixels):
    (tmp_path / 'a.mjpeg').write_bytes(2 * cv2.imencode('.jpg', pixels)[1].tobytes())
    with pytest.raises(InputError, match='a.mjpeg is a video, not an image'):
        read_image(tmp_path / 'a.mjpeg')


def test_cut_off_images(tmp_path, pixels):
    data = cv2.imencode('.png', pixels)[1].tobytes()
    (tmp_path / 'a.png').write_bytes(data[:30])
    with pytest.raises(InputError, match='is not a valid image'):
        read_image(tmp_path / 'a.png')


def test_a_jpeg_may_lack_its_last_marker_but_no_data(tmp_path):
    small = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    data = cv2.imencode('.jpg', cv2.resize(small, (480, 320)))[1].tobytes()
    for orientation in (1, 3, 6):
        turned = data[:2] + exif(orientation) + data[2:]
        (tmp_path / 'whole.jpg').write_bytes(turned)
        (tmp_path / 'a.jpg').write_bytes(turned[:-2])
        np.testing.assert_array_equal(
            read_image(tmp_path / 'a.jpg'), read_image(tmp_path / 'whole.jpg'))
        for tail in (b'', b'\xff\xd9'):
            (tmp_path / 'a.jpg').write_bytes(turned[:-300] + tail)
            with pytest.raises(InputError, match='a.jpg .* not a valid image: .* is cut off'):
                read_image(tmp_path / 'a.jpg')


def test_missing_images_and_directories(tmp_path):
    with pytest.raises(InputError, match='a.png cannot be read: No such file'):
        read_image(tmp_path / 'a.png')
    with pytest.raises(InputError, match='is a directory, not an image'):
        read_image(tmp_path)


def test_home_directories(tmp_path, monkeypatch, pixels):
    monkeypatch.setenv('HOME', str(tmp_path))
    write_image('~/a.png', pixels)
    assert read_image('~/a.png').shape == pixels.shape


@pytest.mark.parametrize('name, words', [
    ('none/a.png', 'there is no directory .*none; create it'),
    ('a', "the suffix '' is not an image format"), ('a.txt', "the suffix '.txt' is not an image"),
    ('.png', "the suffix '' is not an image"), ('dir.png', 'it is a directory; add a file name')])
def test_where_nothing_can_be_written(tmp_path, pixels, name, words):
    (tmp_path / 'dir.png').mkdir()
    for attempt in (lambda path: write_image(path, pixels), check_writable):
        with pytest.raises(InputError, match=words):
            attempt(tmp_path / name)


def test_write_errors_name_the_file(tmp_path, pixels, monkeypatch):
    def fail(path, mode):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('ros2_classify.image_io.open_to_write', fail)
    with pytest.raises(InputError, match='a.png cannot be written: No space left on device'):
        write_image(tmp_path / 'a.png', pixels)
    with pytest.raises(InputError, match='a.png cannot be written'):
        write_image(tmp_path / 'a.png', np.zeros((0, 0, 3), np.uint8))


@pytest.mark.parametrize('name', ['~no_such_user/a.png', f'{"a" * 300}.png'])
def test_paths_that_cannot_be(pixels, name):
    with pytest.raises(InputError, match='cannot be read'):
        read_image(name)
    with pytest.raises(InputError, match='cannot be written'):
        write_image(name, pixels)
