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

"""The client_test node: sends one image to a server and prints the result, or why none arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import time
from typing import Any

from lifecycle_msgs.srv import GetState
from rclpy.clock import Clock, ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.timer import Timer
from ros2_classify.errors import InputError, OptionsError, Ros2ClassifyError
from ros2_classify.image_io import check_writable, read_image, write_image
from ros2_classify.limits import shown
from ros2_classify.paths import shipped_directory
from ros2_classify.results import overlay
from ros2_classify.ros.client.diagnosis import explain, Waiting
from ros2_classify.ros.client.specs import PARAMETERS
from ros2_classify.ros.messages.image import (
    resolve_image_topic, to_compressed_msg, to_image_msg, TRANSPORTS)
from ros2_classify.ros.messages.vision import INSTANCES_TOPIC, load_type, MESSAGES, READERS
from ros2_classify.ros.node.logging import BoundedLogs
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.node.process import Stop
from ros2_classify.sources.image_messages import to_ids
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

_TICK_S = 0.1
# The server takes images best effort: one can get lost, so it is sent again.
_SEND_AGAIN_S = 1.0
# The response of a server that hasn't discovered this client yet is lost.
_ASK_AGAIN_S = 5.0
_STATE_TIMEOUT_S = 1.0
# For the names of the classes, and the masks of the objects.
_REST_TIMEOUT_S = 3.0
_INTERFACES = 'ros2_classify_interfaces'


def _qos(depth: int, reliability: ReliabilityPolicy,
         durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    """Return a new profile: rclpy writes a user's overrides into it."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability,
        durability=durability)


@dataclass(frozen=True)
class Result:
    """A result: its message, the topic or service, and the seconds from sending to receiving."""

    task: str
    msg: Any
    source: str
    seconds: float

    @property
    def stamp(self) -> tuple[int, int]:
        """The stamp of its image."""
        return _stamp(self.msg)


