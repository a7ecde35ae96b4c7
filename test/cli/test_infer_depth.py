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

"""``infer --depth``: distances printed and drawn, and what is refused."""

from __future__ import annotations

import json
import os
import struct
import zlib

import attacks
import cv2
import numpy as np
import pytest
from ros2_classify import cli
from ros_models import save_detector

CAMERA = """\
image_width: 640
image_height: 480
camera_matrix: {rows: 3, cols: 3, data: [500, 0, 319.5, 0, 500, 239.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
"""


@pytest.fixture
def files(tmp_path):
    """Return the words of a command: the cup is 1.5 m away, the ball's depth is unknown."""
    depth = np.full((480, 640), 1500, np.uint16)
    depth[:120, :320] = 0
    cv2.imwrite(str(tmp_path / 'depth.png'), depth)
    cv2.imwrite(str(tmp_path / 'image.png'), np.full((480, 640, 3), 90, np.uint8))
    (tmp_path / 'camera.yaml').write_text(CAMERA)
    return {'--model': save_detector(tmp_path), '--image': tmp_path / 'image.png',
            '--depth': tmp_path / 'depth.png', '--camera-info': tmp_path / 'camera.yaml'}


def run(files, *more, without=()):
    words = [str(word) for pair in files.items() if pair[0] not in without for word in pair]
    return cli.main(['infer', *words, *more])


def test_distances_are_printed_and_drawn(files, tmp_path, capsys):
    assert run(files, '--json', '--output', str(tmp_path / 'out.png')) == 0
    said = capsys.readouterr()
    cup, ball = json.loads(said.out)['results']
    # The middle of the box is at (320, 300).
    assert cup['position'] == pytest.approx([0, 60 / 500 * 1.5, 1.5])
    assert ball['position'] is None
    assert 'no position for ball: 100% of its pixels in the depth image are invalid' in said.err
    plain = tmp_path / 'plain.png'
    assert run(files, '--output', str(plain), without=('--depth', '--camera-info')) == 0
    assert (cv2.imread(str(plain)) != cv2.imread(str(tmp_path / 'out.png'))).any()
    capsys.readouterr()
    assert run(files) == 0
    assert '1.51' in capsys.readouterr().out


@pytest.mark.parametrize('without, words', [
    (('--camera-info',), '--depth takes --camera-info'), (('--depth',), 'is for --depth')])
def test_half_of_it_is_refused(files, capsys, without, words):
    assert run(files, without=without) == 2
    assert words in capsys.readouterr().err


def test_an_image_that_is_no_depth_is_refused(files, capsys):
    assert run({**files, '--depth': files['--image']}) == 2
    assert 'must have one channel: PNG of 16 bits' in capsys.readouterr().err


def test_a_depth_image_is_read_like_any_other(files, tmp_path, capsys):
    """A pipe was waited for, and a small file took gigabytes."""
    os.mkfifo(tmp_path / 'pipe.png')
    assert run({**files, '--depth': tmp_path / 'pipe.png'}) == 2
    assert 'not a regular file' in capsys.readouterr().err
    header = attacks.chunk(b'IHDR', struct.pack('>IIBBBBB', 30000, 30000, 16, 0, 0, 0, 0))
    (tmp_path / 'bomb.png').write_bytes(b'\x89PNG\r\n\x1a\n' + header + attacks.chunk(
        b'IDAT', zlib.compress(bytes(1000))) + attacks.chunk(b'IEND', b''))
    assert run({**files, '--depth': tmp_path / 'bomb.png'}) == 2
    assert '30000x30000 has more than the 67108864 pixels' in capsys.readouterr().err
    assert run({**files, '--depth': files['--image']}) == 2
    assert 'uint8 (480, 640, 3) but must have one channel' in capsys.readouterr().err
