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

"""Ids over time in the server: the step of a stream that gives them, and the topic of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import importlib
import threading
import time
from typing import Any

from rclpy.node import Node
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options
from ros2_classify.results.results import Detections, Result
from ros2_classify.ros.server.output import Output, Published, Topics
from ros2_classify.tracking.events import Event, Events
from ros2_classify.tracking.places import Line, Zone
from ros2_classify.tracking.tracker import Tracker, TrackOptions, wanted_results
from std_srvs.srv import Trigger


class EventsOutput(Output):
    """Publishes what happens, for later subscribers as well; ImportError without the message."""

    def __init__(self, topics: Topics) -> None:
        messages = importlib.import_module('ros2_classify_interfaces.msg')
        try:
            self._event, self._events = messages.Event, messages.Events
        except AttributeError:
            raise ImportError('ros2_classify_interfaces has no message Events') from None
        super().__init__(topics.latched(self._events, 'events', depth=10))
        self._happened = Events()
        # The executor's thread ends what a worker's thread looks at.
        self._lock = threading.Lock()
        self._last: tuple[Any, str] = (None, '')

    @property
    def counts(self) -> dict[str, str]:
        """What has been counted at lines and zones, in words by name."""
        return self._happened.counts

    def write(self, published: Published) -> Any:
        """Return nothing: `look` publishes, so that nothing that happens is missed."""

    def look(self, result: Result, header: Any, stamp: float, live: frozenset[str],
             lines: tuple[Line, ...], zones: tuple[Zone, ...], class_id: str) -> None:
        """Publish what happened in an image, if anything did."""
        if not isinstance(result, Detections) or result.track_ids is None:
            self.end()
            return
        with self._lock:
            self._look(result, header, stamp, live, lines, zones, class_id)

    def end(self) -> None:
        """Publish that all objects are gone: nobody looks any more, and the topic is latched."""
        with self._lock:
            if events := self._happened.end():
                header, class_id = self._last
                self._publish(events, header, class_id)

    def _look(self, result: Detections, header: Any, stamp: float, live: frozenset[str],
              lines: tuple[Line, ...], zones: tuple[Zone, ...], class_id: str) -> None:
        self._last = header, class_id
        self._happened.lines, self._happened.zones = lines, zones
        # Both names of a class, so that the parameter class_id may change in between.
        labels = [f'{number} {label}' for number, label in zip(
            result.class_ids.tolist(), result.labels.tolist())]
        events = self._happened(result, stamp, live, labels)
        if events:
            self._publish(events, header, class_id)

    def _publish(self, events: list[Event], header: Any, class_id: str) -> None:
        present = self._happened.present
        self.publisher.publish(self._events(
            header=header, events=[self._message(event, header, class_id) for event in events],
            present_ids=list(present),
            present_class_ids=[_name(both, class_id) for both in present.values()]))

    def _message(self, event: Event, header: Any, class_id: str) -> Any:
        message = self._event(
            kind=event.kind, stamp=header.stamp, id=event.track_id,
            class_id=_name(event.label, class_id),
            previous_class_id=_name(event.previous, class_id), place=event.place,
            direction=event.direction, seconds=float(event.seconds))
        x1, y1, x2, y2 = event.box
        message.bbox.center.position.x, message.bbox.center.position.y = (
            (x1 + x2) / 2, (y1 + y2) / 2)
        message.bbox.size_x, message.bbox.size_y = x2 - x1, y2 - y1
        return message


def _name(both: str, class_id: str) -> str:
    number, _, label = both.partition(' ')
    return label if class_id == 'label' else number


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
        return wanted_results(self._tracker(result, stamp), options, labels)

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
            f'forgot the objects of {count} stream{"" if count == 1 else "s"}; new ones have '
            'new ids' if count else
            'there is no tracking to reset: set the parameter tracking to true')
        return response

    def destroy(self) -> None:
        """Take the service away."""
        self._node.destroy_service(self._service)
