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
Requests that come while a node is being configured and its model downloaded.

rclpy configures a node in a callback, so for minutes nobody would handle another model, or the
request to give it up, or what `ros2 lifecycle` and `ros2 param` ask before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
import inspect
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node
from ros2_classify.ros.server.model_loader import LoadingModel

_PACKAGES = ('rcl_interfaces.', 'lifecycle_msgs.')
# Those that may give up what is being fetched.
_CHANGING = (ChangeState, SetParameters, SetParametersAtomically)
_CLEANUP = 'cleanup'
_ENDING = {
    Transition.TRANSITION_CLEANUP: _CLEANUP,
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: 'shutdown',
    Transition.TRANSITION_INACTIVE_SHUTDOWN: 'shutdown',
    Transition.TRANSITION_ACTIVE_SHUTDOWN: 'shutdown'}


class NewerRequests:
    """Handles what gives a download up or overtakes it; all else has its turn afterwards."""

    def __init__(self, node: Node) -> None:
        self._node = node
        # Whether a transition was asked for that the one in progress made way for.
        self.gave_way = False
        self._waiting: deque[tuple[Any, Any, Any]] = deque()

    def look(self, loading: LoadingModel) -> None:
        """Handle what has come, in the executor's thread, from within a callback."""
        for service, request, header in self._taken(loading):
            if service.srv_type is ChangeState:
                self._change_state(loading, service, request, header)
            else:
                self._handle(service, request, header)

    def _taken(self, loading: LoadingModel) -> Iterator[tuple[Any, Any, Any]]:
        # rclpy keeps those of the lifecycle apart.
        services = {id(each): each for each in (
            *self._node.services, *(value for name, value in vars(self._node).items()
                                    if name.startswith('_service_')))}.values()
        for service in services:
            kind = getattr(service, 'srv_type', None)
            if kind is None or not kind.__module__.startswith(_PACKAGES):
                continue
            while kind not in _CHANGING or (loading.fetching and not loading.done()):
                with service.handle:
                    request, header = service.handle.service_take_request(kind.Request)
                if request is None:
                    break
                yield service, request, header

    def _change_state(
            self, loading: LoadingModel, service: Any, request: Any, header: Any) -> None:
        label = request.transition.label or _ENDING.get(request.transition.id, '')
        if label not in _ENDING.values():
            # Such as the same request again: after this one.
            self._waiting.append((service, request, header))
            self._handle_one_later()
            return
        self.gave_way = True
        loading.cancel(f'{loading.name} was given up before its files were there, because '
                       f'{label} was requested')
        if label == _CLEANUP:
            # Configuring fails, which leaves nothing to clean up.
            service.send_response(ChangeState.Response(success=True), header)
        else:
            # Before those that wait: they would load the model again.
            self._waiting.appendleft((service, request, header))
            self._handle_one_later()

    def _handle_one_later(self) -> None:
        """Let the executor handle the first of those that wait; it may reorder its tasks."""
        def handle() -> None:
            service, request, header = self._waiting.popleft()
            response = service.callback(request, service.srv_type.Response())
            service.send_response(response, header)
        assert self._node.executor is not None, 'the node was added before it is configured'
        self._node.executor.create_task(handle)

    @staticmethod
    def _handle(service: Any, request: Any, header: Any) -> None:
        response = service.callback(request, service.srv_type.Response())
        if inspect.iscoroutine(response):
            # Setting parameters of a node without a model waits for nothing.
            try:
                response.send(None)
            except StopIteration as end:
                response = end.value
            else:
                response.close()
                raise RuntimeError('setting parameters waits while the node is being configured')
        service.send_response(response, header)
