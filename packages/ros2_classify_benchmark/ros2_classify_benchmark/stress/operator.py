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

"""The node of a run, spun in a thread: it subscribes to a server and sends it requests."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import GetParameters, SetParameters
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from ros2_classify.ros.messages.vision import load_type
from ros2_classify_benchmark.processes import BenchError
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification, LabelInfo

# Seconds for a response, on a busy machine.
PATIENCE = 60.0
_ASK_AGAIN = 2.0
_POLL = 0.01
_TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE, 'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE, 'cleanup': Transition.TRANSITION_CLEANUP}


class Operator:
    """
    Talks to the node ``/server``; all methods are for one thread, which isn't the node's.

    Parameters
    ----------
    on_result : callable
        Called with each result, and what the middleware tells of it if it takes two arguments, in
        the node's thread.
    on_replaced : callable
        Called with the number of images replaced by newer ones whenever the server tells it, in
        the node's thread.
    topic : str
        Of the images that these are counted of.
    results : tuple of type and str
        The messages of the results, and their topic.

    """

    def __init__(self, on_result: Callable[..., None], on_replaced: Callable[[int], None],
                 topic: str = '/image',
                 results: tuple[Any, str] = (Classification, '/classification')) -> None:
        from ros2_classify.ros.node import dds_profile

        dds_profile.use()
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._on_result = on_result
        self._on_replaced = on_replaced
        self._images = f'server: images {topic}'
        self._results = results
        # What each part has said last: when, its level and its message.
        self._statuses: dict[str, tuple[float, int, str]] = {}
        self._publishers: dict[str, Any] = {}
        self._node = rclpy.create_node('operator', enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 100)
        self._listener: Any = None
        self._guest: Any = None
        services: dict[str, Any] = {
            'set_parameters': SetParameters, 'get_parameters': GetParameters,
            'change_state': ChangeState}
        self._clients = {name: self._node.create_client(kind, f'/server/{name}')
                         for name, kind in services.items()}
        self._classify: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the node."""
        self._ended.set()
        self._executor.create_task(lambda: None)  # brings spin_once back
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def wait(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Wait until a condition holds; raise BenchError if it doesn't in time."""
        end = time.monotonic() + patience
        while not (value := condition()):
            if time.monotonic() > end:
                raise BenchError(f'waited {patience:.0f} s in vain for {what}')
            time.sleep(_POLL)
        return value

    def meet(self) -> None:
        """Wait until the server responds to this node; the first requests may get lost."""
        end = time.monotonic() + PATIENCE
        for name, request in (('get_parameters', GetParameters.Request(names=['model'])),
                              ('set_parameters', SetParameters.Request())):
            while not self._done(name, request, _ASK_AGAIN):
                if time.monotonic() > end:
                    raise BenchError('the server does not respond')
        self.wait(self._clients['change_state'].service_is_ready, 'the service change_state')

    def set_values(self, **values: Any) -> str:
        """Set parameters; return why one of them was refused, or nothing."""
        return refusal(self._call('set_parameters', _request(values)))

    def transition(self, name: str) -> bool:
        """Ask for a transition; return whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = _TRANSITIONS[name]
        return bool(self._call('change_state', request).success)

    def listen(self, wanted: bool) -> None:
        """Subscribe to the results, or unsubscribe."""
        def act() -> None:
            if wanted:
                self._listener = self._node.create_subscription(
                    *self._results, self._on_result, QoSProfile(depth=100))
            else:
                self._node.destroy_subscription(self._listener)
        self._in_thread(act)

    def hear(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> None:
        """Subscribe to another topic, for good; the callback is for the node's thread."""
        self._in_thread(lambda: self._node.create_subscription(
            kind, topic, callback, QoSProfile(depth=100)))

    def publish(self, topic: str, message: Any) -> None:
        """Publish a message; the first one once somebody has subscribed."""
        if topic not in self._publishers:
            def act() -> None:
                self._publishers[topic] = self._node.create_publisher(type(message), topic, 10)
            self._in_thread(act)
            self.wait(self._publishers[topic].get_subscription_count, f'a subscriber of {topic}')
        self._publishers[topic].publish(message)

    def begin_to_set(self, **values: Any) -> Any:
        """Set parameters without waiting; return the future of the response."""
        return self._clients['set_parameters'].call_async(_request(values))

    def status(self, part: str, since: float = 0.0) -> tuple[int, str]:
        """Return the level and message of a part, if it has said it since; else -1 and ''."""
        when, level, text = self._statuses.get(f'server: {part}', (0.0, -1, ''))
        return (level, text) if when > since else (-1, '')

    def invite(self) -> None:
        """Add subscribers: to the debug image, the labels and the results."""
        def act() -> None:
            self._guest = [
                self._node.create_subscription(kind, topic, lambda _: None, 1)
                for kind, topic in ((Image, '/server/debug_image'), (LabelInfo, '/label_info'),
                                    (Classification, '/classification'))]
        self._in_thread(act)

    def dismiss(self) -> None:
        """Remove them."""
        def act() -> None:
            for subscription in self._guest:
                self._node.destroy_subscription(subscription)
        self._in_thread(act)

    def classify(self, image: Any) -> Any:
        """Ask the service about an image and return its response."""
        kind = load_type('Classify')
        if self._classify is None:
            self._classify = self._node.create_client(kind, '/server/classify')
            self._clients['classify'] = self._classify
            self.wait(self._classify.service_is_ready, 'the service classify')
        return self._call('classify', kind.Request(image=image))

    def _on_diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            self._statuses[status.name] = (
                time.monotonic(), int.from_bytes(status.level, 'little'), status.message)
            for row in status.values if status.name == self._images else ():
                if row.key == 'dropped, replaced by newer ones':
                    self._on_replaced(int(row.value))

    def _call(self, name: str, request: Any) -> Any:
        future = self._clients[name].call_async(request)
        return self.wait(lambda: future.done() and future, f'a response of {name}').result()

    def _done(self, name: str, request: Any, patience: float) -> bool:
        client = self._clients[name]
        self.wait(client.service_is_ready, f'the service {name}')
        future = client.call_async(request)
        end = time.monotonic() + patience
        while not future.done() and time.monotonic() < end:
            time.sleep(_POLL)
        return bool(future.done())

    def _in_thread(self, act: Callable[[], None]) -> None:
        """Create and destroy where nothing is being waited for at the same time."""
        task = self._executor.create_task(act)
        self.wait(task.done, 'the thread of the node')
        if task.exception() is not None:
            raise task.exception()

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once()


def _request(values: dict[str, Any]) -> Any:
    return SetParameters.Request(parameters=[
        Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])


def refusal(response: Any) -> str:
    """Return why a parameter was refused, or nothing."""
    return '; '.join(each.reason for each in response.results if not each.successful)
