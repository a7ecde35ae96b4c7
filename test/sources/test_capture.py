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

"""Frames that are too large are refused before one is decoded."""

import cv2
import numpy as np
import pytest
from ros2_classify.sources import open_source, SourceError
from ros2_classify.sources.capture import retrieve


@pytest.fixture
def video(tmp_path):
    path = tmp_path / 'video.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return str(path)


def test_large_frames_of_a_video(video, monkeypatch):
    assert [frame.read().shape for frame in open_source(video).frames()] == [(48, 64, 3)]
    monkeypatch.setattr('ros2_classify.sources.capture.MAX_PIXELS', 64 * 48 - 1)
    with pytest.raises(SourceError, match='frames of video .* are 64x48, more than the 3071'):
        open_source(video)


def test_a_frame_that_has_grown_is_skipped(video, monkeypatch):
    capture = cv2.VideoCapture(video)
    assert capture.grab() and retrieve(capture) is not None
    monkeypatch.setattr('ros2_classify.sources.capture.MAX_PIXELS', 64 * 48 - 1)
    assert retrieve(capture) is None
