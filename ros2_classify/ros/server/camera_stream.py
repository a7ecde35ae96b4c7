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

"""One camera: the topic of its images, the topics of the results, what was counted, its issues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
import threading
import time
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray
from rclpy.node import Node
from ros2_classify.errors import InputError, Ros2ClassifyError
from ros2_classify.input_range import ALL_BITS, DepthReader, InputRange
from ros2_classify.results.results import Detections
from ros2_classify.ros.diagnostics.issues import find, Issue
from ros2_classify.ros.diagnostics.statistics import Counters, Latencies
from ros2_classify.ros.messages.bridge import Bridge
from ros2_classify.ros.messages.image import TRANSPORTS
from ros2_classify.ros.node.logging import ThrottledLog
from ros2_classify.ros.server.clips import CameraClips, QUEUE
from ros2_classify.ros.server.image_monitor import ImageMonitor, RateLimit
from ros2_classify.ros.server.inference import Drop, Outcome
from ros2_classify.ros.server.locator import Locator, without_effect
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.output import Output, Published, Topics
from ros2_classify.ros.server.outputs_3d import annotation_outputs, outputs_in_metres
from ros2_classify.ros.server.outputs_keep import KeepOutput
from ros2_classify.ros.server.parameters import ResultSettings
from ros2_classify.ros.server.publishers import PageOutput, Publishers
from ros2_classify.ros.server.stream_issues import StreamIssues
from ros2_classify.ros.server.stream_parameters import StreamNames, StreamView
from ros2_classify.ros.server.subscription import ImageSubscription
from ros2_classify.ros.server.topic_diagnosis import explain_silence
from ros2_classify.ros.server.trace import Trace
from ros2_classify.ros.server.tracking import EventsOutput, seconds_of, Tracking
from std_srvs.srv import SetBool

# Seconds for which what positions take stays subscribed after a request for some.
_POSITIONS_AGAIN = 10.0


class Frame(NamedTuple):
    """An image that a stream has taken, and when it came (`time.perf_counter`)."""

    camera: CameraStream
    msg: Any
    received: float

    @property
    def origin(self) -> str:
        """The topic of the image."""
        return self.camera.topic

    @property
    def stream(self) -> str:
        """The prefix of its parameters."""
        return self.camera.prefix

    @property
    def tracks(self) -> bool:
        """Whether its objects may have ids over time."""
        return self.camera.tracks

    @property
    def clips(self) -> CameraClips:
        """Its camera's clips."""
        return self.camera.clips

    @property
    def seconds(self) -> float:
        """When it was, by its stamp, or else when it came."""
        stamp = self.msg.header.stamp
        return seconds_of(stamp) if stamp.sec or stamp.nanosec else self.received

    def read(self, settings: ResultSettings) -> tuple[NDArray[Any], str]:
        """Return pixels and their channel order; raise if the image can't be used."""
        return self.camera.read(self.msg, settings)

    def finish(self, outcome: Outcome) -> None:
        """Publish the result, or count why there is none."""
        self.camera.finish(self, outcome)


def _queue(model: Model) -> int:
    """Return how many images may wait: of a clip, none is to be missed."""
    return QUEUE if model.sees_clips else 1


class Watcher(Protocol):
    """Who looks at a stream's results beside the subscribers; called in a worker's thread."""

    @property
    def in_metres(self) -> bool:
        """Whether it wants the objects' positions."""

    def result(self, published: Published, age: float | None) -> None:
        """Take a result, and the seconds by its stamp when the image came; None without one."""

    def problem(self, reason: str, final: bool) -> None:
        """Take why an image has no result; `final`: so it is with the next one."""

    def end(self, reason: str) -> None:
        """Take why there will be no more results; the executor's thread calls it."""


