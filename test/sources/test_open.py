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

"""Files, directories, videos and webcams as sources of images; no ROS is needed."""

import itertools
from pathlib import Path
import re

import cv2
import numpy as np
import pytest
from ros2_classify.sources import capture, files, open_source, Size, SourceError
from source_files import FakeCapture, save, save_video

ANY_SIZE = Size()


def values_of(source):
    """Return the grey value of every image, None for what can't be read."""
    images = (frame.read() for frame in source.frames())
    return [None if image is None else int(image.mean().round()) for image in images]


def test_a_directory_is_read_in_natural_order_and_leaves_out_what_is_no_image(tmp_path):
    for name, value in (('f10.png', 10), ('f9.PNG', 9), ('f1.bmp', 1)):
        save(tmp_path / name, value)
    (tmp_path / 'notes.txt').write_text('no image')
    (tmp_path / 'sub.png').mkdir()
    source = open_source(str(tmp_path), ANY_SIZE, pytest.fail)
    assert values_of(source) == [1, 9, 10] and values_of(source) == [1, 9, 10]
    assert not source.live and source.rate == 10.0
    assert source.name == f'3 images of {tmp_path}'


def test_a_damaged_image_is_skipped_with_one_warning(tmp_path):
    save(tmp_path / 'a.png', 5)
    (tmp_path / 'b.png').write_bytes(b'\x89PNG\r\n\x1a\n and nothing more')
    (tmp_path / 'c.jpg').write_bytes(b'')
    warnings = []
    source = open_source(str(tmp_path), ANY_SIZE, warnings.append)
    assert values_of(source) == [5, None, None]
    assert values_of(source) == [5]
    assert len(warnings) == 2 and 'b.png' in warnings[0] and 'c.jpg' in warnings[1]


def test_a_directory_of_damaged_images_is_an_error(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'nothing')
    source = open_source(str(tmp_path), ANY_SIZE, lambda _: None)
    with pytest.raises(SourceError, match='none of the 1 images .* can be read; a source is'):
        values_of(source)


def test_a_single_image_is_decoded_once(tmp_path):
    path = save(tmp_path / 'one.png', 77)
    source = open_source(str(path), ANY_SIZE, pytest.fail)
    assert values_of(source) == [77]
    path.unlink()
    assert values_of(source) == [77]


def test_a_video_has_its_own_rate_and_plays_again(tmp_path):
    path = save_video(tmp_path / 'v.avi', [20, 120, 220])
    source = open_source(str(path), ANY_SIZE, pytest.fail)
    assert source.rate == pytest.approx(25.0)
    assert values_of(source) == pytest.approx([20, 120, 220], abs=3)
    assert values_of(source) == pytest.approx([20, 120, 220], abs=3)


@pytest.mark.parametrize('suffix', ['mjpeg', 'MJPG'])
def test_a_file_of_jpegs_one_after_the_other_is_a_video(tmp_path, suffix):
    path = tmp_path / f'v.{suffix}'
    frames = [cv2.imencode('.jpg', np.full((48, 64, 3), value, np.uint8))[1]
              for value in (20, 120, 220)]
    path.write_bytes(b''.join(frame.tobytes() for frame in frames))
    source = open_source(str(path), ANY_SIZE, pytest.fail)
    assert values_of(source) == pytest.approx([20, 120, 220], abs=3)
    assert values_of(source) == pytest.approx([20, 120, 220], abs=3)


def test_frames_nobody_reads_are_passed_over(tmp_path):
    path = save_video(tmp_path / 'v.avi', [20, 120, 220])
    source = open_source(str(path), ANY_SIZE, pytest.fail)
    frames = itertools.islice(source.frames(), 1, None)
    assert int(next(frames).read().mean().round()) == pytest.approx(120, abs=3)


def test_a_claimed_rate_nobody_believes_is_replaced(tmp_path, monkeypatch):
    path = save_video(tmp_path / 'v.avi', [20])

    class Liar:

        def __init__(self, name):
            self._capture = capture(name)

        def __getattr__(self, name):
            return getattr(self._capture, name)

        def get(self, what):
            return 90000.0 if what == cv2.CAP_PROP_FPS else self._capture.get(what)

    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', Liar)
    assert open_source(str(path), ANY_SIZE, pytest.fail).rate == 10.0


@pytest.mark.parametrize('device', ['/dev/zero', '/dev/null'])
def test_a_device_that_is_no_camera_is_not_read(device):
    match = f'{device} is neither a file nor a directory, but a device; a source is'
    with pytest.raises(SourceError, match=match):
        open_source(device, ANY_SIZE, pytest.fail)


