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


"""A camera's annotated image for the page, which has no topic."""

from __future__ import annotations

from collections import deque
import time

from ros2_classify.results.overlay_tracks import Trails
from ros2_classify.results.results import Result
from ros2_classify.ros.server.output import Output, Published
from ros2_classify.ros.server.publishers import annotated
from ros2_classify.web.feed import Feed

_WINDOW = 20


class PageOutput(Output):
    """A camera's annotated image on the page: no topic, but a listener for each browser."""

    in_metres = True

    def __init__(self) -> None:
        super().__init__(None)
        self.feed = Feed()
        self.newest: Result | None = None
        self._trails = Trails()
        self._times: deque[float] = deque(maxlen=_WINDOW)

    @property
    def listeners(self) -> int:
        """How many browsers show it."""
        return self.feed.listeners

    @property
    def rate(self) -> float:
        """Results per second, of late."""
        times = list(self._times)
        span = times[-1] - times[0] if len(times) > 1 else 0.0
        return round((len(times) - 1) / span, 1) if span > 0 else 0.0

    def write(self, published: Published) -> None:
        """Offer the image; a thread of the page draws it."""
        self.newest = published.result
        self._times.append(time.monotonic())
        # The positions are found in this thread: the locator belongs to it.
        assert published.shown is not None
        self.feed.offer(lambda: annotated(published, self._trails))