class ClientNode(BoundedLogs, Node):
    """Sends one image; requests `stop` with exit code 0 after its result, 1 without one."""

    def __init__(self, stop: Stop) -> None:
        super().__init__('client_test')
        self._stop = stop
        # The timeout runs even if simulated time stands still.
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._settings = Parameters(self, PARAMETERS)
        self._path = self._image_path()
        self._image = read_image(self._path)
        self._output = check_writable(self._settings['output']) if (
            self._settings['output']) else None
        if (self._output is not None and self._output.exists()
                and self._output.samefile(self._path)):
            raise InputError(f'output: {self._output} is the image that is published, and would '
                             'be replaced; name another file')
        self._names: dict[int, str] = {}
        self._sent: dict[tuple[int, int], float] = {}
        self._result: Result | None = None
        self._masks: Any = None
        self._instances: dict[tuple[int, int], Any] = {}
        self._tasks = list(MESSAGES) if self._settings['task'] == 'auto' else [
            self._settings['task']]
        self._waiting = Waiting(server=self._server_name())
        self._state_client = self.create_client(
            GetState, f'{self._settings["server"]}/get_state')
        self._labels = self.create_subscription(
            LabelInfo, 'label_info', self._learn_labels,
            _qos(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL))
        self._service_clients: dict[str, Any] = {}
        if self._settings['use_service']:
            self._connect_services()
        else:
            self._connect_topics()

    def start(self) -> None:
        """Start sending, and the timeout."""
        self._deadline = time.monotonic() + self._settings['timeout']
        what = ' or '.join(self._waiting.services) or self._waiting.image.topic_name
        self.get_logger().info(f'sending {self._path} to {what}')
        self._timer = self._steady_timer(_TICK_S, self._tick)

    def _steady_timer(self, period: float, callback: Callable[[], None]) -> Timer:
        return self.create_timer(period, callback, clock=self._steady_clock)

    # ---- connections

    def _connect_topics(self) -> None:
        transport = TRANSPORTS[self._settings['image_transport']]
        options = {'qos_overriding_options': QoSOverridingOptions.with_default_policies()}
        # Reliable, as the camera node: it matches best-effort subscribers as well.
        self._waiting.image = self.create_publisher(
            transport.msg_type, resolve_image_topic(self, transport.suffix),
            _qos(1, ReliabilityPolicy.RELIABLE), **options)
        self._waiting.results = [
            self.create_subscription(
                MESSAGES[task].msg_type, MESSAGES[task].topic,
                partial(self._receive, task),
                # Best effort matches every publisher; results are small and rarely lost.
                _qos(10, ReliabilityPolicy.BEST_EFFORT), **options)
            for task in self._tasks]
        if self._output is not None and 'detection' in self._tasks:
            self._masks = self.create_subscription(
                Image, INSTANCES_TOPIC, self._receive_instances,
                _qos(1, ReliabilityPolicy.BEST_EFFORT), **options)

    def _connect_services(self) -> None:
        for task in self._tasks:
            name = MESSAGES[task].service
            try:
                service_type = load_type(name)
            except ImportError as error:
                missing = error
                continue
            self._service_clients[task] = self.create_client(
                service_type, f'{self._settings["server"]}/{name.lower()}')
        if not self._service_clients:
            raise OptionsError(
                f'the service needs the package {_INTERFACES}, which is not available '
                f'({missing}); build it with colcon from packages/, or leave use_service '
                'false') from missing
        self._waiting.services = [
            self.resolve_service_name(client.srv_name)
            for client in self._service_clients.values()]

    def _server_name(self) -> str:
        """Return the server's full name; it resolves like the name of a service."""
        name = self._settings['server']
        try:
            return self.resolve_service_name(name)
        except rclpy_implementation.RCLError as error:
            raise OptionsError(
                f'server is {name!r} but must be the name of a node, such as server or '
                '/robot/server') from error

    def _image_path(self) -> Path:
        if self._settings['image']:
            return Path(self._settings['image']).expanduser()
        models = shipped_directory()
        path = models / 'scenes' / 'several_cards.jpg' if models else None  # words: old
        if path is None or not path.is_file():
            raise OptionsError(
                'the package was installed without its sample images; set the parameter '
                'image, as in: --ros-args -p image:=image.jpg')
        return path

    # ---- waiting

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._deadline:
            self._timer.cancel()
            self._give_up()
        elif self._service_clients:
            self._ask()
        elif self._connected and now - max(self._sent.values(), default=0.0) >= _SEND_AGAIN_S:
            self._send()

    @property
    def _connected(self) -> bool:
        """Whether images have a subscriber, and a results topic a publisher."""
        return self._waiting.image.get_subscription_count() > 0 and any(
            self.count_publishers(each.topic_name) for each in self._waiting.results)

    def _send(self) -> None:
        header = self._new_header()
        if self._settings['image_transport'] == 'raw':
            msg = to_image_msg(self._image, 'bgr8', header)
        else:
            msg = to_compressed_msg(self._image, header)
        self._remember(header)
        self._waiting.image.publish(msg)

    def _ask(self) -> None:
        """Send the request to the first service that is available."""
        if time.monotonic() - max(self._sent.values(), default=0.0) < _ASK_AGAIN_S:
            return
        for task, client in self._service_clients.items():
            if client.service_is_ready():
                header = self._new_header()
                request = client.srv_type.Request(
                    image=to_image_msg(self._image, 'bgr8', header))
                self._remember(header)
                client.call_async(request).add_done_callback(partial(self._served, task))
                return

    def _new_header(self) -> Header:
        return Header(
            stamp=self.get_clock().now().to_msg(), frame_id=self._settings['frame_id'])

    def _remember(self, header: Header) -> None:
        self._sent[header.stamp.sec, header.stamp.nanosec] = time.monotonic()
        self._waiting.sent += 1

    # ---- results

    def _learn_labels(self, msg: LabelInfo) -> None:
        self._names = {each.class_id: each.class_name for each in msg.class_map}
        self._show_if_complete()

    def _take(self, message: Result) -> None:
        """Show the result once the class names and masks have arrived, too."""
        if self._result is not None or self._stop.requested:
            return
        self._result = message
        self._timer.cancel()
        # Discovery may be slow; a result without them is better than none.
        self._steady_timer(_REST_TIMEOUT_S, lambda: self._show(message))
        self._show_if_complete()

    def _show_if_complete(self) -> None:
        message = self._result
        if message is None or not self._names:
            return
        masks = self._masks
        if masks is None or message.task != 'detection' or message.stamp in self._instances or (
                not self.count_publishers(masks.topic_name)):
            self._show(message)

    def _receive_instances(self, msg: Any) -> None:
        if _stamp(msg) in self._sent and msg.header.frame_id == self._settings['frame_id']:
            self._instances[_stamp(msg)] = msg
            self._show_if_complete()

    def _receive(self, task: str, msg: Any) -> None:
        sent = self._sent.get(_stamp(msg))
        if sent is None or msg.header.frame_id != self._settings['frame_id']:
            self._waiting.other_results += 1
        else:
            self._take(Result(
                task, msg, self.resolve_topic_name(MESSAGES[task].topic),
                time.monotonic() - sent))

    def _served(self, task: str, future: Any) -> None:
        row = MESSAGES[task]
        response = future.result()
        name = self.resolve_service_name(self._service_clients[task].srv_name)
        if not response.success:
            self._fail(f'{name} replied: {response.message}')
            return
        msg = getattr(response, row.topic)
        sent = self._sent.get(_stamp(msg))
        if sent is None:
            self._fail(f'{name} replied with the stamp of another image')
        else:
            self._take(Result(task, msg, name, time.monotonic() - sent))

    def _show(self, message: Result) -> None:
        """Print the result, write the annotated image, and request the end of the process."""
        if self._stop.requested:
            return
        header = message.msg.header
        height, width = self._image.shape[:2]
        try:
            result = READERS[message.task](message.msg, (width, height), self._names)
            text = (f'{message.task} of {self._path} ({width}x{height}) from {message.source} '
                    f'after {message.seconds * 1e3:.0f} ms\n'
                    f'stamp {header.stamp.sec}.{header.stamp.nanosec:09d}, '
                    f'frame {header.frame_id}\n{result}')
            # Labels and frames come from others.
            print('\n'.join(map(shown, text.split('\n'))), flush=True)
            if self._output is not None:
                masks = self._instances.get(message.stamp)
                write_image(self._output, overlay.draw(
                    self._image, result, instances=None if masks is None else to_ids(masks)))
                print(f'annotated image: {self._output}', flush=True)
        except Ros2ClassifyError as error:
            self._fail(str(error))
            return
        self._stop.request(0)

    # ---- no result

    def _give_up(self) -> None:
        """Report why no result arrived, with the server's lifecycle state if it has one."""
        if not self._state_client.service_is_ready():
            self._explain('')
            return
        future = self._state_client.call_async(GetState.Request())
        future.add_done_callback(lambda done: self._explain(done.result().current_state.label))
        self._steady_timer(_STATE_TIMEOUT_S, lambda: self._explain(''))

    def _explain(self, state: str) -> None:
        if self._stop.requested:
            return
        self._waiting.server_state = state
        seconds = self._settings['timeout']
        expected = ' or '.join(self._waiting.services) or ' or '.join(
            each.topic_name for each in self._waiting.results)
        self._fail(f'no result on {expected} in {seconds:g} s: {explain(self, self._waiting)}')

    def _fail(self, text: str) -> None:
        self.get_logger().error(text)
        self._stop.request(1)


def _stamp(msg: Any) -> tuple[int, int]:
    return msg.header.stamp.sec, msg.header.stamp.nanosec
