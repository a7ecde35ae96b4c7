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

"""What is wrong with one camera's images: found once a second, and said when it begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time

from rclpy.node import Node
from ros2_classify.ros.diagnostics.issues import find, Issue
from ros2_classify.ros.diagnostics.statistics import Counters
from ros2_classify.ros.node.logging import ThrottledLog
from ros2_classify.ros.server.image_monitor import ImageMonitor, LossMonitor
from ros2_classify.ros.server.subscription import ImageSubscription
from ros2_classify.ros.server.topic_diagnosis import (
    explain_losses, explain_memory, explain_silence)

# Seconds without an image until the cause is told: if the graph shows it or the images' rate is
# known; if it is not; and until it is told again. Slow cameras have this many of their intervals.
_SILENCE = 5.0
_SILENCE_UNMEASURED = 10.0
_SILENCE_AGAIN = 10.0
_INTERVALS = 3.0
# The least number of seconds in which images came and no result left.
_UNSERVED = 5.0
# Seconds until the shared memory is looked at again.
_MEMORY_AGAIN = 10.0
# Causes that the graph does not show.
_JUST_SILENT = ('no_image', 'no_local_image')


class Unserved:
    """Counts for how long images have come without a single result."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._base = (0, 0)
        self._since: float | None = None

    def look(self, received: int, results: int) -> float:
        """Return the seconds, from the counts so far."""
        if results != self._base[1] or received == self._base[0]:
            self._base, self._since = (received, results), None
            return 0.0
        now = self._clock()
        if self._since is None:
            self._since = now
        return now - self._since


class StreamIssues:
    """Judges a camera during one activation; the executor's thread calls it."""

    def __init__(self, node: Node, topic: str, monitor: ImageMonitor,
                 throttled: ThrottledLog) -> None:
        self._node = node
        self._topic = topic
        self._monitor = monitor
        self._throttled = throttled
        self._log = node.get_logger()
        self._losses = LossMonitor()
        self._unserved = Unserved()
        self._memory: Issue | None = None
        self._memory_at = 0.0
        # Whether no image came when `look` was last called.
        self._missed = False
        self._told_again_after = 0.0

    def look(self, source: ImageSubscription, counters: Counters, *, unheard: Sequence[str],
             looked_at: float, timeout: float, limit: float, last_error: str,
             more: Sequence[Issue]) -> list[Issue]:
        """
        Find what is wrong; log it unless that has just been done.

        `unheard` are the topics of results if nobody wants any; `looked_at` is when a thread last
        looked for images (``time.monotonic``); `timeout` is the parameter image_timeout, `limit`
        the seconds of a frame; `more` is wrong with images that come.
        """
        silent_for = looked_at - max(source.subscribed_at, source.last_image_at or 0.0)
        found = []
        lost = self._losses.judge(counters.received, source.lost, changing=source.changing)
        if self._losses.symptom and source.subscribed:
            found.append(explain_losses(self._losses.symptom, source))
        if lost and found:
            self._log.warning(found[0].text)
            # Why none comes is said as well.
            self._told_again_after = max(self._told_again_after, silent_for + _SILENCE_AGAIN)
        if time.monotonic() >= self._memory_at:
            self._memory_at = time.monotonic() + _MEMORY_AGAIN
            self._memory = explain_memory(self._node, source)
        if self._memory is not None:
            found.append(self._memory)
            self._throttled(self._log.warning, self._memory.text, 'memory')
        unserved_for = self._unserved.look(
            counters.received - counters.no_subscribers - counters.over_rate,
            counters.results + counters.between)
        if unheard:
            self._missed = False
            # What was seen before this node left the topic is the past.
            return [*found, self._idle(source, unheard)]
        why = self._silence(source, silent_for, timeout)
        if why is not None:
            self._missed = True
            found.insert(0, why)
            if silent_for >= self._told_again_after:
                self._log.warning(why.text)
                self._told_again_after = silent_for + _SILENCE_AGAIN
            return found
        self._told_again_after = 0.0
        if self._missed and source.last_image_at is not None:
            self._missed = False
            self._monitor.interruptions += 1
            self._log.info(f'images come on {self._topic} again')
        if unserved_for > max(_UNSERVED, limit):
            reason = (self._monitor.last_unusable or last_error
                      or 'see the status of the inference')
            found.insert(0, find(
                'no_results', topic=self._topic, seconds=unserved_for, reason=reason))
            self._throttled(self._log.error, found[0].text, 'no_results')
        found += more
        for issue in self._monitor.issues():
            found.append(issue)
            # Unusable images are logged one by one; the others have results all the same.
            if issue.key != 'unusable':
                self._throttled(self._log.info, issue.text, issue.key)
        return found

    def _silence(
            self, source: ImageSubscription, silent_for: float, timeout: float) -> Issue | None:
        """Return why no image comes, if that has lasted long enough for this camera."""
        # What the middleware tells needs no patience.
        refused = source.incompatible_policy and source.last_image_at is None
        if not source.subscribed or not refused and silent_for < min(
                _SILENCE, timeout or _SILENCE):
            return None
        why = explain_silence(self._node, source, silent_for)
        if why.key in _JUST_SILENT and not self._missed and (
                silent_for < (timeout or self._usual_timeout())):
            return None
        return why

    def _usual_timeout(self) -> float:
        interval = self._monitor.interval
        return _SILENCE_UNMEASURED if interval is None else max(_SILENCE, _INTERVALS * interval)

    def _idle(self, source: ImageSubscription, unheard: Sequence[str]) -> Issue:
        also = '' if source.is_local or self._node.count_publishers(self._topic) else (
            f'; nobody publishes on {self._topic} either')
        return find('nobody_listens', topics=', '.join(unheard), topic=self._topic, also=also)
