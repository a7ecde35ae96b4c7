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

"""The camera node: publishes any source of images as a camera would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import threading
import time
from typing import Any, cast

import cv2
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from ros2_classify.errors import OptionsError, Ros2ClassifyError
from ros2_classify.paths import shipped_directory
from ros2_classify.ros.camera.specs import PARAMETERS
from ros2_classify.ros.diagnostics.issues import find, Issue, Status
from ros2_classify.ros.diagnostics.statistics import Rate, SimulatedClock
from ros2_classify.ros.diagnostics.summary import camera_status
from ros2_classify.ros.diagnostics.updater import Diagnostics
from ros2_classify.ros.messages.image import resolve_image_topic, to_compressed_msg
from ros2_classify.ros.node.intra_process import ImageSender
from ros2_classify.ros.node.logging import BoundedLogs, ThrottledLog
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.node.process import Stop, tune_malloc
from ros2_classify.sources import open_source, Pixels, Size, Source, SourceError
from ros2_classify.sources.newest import Backoff, Pace
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header


class CameraReport:
    """Publishes the status; ``requested_rate`` returns 0 if images come as fast as they can."""

    def __init__(self, node: Node, source: str, topics: Sequence[str],
                 subscribers: Callable[[], int], requested_rate: Callable[[], float]) -> None:
        self._node = node
        self._source = source
        self._topics = topics
        self._subscribers = subscribers
        self._requested_rate = requested_rate
        self._rate = Rate()
        self._clock = SimulatedClock()
        self._published = 0
        self._last: float | None = None
        self._image_format = ''
        self._errors = 0
        self._failure: Issue | None = None
        self._diagnostics = Diagnostics(node)
        self._diagnostics.add('images', self._status, deprecated='pictures')  # words: old

    # ---- in the thread that publishes

    def published(self, image_format: str) -> None:
        """Note an image: its size and encoding."""
        self._published += 1
        self._last = time.monotonic()
        self._image_format = image_format
        self._failure = None

    def failed(self, issue: Issue) -> None:
        """Note that the source delivers no images at the moment."""
        self._errors += 1
        self._failure = issue

    # ---- in the executor's thread

    def _status(self) -> Status:
        failure, last, clock = self._failure, self._last, self._node.get_clock()
        issues = self._clock.look(
            1e-9 * clock.now().nanoseconds if clock.ros_time_is_active else None)
        return camera_status(
            self._source, self._topics, subscribers=self._subscribers(),
            published=self._published, rate=self._rate.look(self._published),
            requested_rate=self._requested_rate(),
            age=None if last is None else time.monotonic() - last,
            image_format=self._image_format, errors=self._errors,
            issues=[failure, *issues] if failure else issues)


# A subscriber is known here a moment before it knows of the publisher; what is sent in between,
# a best-effort subscriber never sees.
_MATCHING_S = 0.3

# Best-effort subscribers send no acknowledgement: give the last image time to arrive.
_DELIVERY_S = 0.5
_ACKNOWLEDGE_S = 3

# rclpy tells of new subscribers by an event in some distributions only.
_POLL_S = 0.05
_SAY_WAITING_S = 3.0

_FROM_BGR = {'rgb8': cv2.COLOR_BGR2RGB, 'mono8': cv2.COLOR_BGR2GRAY}


def _qos() -> QoSProfile:
    """
    Return a new profile: rclpy writes a user's overrides into it.

    A reliable publisher matches best-effort subscribers as well, at no cost to them. A depth of
    2 leaves two images to resend.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.RELIABLE)