class CameraStream:
    """
    A camera's subscription, the publishers of its results, and what is known about both.

    The executor's thread creates and ends it; a worker's threads take images and publish results,
    each one at a time.
    """

    def __init__(
            self, node: Node, names: StreamNames, model: Model, bridge: Bridge,
            parameters: StreamView, ids: Iterator[int]) -> None:
        self._node = node
        self._bridge = bridge
        self.parameters = parameters
        self.prefix = names.prefix
        self._log = node.get_logger()
        self._throttled = ThrottledLog()
        self._names = names
        self._to_array = TRANSPORTS[names.transport].to_array
        self._source: ImageSubscription | None = None
        self.enabled = True
        self._max_rate = 0.0
        # When the last image was dropped by it; 0 if the last one was not.
        self._over_rate_at = 0.0
        self._looked_at: Callable[[], float] = time.monotonic
        self._trace: Trace | None = None
        # The thread that stops a worker counts at the same time as its threads.
        self._counting = threading.Lock()
        self.tracks = model.pipeline.task == 'detection'
        self.tracking = Tracking(ids)
        self.clips = CameraClips()
        self._queue = _queue(model)
        if stages := model.pipeline.stages:
            idle = '' if parameters['tracking'] else ', '.join(
                each.stage.name for each in stages.over_time)
            if idle:
                self._log.warning(
                    f'{names.topic}: stages {idle} without effect: they see clips of objects, '
                    'which have ids with tracking:=true')
        self._events: EventsOutput | None = None
        self._reset()
        self.last_error = ''
        self._watchers: tuple[Watcher, ...] = ()
        # The newest result, and when its image came, without the image's megabytes.
        self._newest: tuple[Published, float] | None = None
        self._positions_until = 0.0
        self.locator = Locator(node, names.topic, names.namespace, parameters) if (
            model.pipeline.task == 'detection' and Locator.is_on(parameters)) else None
        if idle := without_effect(parameters, model.pipeline.task):
            self._log.warning(f'{names.topic}: {idle}')
        self.page: PageOutput | None = None
        self.publishers = Publishers(
            node, model.pipeline.task, self.update, masks=model.pipeline.gives_masks,
            keypoints=model.pipeline.gives_keypoints,
            namespace=names.namespace, others=model.pipeline.others,
            more=partial(self._more_outputs, model))

    def _more_outputs(self, model: Model, topics: Topics) -> list[Output]:
        outputs: list[Output] = []
        task = model.pipeline.task
        if self.parameters['keep'] and task in ('classification', 'detection'):
            outputs.append(KeepOutput(
                self.parameters, self.topic, self._base, self._log.warning,
                model.pipeline.descriptor.name))
        if self.parameters['web']:
            self.page = PageOutput()
            outputs.append(self.page)
        if self.locator is not None:
            outputs += outputs_in_metres(topics, self.locator.points, self._log.info)
        if task == 'detection' and self.parameters['annotations']:
            outputs += annotation_outputs(topics, self._log.warning)
        if task == 'detection' and self.parameters['tracking']:
            try:
                self._events = EventsOutput(topics)
                outputs.append(self._events)
            except ImportError as error:
                self._log.info(
                    f'no topic events: {error}; build packages/ros2_classify_interfaces')
        return outputs

    def _reset(self) -> None:
        self.counters = Counters()
        self.latencies = Latencies()
        self.monitor = ImageMonitor(self._names.topic)
        self._newest = None
        self.clips.reset()
        self._rate_limit = RateLimit()
        self._depth = self._depth_reader(ALL_BITS)
        # What is wrong, as `on_timer` saw it last.
        self.issues: list[Issue] = []
        self._watch = StreamIssues(self._node, self.topic, self.monitor, self._throttled)

    @property
    def topic(self) -> str:
        """The full name of the topic of images."""
        return self._names.topic

    def _settings(self, model: Model) -> ResultSettings:
        return model.settings.of(self.prefix)

    @property
    def namespace(self) -> str | None:
        """The namespace of the results; None: the node's own."""
        return self._names.namespace

    @property
    def enable_service(self) -> str:
        """The full name of the service that enables it."""
        return f'{self._base}/{self._node.get_name()}/enable'

    @property
    def _base(self) -> str:
        """What is in front of the names of its topics and services."""
        namespace = self._names.namespace
        return (self._node.get_namespace() if namespace is None else namespace).rstrip('/')

    @property
    def source(self) -> ImageSubscription | None:
        """Where the images come from, while the stream is active."""
        return self._source

    @property
    def wanted(self) -> bool:
        """Whether anybody wants results."""
        return self.enabled and (bool(self._watchers) or self.publishers.wanted)

    @property
    def _wanted_in_metres(self) -> bool:
        return (self.publishers.wanted_in_metres or time.monotonic() < self._positions_until
                or any(watcher.in_metres for watcher in self._watchers))

    # ---- in the executor's thread

    @property
    def _looks(self) -> bool:
        """Whether images are used; one that was under way when that ended still has a result."""
        return self.enabled and self._source is not None

    def activate(self, wake: Callable[[], Any], looked_at: Callable[[], float],
                 trace: Trace | None = None) -> None:
        """Subscribe; `wake` ends the wait for images, `looked_at` is when it last ended."""
        self._reset()
        self.tracking.reset()
        self._looked_at = looked_at
        self._trace = trace
        self._source = ImageSubscription(
            self._node, self._names.topic, self._names.transport, wake,
            listed=self._names.namespace is not None, qos=self.parameters['qos'],
            queue=self._queue)
        # Subscribed in any case at first: wrong settings show now, not with the first subscriber.
        self._source.update(wanted=self.enabled)

    def deactivate(self) -> None:
        """Unsubscribe; an image that was handed over and waits is dropped."""
        source, self._source = self._source, None
        self._unsubscribe(source)
        self.issues = []

    def _unsubscribe(self, source: ImageSubscription | None) -> None:
        if source is not None:
            source.unsubscribe()
            if self.locator is not None:
                self.locator.close()
            if self._events is not None:
                self._events.end()
                self.tracking.reset()
            taken = source.take()
            if taken is not None:
                self._count(received=1 + taken.replaced, replaced=taken.replaced, stopped=1)

    def enable(self, enabled: bool) -> None:
        """Use the images, or drop the subscription until they are used again."""
        self.enabled = enabled
        if not enabled:
            self._unsubscribe(self._source)
            for watcher in self._watchers:
                watcher.end(find('disabled', topic=self.topic, service=self.enable_service).text)
        self.update()

    def use(self, settings: ResultSettings) -> None:
        """Follow the parameters."""
        self._max_rate = settings.of(self.prefix).max_rate

    def destroy(self) -> None:
        """Take the topics away."""
        self.deactivate()
        self.publishers.destroy()

    def announce(self, model: Model) -> None:
        """Publish the facts about the model, for later subscribers as well."""
        self.publishers.announce(
            model.name, model.labels, self._settings(model).options.score_threshold, model.number,
            model.pipeline.others)

    def announce_if_active(self, model: Model) -> None:
        """Publish the facts about another model; an inactive stream does so when activated."""
        self._newest = None
        self._queue = _queue(model)
        self.clips.reset()
        if self._source is None:
            return
        self._source.use_queue(self._queue)
        self.update()
        try:
            self.announce(model)
        except Exception as error:  # noqa: B902 - the middleware refused; the node lives on
            self._throttled(
                self._log.error, f'cannot publish what the model is: {error}', 'announce')

    def update(self) -> None:
        """Subscribe or unsubscribe, as the results have subscribers or not."""
        source = self._source
        if source is None:
            return
        try:
            source.update(self.wanted)
            if self.locator is not None:
                self.locator.update(self.enabled and self._wanted_in_metres)
        except Exception as error:  # noqa: B902 - the middleware refused; the node lives on
            self._throttled(
                self._log.error, f'cannot subscribe to {source.topic}: {error}', 'subscribe')

    def watch(self, watcher: Watcher) -> None:
        """Have results made for somebody, from the next image on."""
        self._watchers = (*self._watchers, watcher)
        self.update()

    def unwatch(self, watcher: Watcher) -> None:
        """End what `watch` began."""
        self._watchers = tuple(each for each in self._watchers if each is not watcher)

    def ask_for_positions(self) -> None:
        """Subscribe to what positions take, if there are any, for a while."""
        self._positions_until = time.monotonic() + _POSITIONS_AGAIN
        self.update()

    def newest(self) -> tuple[Published, float] | None:
        """Return the newest result, without pixels, and how many seconds ago its image was."""
        if self._newest is None:
            return None
        published, received = self._newest
        age = self._age(published.header)
        return published, time.perf_counter() - received if age is None else age

    def why_no_result(self, since: float) -> str:
        """Return why there has been no result since then (``time.monotonic``)."""
        source = self._source
        seconds = time.monotonic() - since
        if source is None or not source.subscribed:
            return self.last_error or f'{self.topic} is not subscribed to; see the log'
        if self._over_rate_at >= since:
            return (f'images come on {self.topic}, but max_rate is {self._max_rate:g} Hz, so none '
                    f'was looked at within {seconds:.1f} s: give a longer timeout, or set a '
                    'higher max_rate')
        if source.last_image_at is not None and source.last_image_at >= since:
            return (f'an image came on {self.topic}, but no result of it within {seconds:.1f} s: '
                    'the model is busy or hangs; give a longer timeout, or see the diagnostics')
        return explain_silence(self._node, source, seconds).text

    def on_timer(self, model: Model, limit: float = 10.0) -> None:
        """Do once a second what no event asks for; `limit` is the seconds of a frame."""
        self.update()
        source = self._source
        if source is None:
            return
        try:
            settings = self._settings(model)
            self.publishers.announce_threshold(model.labels, settings.options.score_threshold)
            source.ask_for_events()
            self.issues = self._find_issues(source, settings.image_timeout, limit)
        except Exception as error:  # noqa: B902 - only words are lost
            self._throttled(self._log.error, f'unexpected {type(error).__name__}: {error}')

    def _find_issues(
            self, source: ImageSubscription, timeout: float, limit: float) -> list[Issue]:
        if not self.enabled:
            return [find('disabled', topic=self.topic, service=self.enable_service)]
        more = []
        if reason := self.clips.problem.removeprefix('no complete clip: '):
            more.append(find('clip_incomplete', topic=self.topic, reason=reason))
        if self._depth.problem:
            more.append(find('value_range', topic=self.topic, reason=self._depth.problem))
        return self._watch.look(
            source, self.counters, unheard=() if self.wanted else self.publishers.topics,
            # While all threads are in the model nobody looks, and an image may be waiting.
            looked_at=time.monotonic() if source.is_local else self._looked_at(),
            timeout=timeout, limit=limit, last_error=self.last_error, more=more)

    # ---- in a worker's threads

    def take(self) -> Frame | None:
        """Take the newest image; return None if there is none, or nobody wants its result."""
        source = self._source
        if source is None or (taken := source.take()) is None:
            return None
        stamp = taken.msg.header.stamp
        self.monitor.arrived(1 + taken.replaced, source.subscribed_at)
        self.monitor.stamped(stamp)
        if self._trace is not None:
            self._trace.taken(stamp)
            if taken.replaced:
                self._trace.skipped(taken.replaced)
        wanted = self.wanted
        self._count(
            received=1 + taken.replaced, replaced=taken.replaced, no_subscribers=int(not wanted))
        if wanted and self._max_rate > 0.0 and self._queue == 1 and not self._rate_limit.allows(
                # Without stamps, arrival is all there is.
                stamp.sec + 1e-9 * stamp.nanosec or taken.received, self._max_rate):
            self._count(over_rate=1)
            self._over_rate_at = time.monotonic()
            return None
        self._over_rate_at = 0.0
        return Frame(self, taken.msg, taken.received) if wanted else None

    def read(self, msg: Any, settings: ResultSettings) -> tuple[NDArray[Any], str]:
        """Return pixels and their channel order; raise if the image can't be used."""
        if self._depth.input_range != settings.input_range:
            self._depth = self._depth_reader(settings.input_range)
        pixels, color = self._to_array(msg, settings.max_pixels, self._depth, self._bridge)
        kind = getattr(msg, 'encoding', None) or getattr(msg, 'format', '')
        image_format = f'{pixels.shape[1]}x{pixels.shape[0]} {kind}'
        before = self.monitor.usable(image_format)
        if before:
            self._throttled(
                self._log.info,
                f'images on {self.topic} are {image_format} now, no more {before}', 'format')
        return pixels, color

    def _depth_reader(self, input_range: InputRange) -> DepthReader:
        return DepthReader(
            input_range, lambda text: self._log.info(f'{self.topic}: {text}'),
            lambda text: self._log.warning(
                find('value_range', topic=self.topic, reason=text).text))

    def finish(self, frame: Frame, outcome: Outcome) -> None:
        """Publish a frame's result, or count why there is none."""
        if outcome.drop is None:
            try:
                self._publish(frame, outcome)
                return
            except Exception as error:  # noqa: B902 - the next image gets its result
                outcome = Outcome(frame, drop=Drop.FAILED, error=error)
        self._drop(outcome)

    def _publish(self, frame: Frame, outcome: Outcome) -> None:
        header, seconds = frame.msg.header, frame.seconds
        result = outcome.result
        assert result is not None
        settings = outcome.settings
        counts = None
        if settings is not None and self.tracks:
            result = self.tracking(
                result, seconds, settings.track, settings.options, outcome.labels)
            if outcome.stages is not None and isinstance(result, Detections):
                result = self.clips.of_objects(
                    result, outcome.stages, seconds, outcome.pixels, outcome.color,
                    outcome.faults)
            if self._events is not None and self._looks:
                self._events.look(
                    result, header, seconds, self.tracking.live_ids,
                    settings.lines, settings.zones, outcome.class_id)
                if settings.track is not None:
                    counts = self._events.counts
        published = Published(
            result, header, outcome.pixels, outcome.color, outcome.class_id, self.locator,
            settings, counts)
        self.publishers.publish(published)
        self._newest = (replace(published, pixels=None), frame.received)
        if self._watchers:
            age = self._age(header)
            if age is not None:
                # As it was when the image came.
                age -= time.perf_counter() - frame.received
            for watcher in self._watchers:
                watcher.result(published, age)
        if self._trace is not None:
            self._trace.published(header.stamp)
        latency = self._age(header)
        if latency is not None:
            self.monitor.published(latency)
            self.latencies.total.add(latency)
        self.latencies.node.add(time.perf_counter() - frame.received)
        self.latencies.model.add(result.timing.inference)
        self._count(results=1)

    def _age(self, header: Any) -> float | None:
        """Return how old an image is by its stamp; None if it has none."""
        stamp = header.stamp
        if not (stamp.sec or stamp.nanosec):
            return None
        return 1e-9 * self._node.get_clock().now().nanoseconds - stamp.sec - 1e-9 * stamp.nanosec

    def _drop(self, outcome: Outcome) -> None:
        if outcome.drop is Drop.BETWEEN:
            self._count(between=1)
            return
        error = outcome.error
        kind = '' if isinstance(error, (InputError if outcome.drop is Drop.UNUSABLE else
                                        Ros2ClassifyError)) else f'{type(error).__name__}: '
        reason = f'{kind}{error}'
        if outcome.drop is not Drop.STOPPED:
            for watcher in self._watchers:
                watcher.problem(f'no result of the image on {self.topic}: {reason}',
                                final=outcome.drop is not Drop.UNUSABLE)
        if outcome.drop is Drop.UNUSABLE:
            self._count(malformed=1)
            self.monitor.unusable(reason)
            self._throttled(
                self._log.warning, find('unusable', topic=self.topic, reason=reason).text,
                'malformed')
        elif outcome.drop is Drop.FAILED:
            self._count(failed=1)
            self.last_error = reason
            self._throttled(
                self._log.error, find('frame_failed', topic=self.topic, reason=reason).text,
                'failed')
        elif outcome.drop is Drop.PAUSED:
            self._count(skipped=1)
            self._throttled(
                self._log.error, f'images on {self.topic} are skipped: {error}', 'skipped')
        else:
            self._count(stopped=1)

    def _count(self, **more: int) -> None:
        counters = self.counters
        with self._counting:
            for name, count in more.items():
                if count:
                    setattr(counters, name, getattr(counters, name) + count)

    def __str__(self) -> str:
        """Return what was counted, in a line for people."""
        return '; '.join(filter(None, [str(self.counters), str(self.latencies)]))


class EnableService:
    """The service ``~/enable`` of some streams: they stop to subscribe, the model stays."""

    def __init__(self, node: Node, name: str, streams: Sequence[CameraStream],
                 log: Callable[[str], Any]) -> None:
        self._node = node
        self._streams = streams
        self._log = log
        self._service = node.create_service(SetBool, name, self._set)

    def _set(self, request: Any, response: Any) -> Any:
        for stream in self._streams:
            stream.enable(bool(request.data))
        topics = ', '.join(stream.topic for stream in self._streams)
        word = 'enabled' if request.data else 'disabled'
        response.success, response.message = True, f'{word}: {topics}'
        self._log(f'{word} by {self._service.srv_name}: {topics}')
        return response

    def destroy(self) -> None:
        """Take the service away."""
        self._node.destroy_service(self._service)