@pytest.mark.parametrize(('name', 'content', 'message'), [
    ('missing.png', None, r"there is no '.*missing.png'; a source is an image file, a directory"),
    ('bad.jpg', b'garbage', r'bad\.jpg \(7 bytes\) cannot be read as an image'),
    ('bad.mp4', b'garbage', r'bad\.mp4 is neither an image nor a video that OpenCV reads'),
    ('empty.mkv', b'', r'empty\.mkv is neither'),
])
def test_what_cannot_be_used_is_named_with_what_can(tmp_path, capfd, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        open_source(str(tmp_path / name), ANY_SIZE, pytest.fail)


def test_an_empty_directory_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r'has no images \(\.bmp, .*\); a source is'):
        open_source(str(tmp_path), ANY_SIZE, pytest.fail)


@pytest.mark.parametrize(('size', 'wanted'), [
    (Size(), (40, 30)), (Size(20, 10), (20, 10)), (Size(width=20), (20, 15)),
    (Size(height=60), (80, 60)), (Size(40, 30), (40, 30))])
def test_sizes(size, wanted):
    image = np.zeros((30, 40, 3), np.uint8)
    assert size.apply(image).shape == (wanted[1], wanted[0], 3)


@pytest.fixture
def webcam(monkeypatch, tmp_path):
    """Make a device and its driver; return the class that stands in for the driver."""
    monkeypatch.setattr(FakeCapture, 'opened', [])
    monkeypatch.setattr(FakeCapture, 'frames', [1, 3, 4])
    monkeypatch.setattr(cv2, 'VideoCapture', FakeCapture)
    device = tmp_path / 'video0'
    device.touch()
    monkeypatch.setattr(
        capture, 'Path',
        lambda name: device if str(name) == '/dev/video0' else Path(name))
    return FakeCapture


def test_a_webcam_is_opened_again_after_it_stopped(webcam):
    source = open_source('0', Size(320, 240), pytest.fail)
    assert source.live and source.rate == 0.0
    assert webcam.opened == [0] and source._capture is None
    # Each time, the first frame shows that it works.
    assert values_of(source) == [9, 9]
    assert values_of(source) == [9, 9, 9] and webcam.opened == [0, 0, 0]
    with pytest.raises(SourceError, match='webcam 0 delivers no image'):
        values_of(source)
    source.close()


def test_a_webcam_is_asked_for_the_size(webcam):
    source = open_source('/dev/video0', Size(320, 240), pytest.fail)
    next(source.frames())
    settings = source._capture.settings
    assert settings[cv2.CAP_PROP_FRAME_WIDTH] == 320
    assert settings[cv2.CAP_PROP_FRAME_HEIGHT] == 240
    assert webcam.opened == ['/dev/video0'] * 2


def test_a_missing_webcam_is_told_from_a_silent_one(webcam, monkeypatch):
    with pytest.raises(SourceError, match='webcam 7 delivers no image: there is no /dev/video7'):
        open_source('7', ANY_SIZE, pytest.fail)
    monkeypatch.setattr(webcam, 'frames', [0])
    with pytest.raises(SourceError, match='in use by another program, or is not a camera'):
        open_source('0', ANY_SIZE, pytest.fail)


def test_every_named_suffix_is_one_that_opencv_reads(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    for suffix in files.IMAGE_SUFFIXES:
        grey = image[..., 0] if suffix in ('.pbm', '.pgm') else image
        path = tmp_path / f'p{suffix}'
        assert cv2.imwrite(str(path), grey), suffix
        name = open_source(str(path), ANY_SIZE, pytest.fail).name
        assert re.fullmatch(rf'image .*p{re.escape(suffix)}', name)


def test_a_pattern_is_all_its_files(tmp_path):
    for name, value in (('f10.png', 10), ('f9.png', 9), ('g1.png', 1)):
        save(tmp_path / name, value)
    source = open_source(str(tmp_path / 'f*.png'), ANY_SIZE, pytest.fail)
    assert values_of(source) == [9, 10] and source.length == 2
    assert [frame.stamp for frame in source.frames()] == [0.0, 0.1]
    save_video(tmp_path / 'f11.avi', [20, 120], rate=20.0)
    source = open_source(str(tmp_path / 'f*'), ANY_SIZE, pytest.fail)
    assert values_of(source) == pytest.approx([9, 10, 20, 120], abs=3) and source.length == 4
    assert [frame.stamp for frame in source.frames()] == pytest.approx([0.0, 0.1, 0.2, 0.25])
    with pytest.raises(SourceError, match='there is no'):
        open_source(str(tmp_path / 'x*'), ANY_SIZE, pytest.fail)


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    path = save(tmp_path / 'a[1].png', 7)
    assert values_of(open_source(str(path), ANY_SIZE, pytest.fail)) == [7]


def test_a_video_knows_its_length_and_stamps(tmp_path):
    source = open_source(str(save_video(tmp_path / 'v.avi', [1, 2, 3])), ANY_SIZE, pytest.fail)
    assert source.length == 3
    assert [frame.stamp for frame in source.frames()] == pytest.approx([0.0, 0.04, 0.08])
