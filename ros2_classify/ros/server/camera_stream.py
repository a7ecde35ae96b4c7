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

"""One camera's stream: its images, the answers for them, what was counted, and its silence."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any, NamedTuple

from numpy.typing import NDArray
from rclpy.node import Node
from ros2_classify.errors import InputError, Ros2ClassifyError
from ros2_classify.results.results import Result
from ros2_classify.ros.diagnostics.issues import find, Finding
from ros2_classify.ros.diagnostics.statistics import Counters, Latencies
from ros2_classify.ros.messages.transports import TRANSPORTS
from ros2_classify.ros.node.logging import ThrottledLog
from ros2_classify.ros.server.image_monitor import ImageWatch
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.publishers import Outputs
from ros2_classify.ros.server.stream_names import StreamNames
from ros2_classify.ros.server.subscription import ImageInput
from ros2_classify.ros.server.topic_diagnosis import explain_losses, explain_silence
from ros2_classify.ros.server.trace import Trace

# Seconds without an image until the cause is told, and until it is told again.
_SILENCE = 5.0
_SILENCE_AGAIN = 10.0

# Seconds for a worker's thread to get the interpreter's lock; it takes a tenth of a millisecond.
_GIVE_WAY = 3e-5


class Frame(NamedTuple):
    """
    An image that has come, and has not been looked at yet.

    Parameters
    ----------
    stream : Stream
        Whose it is.
    msg : message
        What the transport of the stream's input reads.
    received : float
        When it came, on the clock of ``time.perf_counter``.

    """

    stream: Stream
    msg: Any
    received: float


class Stream:
    """
    A camera's topic, the topics of the answers, and what is known about both.

    The executor's thread creates it, ends it, and delivers the images; the methods that work on
    an image are called by one thread at a time each.

    Parameters
    ----------
    node : rclpy.node.Node
        The node.
    names : StreamNames
        The camera's topic and the namespace of the answers.
    model : Model
        What is going to answer; its task decides on the topics.

    """

    def __init__(self, node: Node, names: StreamNames, model: Model) -> None:
        self._node = node
        self._log = node.get_logger()
        self._throttled = ThrottledLog()
        self._names = names
        self._read = TRANSPORTS[names.transport].to_array
        self._patience = _SILENCE
        self._missed = False
        self._input: ImageInput | None = None
        self._deliver: Callable[[Frame], bool] = lambda _: False
        self._offer: Callable[[Callable[[bool], Frame | None]], Any] = lambda _: None
        self._trace: Trace | None = None
        self.counters = Counters()
        # Whoever stops a worker counts at the same time as its threads.
        self._leaving = threading.Lock()
        self.latencies = Latencies()
        self.watch = ImageWatch(names.topic)
        # What is wrong, as `keep_house` saw it last; the newest failure.
        self.findings: list[Finding] = []
        self.last_error = ''
        self.outputs = Outputs(
            node, model.pipeline.task, self.update, masks=model.pipeline.gives_masks,
            namespace=names.namespace)

    @property
    def topic(self) -> str:
        """The full name of the topic of images."""
        return self._names.topic

    @property
    def source(self) -> ImageInput | None:
        """Where the images come from, while the stream is active."""
        return self._input

    # ---- in the executor's thread

    def activate(self, deliver: Callable[[Frame], bool],
                 offer: Callable[[Callable[[bool], Frame | None]], Any],
                 trace: Trace | None = None) -> None:
        """
        Begin to take images.

        Parameters
        ----------
        deliver : callable
            Called with each image; returns whether an older one was dropped for it.
        offer : callable
            Called with `fetch` when images come faster than they are taken; see
            `ros2_classify.ros.server.mailbox.Mailbox.fetch_from`.
        trace : Trace, optional
            Where times are noted, for measuring.

        """
        self.counters = Counters()
        self.latencies = Latencies()
        self.watch = ImageWatch(self._names.topic)
        self.findings = []
        self._missed = False
        self._deliver = deliver
        self._offer = offer
        self._trace = trace
        self._patience = _SILENCE
        self._input = ImageInput(
            self._node, self._names.topic, self._names.transport, self._receive,
            on_skipped=self._skip_in_queue, listed=self._names.namespace is not None)
        # Subscribed in any case at first: wrong settings show now and not with the first listener.
        self._input.update(wanted=True)

    def deactivate(self) -> None:
        """Take no more images."""
        if self._input is not None:
            self._input.unsubscribe()
            self._input = None
        self.findings = []

    def destroy(self) -> None:
        """Take the topics away."""
        self.deactivate()
        self.outputs.destroy()

    def announce(self, model: Model) -> None:
        """Publish the facts about the model, for those who come later, too."""
        self.outputs.announce(
            model.name, model.labels, model.settings.options.score_threshold, model.number)

    def announce_anew(self, model: Model) -> None:
        """Publish the facts about another model, if the stream is active."""
        if self._input is None:
            return
        try:
            self.announce(model)
        except Exception as error:  # noqa: B902 - the middleware refused; the node lives on
            self._throttled(
                self._log.error, f'cannot publish what the model is: {error}', 'announce')

    def update(self) -> None:
        """Subscribe or unsubscribe, as there are listeners or not."""
        source = self._input
        if source is None:
            return
        try:
            source.update(self.outputs.wanted)
        except Exception as error:  # noqa: B902 - the middleware refused; the node lives on
            self._throttled(
                self._log.error, f'cannot subscribe to {source.topic}: {error}', 'subscribe')

    def keep_house(self, model: Model) -> None:
        """Do now and then what no event asks for."""
        self.update()
        source = self._input
        if source is None:
            return
        try:
            self.outputs.announce_threshold(
                model.labels, model.settings.options.score_threshold)
            self.findings = self._look(source)
        except Exception as error:  # noqa: B902 - only words are lost
            self._throttled(self._log.error, f'unexpected {type(error).__name__}: {error}')

    def _look(self, source: ImageInput) -> list[Finding]:
        """Find what is wrong; say it where it has not been said a moment ago."""
        silent_for = source.silent_for
        found = []
        lost = source.losses.judge()
        if source.losses.symptom and source.subscribed:
            found.append(explain_losses(source.losses.symptom, source))
        if lost and found:
            self._log.warning(found[0].text)
            # Why none comes is said as well.
            self._patience = max(self._patience, silent_for + _SILENCE_AGAIN)
        if not self.outputs.wanted:
            self._missed = False
            # What was seen before this node left the topic is the past.
            return [*found, self._idle(source)]
        # What the middleware tells needs no patience.
        refused = source.incompatible_policy and source.last_frame_at is None
        if source.subscribed and (silent_for >= _SILENCE or refused):
            self._missed = True
            if refused and self._patience == _SILENCE:
                self._patience = 0.0
            why = explain_silence(self._node, source)
            found.insert(0, why)
            if silent_for >= self._patience:
                self._log.warning(why.text)
                self._patience += _SILENCE_AGAIN
            return found
        self._patience = _SILENCE
        if self._missed and source.last_frame_at is not None:
            self._missed = False
            self.watch.interruptions += 1
            self._log.info(f'images come on {self.topic} again')
        for finding in self.watch.findings():
            found.append(finding)
            # Unusable images are said one by one; the others are answered all the same.
            if finding.key != 'unusable':
                self._throttled(self._log.info, finding.text, finding.key)
        return found

    def _idle(self, source: ImageInput) -> Finding:
        also = '' if source.is_local or self._node.count_publishers(self.topic) else (
            f'; nobody publishes on {self.topic} either')
        return find(
            'nobody_listens', topics=', '.join(self.outputs.topics), topic=self.topic, also=also)

    def _receive(self, msg: Any) -> None:
        frame = self._came(msg)
        if not self.outputs.wanted:
            self.counters.unwanted += 1
        elif self._deliver(frame):
            self.counters.replaced += 1
            # From here on another thread may count.
            if self._input is not None and self._input.hold():
                self._offer(self.fetch)
        else:
            # Python runs one thread at a time: this one would go on to what it waits for next, and
            # keep the worker, which has just been woken up, from beginning for half a millisecond.
            time.sleep(_GIVE_WAY)

    # ---- in whichever thread takes the images, one at a time

    def _came(self, msg: Any) -> Frame:
        """Note an image."""
        self.counters.received += 1
        self.watch.stamped(msg.header.stamp)
        if self._trace is not None:
            self._trace.taken(msg.header.stamp)
        return Frame(self, msg, time.perf_counter())

    def _skip_in_queue(self, count: int) -> None:
        """Note that images were replaced by newer ones before anybody took them."""
        self.counters.received += count
        self.counters.replaced += count
        if self._trace is not None:
            self._trace.skipped(count)

    # ---- in the worker's threads

    def fetch(self, replaces: bool) -> Frame | None:
        """
        Fetch the newest image from the middleware.

        Parameters
        ----------
        replaces : bool
            Whether one that was delivered is dropped for it.

        Returns
        -------
        Frame or None
            None where there is none; from then on they are delivered again.

        """
        source = self._input
        msg = None if source is None else source.fetch(wanted=self.outputs.wanted)
        if msg is None:
            return None
        self.counters.replaced += replaces
        return self._came(msg)

    def read(self, msg: Any, max_pixels: int) -> tuple[NDArray[Any], str] | None:
        """
        Read an image.

        Parameters
        ----------
        msg : message
            What came.
        max_pixels : int
            Larger images are refused.

        Returns
        -------
        pixels, color
            The image, or None where it is unusable: that is counted and said.

        """
        try:
            pixels, color = self._read(msg, max_pixels)
            kind = getattr(msg, 'encoding', None) or getattr(msg, 'format', '')
            form = f'{pixels.shape[1]}x{pixels.shape[0]} {kind}'
            before = self.watch.usable(form)
            if before:
                self._throttled(
                    self._log.info, f'images on {self.topic} are {form} now, no more {before}',
                    'form')
            return pixels, color
        except Exception as error:  # noqa: B902 - whatever it is, the next image may be fine
            self.refuse(error)
            return None

    def refuse(self, error: Exception) -> None:
        """Count an image that can't be used, and say why."""
        self.counters.malformed += 1
        kind = '' if isinstance(error, InputError) else f'{type(error).__name__}: '
        reason = f'{kind}{error}'
        self.watch.unusable(reason)
        self._throttled(
            self._log.warning, find('unusable', topic=self.topic, reason=reason).text,
            'malformed')

    def publish(
            self, frame: Frame, result: Result, pixels: NDArray[Any], color: str,
            class_id: str) -> None:
        """
        Publish one answer.

        Parameters
        ----------
        frame : Frame
            What came.
        result : Classification, Detections or Segmentation
            The answer.
        pixels : ndarray of uint8
            The image.
        color : str
            What its channels are.
        class_id : str
            ``label`` or ``index``.

        """
        header = frame.msg.header
        self.outputs.publish(result, header, pixels, color, class_id)
        if self._trace is not None:
            self._trace.published(header.stamp)
        now = self._node.get_clock().now().nanoseconds
        latency = 1e-9 * (now - header.stamp.nanosec) - header.stamp.sec
        self.watch.answered(latency)
        self.latencies.total.add(latency)
        self.latencies.node.add(time.perf_counter() - frame.received)
        self.latencies.model.add(result.timing.inference)
        self.counters.answered += 1

    def fail(self, error: Exception) -> None:
        """Count an image that got no answer, and say why."""
        self.counters.failed += 1
        kind = '' if isinstance(error, Ros2ClassifyError) else f'{type(error).__name__}: '
        self.last_error = f'{kind}{error}'
        self._throttled(
            self._log.error,
            find('frame_failed', topic=self.topic, reason=self.last_error).text, 'failed')

    def skip(self, error: Exception) -> None:
        """Count an image that the model was spared, and say why."""
        self.counters.skipped += 1
        self._throttled(
            self._log.error, f'images of {self.topic} are left out: {error}', 'skipped')

    def leave(self) -> None:
        """Count an image whose turn will never come, as the node stops; any thread may call."""
        with self._leaving:
            self.counters.stopped += 1

    def __str__(self) -> str:
        """Return what was counted, in a line for people."""
        return '; '.join(filter(None, [str(self.counters), str(self.latencies)]))
