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

"""Images, videos and a webcam's driver for tests of sources."""

import cv2
import numpy as np


def save(path, value, size=(40, 30)):
    """Write an image of one grey value."""
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))
    return path


def save_video(path, values, rate=25.0, size=(64, 48)):
    """Write a video whose frames have one grey value each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), rate, size)
    assert writer.isOpened()
    for value in values:
        writer.write(np.full((size[1], size[0], 3), value, np.uint8))
    writer.release()
    return path


class FakeCapture:
    """Stands in for cv2.VideoCapture: delivers a number of frames, then none."""

    frames = [3]
    opened = []

    def __init__(self, device):
        self.opened.append(device)
        self.left = self.frames.pop(0) if self.frames else 0
        self.settings = {}

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.left > 0

    def set(self, prop, value):  # noqa: A003 - OpenCV's name
        self.settings[prop] = value

    def grab(self):
        self.left -= 1
        return self.left >= 0

    def retrieve(self):
        return True, np.full((4, 6), 9, np.uint8)

    def release(self):
        self.left = 0
