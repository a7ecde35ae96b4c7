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


"""The benchmark's images: varied, of the wanted form, and the same every time."""

import cv2
import numpy as np
import pytest
from ros2_classify.errors import InputError
from ros2_classify.sources.image_messages import compressed_to_array, to_array, to_bgr
from ros2_classify_benchmark.nodes.frames import ENCODERS, Frames, prepare
from ros2_classify_benchmark.settings import ENCODINGS


def prepared(directory, source='', encoding='bgr8', transport='raw', size=(320, 240)):
    directory.mkdir(exist_ok=True)
    facts = prepare(str(directory), str(source), *size, encoding, transport)
    return facts, Frames(str(directory))


@pytest.fixture
def image(tmp_path):
    """Write an image of 64x48 pixels with a gradient."""
    path = tmp_path / 'image.png'
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    cv2.imwrite(str(path), np.dstack([np.tile(ramp, (48, 1)), np.full((48, 64), 90, np.uint8),
                                      np.tile(ramp[::-1], (48, 1))]))
    return path


def test_the_encodings_on_offer_are_those_that_can_be_written():
    assert set(ENCODINGS) == set(ENCODERS)


def test_no_two_images_are_equal(tmp_path, image):
    facts, frames = prepared(tmp_path / 'frames', image, size=(64, 48))
    assert facts['originals'] == 1
    assert facts['count'] == len(frames) >= 8
    assert len({bytes(frames.bytes_of(number)) for number in range(len(frames))}) == len(frames)
    assert bytes(frames.bytes_of(len(frames))) == bytes(frames.bytes_of(0))


def test_the_sample_images_are_the_default_and_give_the_same_hash_again(tmp_path):
    first, _ = prepared(tmp_path / 'a')
    second, _ = prepared(tmp_path / 'b')
    assert first == second
    assert len(first['sha256']) == 64
    assert prepared(tmp_path / 'c', encoding='rgb8')[0]['sha256'] != first['sha256']


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_images_are_read_back_as_the_server_reads_them(tmp_path, image, encoding):
    _, frames = prepared(tmp_path / 'frames', image, encoding, size=(64, 48))
    pixels, color = to_array(frames.like_message(0))
    bgr = to_bgr(pixels, color).astype(int)
    original = cv2.imread(str(image)).astype(int)
    if color == 'mono':
        assert abs(bgr[..., 0] - cv2.cvtColor(
            original.astype(np.uint8), cv2.COLOR_BGR2GRAY)).max() <= 1
    else:
        # A mosaic and halved colours blur; a wrong order of channels is off by hundreds.
        assert np.abs(bgr - original)[4:-4, 4:-4].max() <= 12


@pytest.mark.parametrize('encoding', ['bgr8', 'mono8'])
def test_compressed_images_are_read_back(tmp_path, image, encoding):
    _, frames = prepared(tmp_path / 'frames', image, encoding, 'compressed', size=(64, 48))
    pixels, color = compressed_to_array(frames.like_message(0))
    assert pixels.shape[:2] == (48, 64)
    assert color == ('mono' if encoding == 'mono8' else 'bgr')


@pytest.mark.parametrize('transport, kind', [('raw', 'Image'), ('compressed', 'CompressedImage')])
def test_messages_hold_the_same_bytes(tmp_path, image, transport, kind):
    _, frames = prepared(tmp_path / 'frames', image, transport=transport, size=(64, 48))
    message = frames.message(1)
    assert type(message).__name__ == kind
    assert bytes(message.data) == bytes(frames.bytes_of(1))


def test_odd_sides_are_refused_where_they_cannot_be(tmp_path, image):
    with pytest.raises(InputError, match='yuv422 images have even sides, and 63x48 has not'):
        prepared(tmp_path / 'frames', image, 'yuv422', size=(63, 48))


def test_a_source_without_images_is_said(tmp_path):
    with pytest.raises(InputError, match='there is no'):
        prepared(tmp_path / 'frames', tmp_path / 'nothing.mp4')


def test_a_bag_is_among_what_can_be_named(tmp_path):
    for path in (tmp_path / 'missing', tmp_path / 'bag.db3.zstd'):
        if path.suffix:
            path.write_bytes(b'compressed')
        with pytest.raises(InputError, match=r'or a bag \(\.mcap, \.db3'):
            prepare(str(tmp_path), str(path), 64, 48, 'bgr8', 'raw')


def test_a_topic_is_for_bags_alone(tmp_path, image):
    with pytest.raises(InputError, match='a topic of images needs a bag: .* is not a bag'):
        prepare(str(tmp_path), str(image), 64, 48, 'bgr8', 'raw', '/front')