class CameraNode(BoundedLogs, Node):
    """Publishes a source of images; requests `stop` itself, with code 1 if the source fails."""

    def __init__(self, stop: Stop) -> None:
        super().__init__('camera')
        self._stop = stop
        self._ended = threading.Event()
        self._settings = Parameters(self, PARAMETERS)
        if self._settings['tune_malloc']:
            tune_malloc()
        self._size = Size(self._settings['width'], self._settings['height'])
        self._source = self._open()
        options = {'qos_overriding_options': QoSOverridingOptions.with_default_policies()}
        self._raw = ImageSender(self, 'image', _qos(), **options)
        self._compressed = self.create_publisher(
            CompressedImage, resolve_image_topic(self, '/compressed'), _qos(), **options)
        self._published = 0
        self._log = ThrottledLog(30.0)
        self._report = CameraReport(
            self, self._source.name, (self._raw.topic, str(self._compressed.topic_name)),
            lambda: self._listeners, lambda: self._rate)
        self._thread = threading.Thread(target=self._play_safely, name='images', daemon=True)

    def start(self) -> None:
        """Start publishing, in a thread: reading a webcam blocks."""
        self._thread.start()

    def close(self) -> None:
        """Stop publishing and release the source."""
        self._ended.set()
        # A webcam's driver may block for seconds; the process ends all the same.
        if self._thread.ident is not None:
            self._thread.join(5.0)
        if self._thread.is_alive():
            self._stop.has_abandoned_thread = True
        else:
            self._source.close()
            self._raw.destroy()

    def _open(self) -> Source:
        text = self._settings['source']
        if not text:
            models = shipped_directory()
            samples = models / 'scenes' if models else None  # words: old
            if samples is None or not samples.is_dir():
                raise OptionsError(
                    'the package was installed without its sample images; set the parameter '
                    'source, as in: --ros-args -p source:=image.jpg')
            text = str(samples)
        return open_source(
            text, self._size, self.get_logger().warning, self._settings['topic'])

    def _play_safely(self) -> None:
        """Run the thread; end the process with a reason on any error."""
        try:
            self._play()
        except Ros2ClassifyError as error:
            self.get_logger().fatal(str(error))
            self._stop.request(1)
        except Exception as error:  # noqa: B902 - an exception ends only the thread
            self.get_logger().fatal(f'unexpected {type(error).__name__}: {error}')
            self._stop.request(1)

    def _play(self) -> None:
        """Publish until the source (without `loop`) or the process ends."""
        if not self._wait_for_subscribers():
            return
        self.get_logger().info(
            f'publishing {self._source.name} on {self._raw.topic} and '
            f'{self._compressed.topic_name}')
        if self._source.live:
            self._play_live()
            return
        pace = Pace(self._ended)
        while True:
            count = self._play_once(pace)
            if self._ended.is_set():
                return
            if not count:
                raise SourceError(f'{self._source.name} has no more images')
            if not self._settings['loop']:
                self._finish()
                return

    def _play_once(self, pace: Pace) -> int:
        """Publish all images of a file or directory; return their number."""
        count = 0
        for frame in self._source.frames():
            # Decode only for subscribers, and before the wait rather than after the stamp.
            image = frame.read() if self._listeners else None
            if self._listeners and image is None:
                continue
            count += 1
            if not pace.wait(self._rate):
                break
            if image is not None:
                self._publish(image, self.get_clock().now().to_msg())
        return count

    def _play_live(self) -> None:
        """Publish a live source's images; reopen it whenever it stops delivering."""
        pace = Pace(self._ended)
        backoff = Backoff(self._source.longest_pause)
        while not self._ended.is_set():
            try:
                for frame in self._source.frames():
                    if self._ended.is_set():
                        return
                    backoff.success()
                    # A webcam can't be slowed down: a lower rate skips frames.
                    if self._listeners and (not self._rate or pace.due(self._rate)):
                        stamp = self.get_clock().now().to_msg()
                        image = frame.read()
                        if image is not None:
                            self._publish(image, stamp)
                problem = f'{self._source.name} stopped delivering'
            except SourceError as error:
                problem = str(error)
            pause = backoff.next()
            issue = find('source_failed', reason=problem, seconds=pause)
            self._report.failed(issue)
            self._log(self.get_logger().warning, issue.text, 'webcam')
            self._ended.wait(pause)

    def _publish(self, image: Pixels, stamp: Any) -> None:
        """Publish one image to the topics with subscribers."""
        image = self._size.apply(image)
        encoding = self._settings['encoding']
        if encoding != 'bgr8':
            image = cast(Pixels, cv2.cvtColor(image, _FROM_BGR[encoding]))
        header = Header(stamp=stamp, frame_id=self._settings['frame_id'])
        self._raw.send(image, encoding, header)
        if self._compressed.get_subscription_count():
            # Encoders take BGR or grey.
            if encoding == 'rgb8':
                image = cast(Pixels, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            self._compressed.publish(to_compressed_msg(
                image, header, self._settings['compressed_format'],
                self._settings['jpeg_quality'], self._settings['png_level']))
        self._published += 1
        self._report.published(f'{image.shape[1]}x{image.shape[0]} {encoding}')

    @property
    def _listeners(self) -> int:
        return self._raw.subscriptions + self._compressed.get_subscription_count()

    @property
    def _rate(self) -> float:
        return self._settings['rate'] or self._source.rate

    def _wait_for_subscribers(self) -> bool:
        """Wait for the subscribers; return False if the process ends first."""
        wanted = self._settings['wait_for_subscribers']
        if not wanted:
            return not self._ended.is_set()
        begun = time.monotonic()
        said = False
        while self._listeners < wanted:
            if self._ended.wait(_POLL_S):
                return False
            if not said and time.monotonic() - begun > _SAY_WAITING_S:
                said = True
                self.get_logger().info(
                    f'waiting for {wanted} subscriber(s) of {self._raw.topic} or '
                    f'{self._compressed.topic_name}, {self._listeners} so far; '
                    'wait_for_subscribers:=0 starts at once')
        return not self._ended.wait(_MATCHING_S)

    def _finish(self) -> None:
        """Wait for delivery of the last image, and request the end of the process."""
        for publisher in (self._raw.publisher, self._compressed):
            publisher.wait_for_all_acked(Duration(seconds=_ACKNOWLEDGE_S))
        self._ended.wait(_DELIVERY_S)
        self.get_logger().info(f'{self._published} images published, that was the last one')
        self._stop.request(0)
