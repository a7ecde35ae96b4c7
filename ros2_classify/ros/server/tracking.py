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

"""Ids over time in the server: parameters, and the step of a stream that gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import time
from typing import Any

from rclpy.node import Node
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options
from ros2_classify.results.results import Detections, Result
from ros2_classify.tracking.tracker import Tracker, TrackOptions
from ros2_classify.tracking.weak import results
from std_srvs.srv import Trigger


def track_options(parameters: Any) -> TrackOptions | None:
    """Return what the parameters ask for; None without tracking."""
    if not parameters['tracking']:
        return None
    high = parameters['track_high']
    return TrackOptions(
        # Two parameters can't always be set at once: the lower one counts.
        high, min(parameters['track_low'], high), parameters['track_lost_seconds'],
        parameters['track_confirm'])


class Tracking:
    """
    Gives the detections of one stream their ids.

    `ids` are those of the stream for the whole run. One thread at a time calls it, any resets it.
    """

    def __init__(self, ids: Iterator[int]) -> None:
        self._tracker = Tracker(ids=ids)
        self._labels: list[tuple[int, str]] | None = None
        self._labels_from: Labels | None = None
        self._reset = False

    @property
    def live_ids(self) -> frozenset[str]:
        """The ids of all objects that are found or may still be found again."""
        return self._tracker.live_ids

    def reset(self) -> None:
        """Forget all objects before the next image."""
        self._reset = True

    def __call__(self, result: Result, stamp: float, tracking: TrackOptions | None,
                 options: Options, labels: Labels | None) -> Result:
        """Return the result with ids, and without what is only for the tracker."""
        if tracking is None or not isinstance(result, Detections):
            # Switched on again it does not know what happened in between.
            self._reset = True
            return result
        # Before each reset: the labels of its first image are no change for the second.
        other = self._other_classes(labels)
        if other or self._reset:
            self._reset = False
            self._tracker.reset()
        self._tracker.options = tracking
        return results(self._tracker(result, stamp), options, labels)

    def _other_classes(self, labels: Labels | None) -> bool:
        """Tell whether this model has other classes than the one before."""
        if labels is self._labels_from:
            return False
        self._labels_from = labels
        before, self._labels = self._labels, None if labels is None else list(labels.items())
        return self._labels != before


def seconds_of(stamp: Any) -> float:
    """Return the time of an image; cameras without stamps have the present one."""
    if stamp.sec or stamp.nanosec:
        return float(stamp.sec + 1e-9 * stamp.nanosec)
    return time.monotonic()


class ResetTracks:
    """The service that forgets all objects, of all streams."""

    def __init__(self, node: Node, reset: Callable[[], int]) -> None:
        self._node = node
        self._reset = reset
        self._service = node.create_service(Trigger, '~/reset_tracks', self._serve)

    def _serve(self, request: Any, response: Any) -> Any:
        count = self._reset()
        response.success = count > 0
        response.message = (
            f'the objects of {count} streams are forgotten; new ones have new ids' if count else
            'there is no tracking to reset: set the parameter tracking to true')
        return response

    def destroy(self) -> None:
        """Take the service away."""
        self._node.destroy_service(self._service)
