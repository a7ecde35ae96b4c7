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

"""``infer`` with models that see time, on a video, against the Python API."""

import json

from clip_models import save_streaming, save_votes, save_window, SIZE
import cv2
import numpy as np
import pytest
from ros2_classify import cli, Pipeline


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Return a video of 20 frames at 20 Hz that gets brighter and darker."""
    path = tmp_path_factory.mktemp('video') / 'turning.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20, (64, 64))
    for number in range(20):
        writer.write(np.full((64, 64, 3), 127 + int(120 * np.sin(number)), np.uint8))
    writer.release()
    return path


def frames_of(video):
    capture, number = cv2.VideoCapture(str(video)), 0
    while True:
        good, image = capture.read()
        if not good:
            return
        yield number / 20, image
        number += 1


def rows(capsys, *arguments):
    assert cli.main(['infer', *map(str, arguments), '--json']) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize('save', [save_window, save_streaming, save_votes])
def test_the_same_as_in_python(tmp_path, capsys, video, save):
    path = save(tmp_path)
    found = rows(capsys, path, '--video', video)
    with Pipeline.load(path) as pipeline:
        expected = [each.to_dict() for each in pipeline.clips(frames_of(video), 'bgr')]
    assert len(found) == len(expected) > 5
    for one, other in zip(found, expected):
        assert one['results'] == other['results']
        assert (one['t0'], one['t1']) == pytest.approx((other['t0'], other['t1']))
        assert one['stamp'] == pytest.approx(one['t1'])


@pytest.mark.parametrize('save', [save_window, save_streaming, save_votes])
def test_one_result_for_the_whole_video(tmp_path, capsys, video, save):
    path = save(tmp_path)
    whole, = rows(capsys, path, '--video', video, '--whole')
    clips = rows(capsys, path, '--video', video)
    scores = np.array([[next(row['score'] for row in each['results'] if row['class_id'] == number)
                        for number in range(3)] for each in clips])
    expected = scores[-1] if save is save_streaming else scores.mean(axis=0)
    assert [row['score'] for row in sorted(whole['results'], key=lambda row: row['class_id'])] == (
        pytest.approx(expected, abs=2e-6))
    assert (whole['t0'], whole['t1']) == (clips[0]['t0'], clips[-1]['t1'])


def test_annotated_frames_and_lines(tmp_path, capsys, video):
    path = save_window(tmp_path)
    assert cli.main(['infer', str(path), str(video)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('0.00 to 0.30 s: ')
    output = tmp_path / 'drawn'
    assert cli.main(['infer', str(path), str(video), '--output', str(output)]) == 0
    assert len([*output.iterdir()]) == 20


def test_what_cannot_be_done_is_said(tmp_path, capsys, video):
    def said(*arguments):
        assert cli.main(['infer', *map(str, arguments)]) != 0
        return capsys.readouterr().err

    assert 'frames come at 20 Hz, and the model needs one' in said(
        save_window(tmp_path, 'rate: 50'), '--video', video)
    assert 'too few' in said(save_window(tmp_path, 'rate: 1'), '--video', video)
    image = tmp_path / 'image.png'
    cv2.imwrite(str(image), np.zeros((SIZE, SIZE, 3), np.uint8))
    assert 'infer --video' in said(save_window(tmp_path), image)
    assert '--whole is for models that see time' in said(
        'cards_classifier', '--video', video, '--whole')
    assert '--whole is for one video' in said(
        save_window(tmp_path), '--video', video, video, '--whole')
