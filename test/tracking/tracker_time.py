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

"""How long the tracker takes: ``python test/tracking/tracker_time.py``."""

import time

import numpy as np
from ros2_classify import Tracker
import sequences


def measure(boxes=20, images=600):
    """Return the CPU time of each image in seconds."""
    random = np.random.default_rng(0)
    begin, phase = random.uniform(200, 1500, (boxes, 2)), random.uniform(0, 6, (boxes, 2))
    tracker, times = Tracker(), []
    for image in range(images):
        corner = begin + 100 * np.sin(image / 100 + phase)
        found = sequences.detections(
            np.hstack((corner, corner + [80, 120])) + random.normal(0, 2, (boxes, 4)),
            random.uniform(0.3, 0.9, boxes), size=(1920, 1920))
        started = time.thread_time()
        tracker(found, image / 30)
        times.append(time.thread_time() - started)
    return times


if __name__ == '__main__':
    low, middle, high = 1e3 * np.percentile(measure(), (10, 50, 90))
    print(f'20 boxes: {middle:.2f} ms an image, 10 to 90 %: {low:.2f} to {high:.2f} ms')
