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

"""Draw where objects with ids have been: a short trail behind each of them."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.results.detections import Detections
from ros2_classify.results.overlay_colors import color_of

# How long trails are, and the fewest pixels between two of their points.
_SECONDS = 1.5
_LEAST = 2.0


class Trails:
    """The trails of one camera's objects; `draw` is called with the images in their order."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._points: dict[str, deque[tuple[float, float, float]]] = {}
        self._stamp = -np.inf

    def draw(self, canvas: NDArray[np.uint8], result: Detections, stamp: float) -> None:
        """Add the objects of an image and draw all trails into it."""
        if stamp < self._stamp:
            self._points.clear()
        self._stamp = stamp
        self._add(result, stamp)
        line = max(1, round(min(canvas.shape[:2]) / 270))
        for name, points in self._points.items():
            # It gets wider towards the object.
            color = color_of(sum(name.encode()) * 7 + len(name))
            places = np.rint([point[1:] for point in points]).astype(int).tolist()
            for number, (begin, end) in enumerate(zip(places, places[1:])):
                width = max(1, round(3 * line * (number + 1) / len(places)))
                cv2.line(canvas, begin, end, color, width, cv2.LINE_AA)

    def _add(self, result: Detections, stamp: float) -> None:
        ids = [] if result.track_ids is None else result.track_ids.tolist()
        for name, (x1, _, x2, y2) in zip(ids, result.boxes.tolist()):
            if name:
                points = self._points.setdefault(name, deque())
                place = ((x1 + x2) / 2, y2)
                if not points or np.hypot(place[0] - points[-1][1],
                                          place[1] - points[-1][2]) >= _LEAST:
                    points.append((stamp, *place))
        for name in list(self._points):
            points = self._points[name]
            while points and stamp - points[0][0] > self._seconds:
                points.popleft()
            if not points:
                del self._points[name]
