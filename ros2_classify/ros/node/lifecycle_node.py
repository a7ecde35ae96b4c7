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

"""
A lifecycle node that starts itself, reports failed transitions, and ends cleanly in any state.

Subclasses implement the transitions. This class handles exceptions, a request to end the process
during a slow transition, transitions that the state does not allow, and abandoned threads.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
import time
from typing import Any
import uuid

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.ros.diagnostics.issues import find
from ros2_classify.ros.node import process as runtime
from ros2_classify.ros.node.logging import BoundedLogs, ThrottledLog

TOPIC = 'bond'
# Nav2's nodes send ten in a second; its manager waits four seconds for one.
_PERIOD = 0.1
_TIMEOUT = 4.0
# Seconds for which the end is told if the manager does not confirm it.
_FAREWELL = 2.0


class Bond:
    """One node's side, in the executor's thread; without the package bond it does nothing."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._status: Any = None
        self._publisher: Any = None
        self._timer: Any = None
        self._instance = ''
        self._ends_at: float | None = None

    def start(self) -> None:
        """Send heartbeats until `stop`, or until the manager ends the bond."""
        if self._status is None and not self._connect():
            return
        self._rest()
        # Each bond is another one, also of the same node.
        self._instance = str(uuid.uuid4())
        self._ends_at = None
        self._timer = self._node.create_timer(
            _PERIOD, self._beat, callback_group=MutuallyExclusiveCallbackGroup(),
            # Simulated time may stand still.
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._beat()

    def stop(self) -> None:
        """Tell the manager that this side ends, until it confirms."""
        if self._timer is not None and self._ends_at is None:
            self._ends_at = time.monotonic() + _FAREWELL
            self._publish(active=False)

    def cease(self) -> None:
        """
        Send nothing more: the manager notices after its `bond_timeout`.

        Told at once, Nav2's manager would ask a process that is ending to deactivate, and wait
        for its response for ever.
        """
        if self._ends_at is None:
            self._rest()

    def _connect(self) -> bool:
        try:
            from bond.msg import Status
        except ImportError:
            self._node.get_logger().info(
                'no bond: the package bond is not installed; set bond_timeout to 0.0 if the '
                'lifecycle manager is that of Nav2')
            return False
        self._status = Status
        self._publisher = self._node.create_publisher(Status, TOPIC, 5)
        self._node.create_subscription(Status, TOPIC, self._heard, 100)
        return True

    def _beat(self) -> None:
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            self._rest()
        else:
            self._publish(active=self._ends_at is None)

    def _heard(self, msg: Any) -> None:
        if (self._timer is None or msg.id != self._node.get_name()
                or msg.instance_id == self._instance or msg.active):
            return
        if self._ends_at is None:
            # The manager ends it: confirm.
            self._publish(active=False)
        self._rest()

    def _rest(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            self._node.destroy_timer(timer)

    def _publish(self, *, active: bool) -> None:
        msg = self._status(
            id=self._node.get_name(), instance_id=self._instance, active=active,
            heartbeat_timeout=_TIMEOUT, heartbeat_period=_PERIOD)
        msg.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(msg)


_SUCCESS = TransitionCallbackReturn.SUCCESS
_FAILURE = TransitionCallbackReturn.FAILURE
_ERROR = TransitionCallbackReturn.ERROR


class ManagedNode(BoundedLogs, LifecycleNode):
    """A lifecycle node in a process that may be told to end at any time."""

    def __init__(self, name: str, stop: runtime.Stop) -> None:
        super().__init__(name)
        self._stop = stop
        self._log = self.get_logger()
        # Which transition failed last, and why, until one succeeds.
        self.failed_transition: tuple[str, str] | None = None
        self._bond = Bond(self)
        self._refuse_forbidden_transitions()

    @property
    def state(self) -> str:
        """The lifecycle state, or the transition in progress."""
        return str(self._state_machine.current_state[1])

    # ---- what a subclass does

    @property
    @abstractmethod
    def autostart(self) -> bool:
        """Whether it configures and activates itself."""

    @property
    def made_way(self) -> bool:
        """Whether the last transition gave up because another one was requested."""
        return False

    @abstractmethod
    def configure(self) -> None:
        """Allocate the expensive resources; an exception makes the transition fail."""

    @abstractmethod
    def activate(self) -> None:
        """Start working; an exception makes the transition fail."""

    @abstractmethod
    def halt(self) -> bool:
        """Stop all work, in any state; return whether it has stopped."""

    @abstractmethod
    def free(self, service: bool = True) -> None:
        """Release what `configure` allocated, in any state; the service only if asked to."""

    # ---- the process

    def start(self) -> None:
        """Configure and activate with `autostart`; else wait for transitions."""
        if not self.autostart:
            self._log.info('waiting to be configured (autostart is off)')
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if self._stop.requested:
                return
            if transition() != _SUCCESS:
                if not self.made_way:
                    self._stop.request(1)
                return

    def close(self) -> None:
        """Shut down from any state."""
        self._bond.cease()
        self.halt()
        # Pending requests have been refused; their responses still have to be sent.
        if self.executor is not None:
            runtime.finish_callbacks(self.executor)
        self.free()

    # ---- transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure; roll back on failure."""
        return self._transition('configure', self.configure, self.free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate; roll back on failure."""
        done = self._transition('activate', self.activate, self.halt)
        # Otherwise there is no manager that might need it.
        if done == _SUCCESS and not self.autostart:
            self._bond.start()
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop all work; stay configured."""
        self._bond.stop()
        return _SUCCESS if self.halt() else _ERROR

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything."""
        self.free()
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop all work and release everything."""
        self._bond.stop()
        if not self.halt():
            return _ERROR
        # The service stays, to send the responses of refused requests.
        self.free(service=False)
        return _SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured, unless a thread is stuck in the model."""
        self._bond.stop()
        if not self.halt():
            self._log.fatal('the model does not come back; the node cannot be used any more')
            if self.autostart:
                self._stop.request(1)
            return _FAILURE
        self.free()
        return _SUCCESS

    def _transition(
            self, name: str, act: Callable[[], None],
            undo: Callable[[], Any]) -> TransitionCallbackReturn:
        try:
            if self._stop.requested:
                raise runtime.Interrupted
            act()
            self.failed_transition = None
            return _SUCCESS
        except runtime.Interrupted:
            self._log.info(f'{name} was interrupted')
        except Ros2ClassifyError as error:
            self._fail(name, str(error))
        except Exception as error:  # noqa: B902 - rclpy would swallow it
            self._fail(name, f'unexpected {type(error).__name__}: {error}')
        undo()
        return _FAILURE

    def _fail(self, name: str, reason: str) -> None:
        self.failed_transition = (name, reason)
        self._log.error(find('transition_failed', transition=name, reason=reason).text)

    def _refuse_forbidden_transitions(self) -> None:
        """Refuse what the state doesn't allow: rclpy raises, and the client gets no response."""
        service = getattr(self, '_service_change_state', None)
        change_state = getattr(service, 'callback', None)
        if service is None or change_state is None:
            return

        refused = ThrottledLog()

        def guarded(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except rclpy_implementation.RCLError as error:
                # The client's text is truncated, and its log line throttled.
                asked = ascii(request.transition.label[:40]) if (
                    request.transition.label) else f'number {request.transition.id}'
                reason = str(error).partition('\n')[0]
                refused(self._log.warning, f'transition {asked} refused: {reason}', 'transition')
                response.success = False
                return response

        service.callback = guarded
