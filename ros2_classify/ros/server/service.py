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

"""Request and response: an image in, an answer out, while the stream of images runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future

from ros2_classify.ros.messages.vision import load_type, MESSAGES

_INTERFACES = 'ros2_classify_interfaces'


@dataclass
class Request:
    """A request on its way through the worker."""

    image: Any
    response: Any
    answered: Future


class InferenceService:
    """
    The service of the loaded model's task.

    Parameters
    ----------
    node : rclpy.node.Node
        The node.
    task : str
        The model's task.
    submit : callable
        Takes a `Request` for the worker; returns why it can't be taken, or nothing.

    Raises
    ------
    ImportError
        If the interfaces package isn't installed, or is too old for this task.

    """

    def __init__(self, node: Node, task: str, submit: Callable[[Request], str]) -> None:
        row = MESSAGES[task]
        service_type = load_type(row.service)
        self._node = node
        self._field = row.topic
        self._submit = submit
        # A request that waits for the worker must not hold up the node's other callbacks.
        self._service = node.create_service(
            service_type, f'~/{row.service.lower()}', self._serve,
            callback_group=ReentrantCallbackGroup())

    @property
    def node_name(self) -> str:
        """The full name of the node."""
        return self._node.get_fully_qualified_name()

    @property
    def name(self) -> str:
        """The service's name."""
        return self._service.srv_name

    async def _serve(self, request: Any, response: Any) -> Any:
        pending = Request(request.image, response, Future())
        refusal = self._submit(pending)
        if refusal:
            return _fail(response, refusal)
        return await pending.answered

    def succeed(self, request: Request, msg: Any) -> None:
        """
        Answer a request; any thread may call this.

        Parameters
        ----------
        request : Request
            The request.
        msg : message
            The result's message.

        """
        setattr(request.response, self._field, msg)
        request.response.success = True
        self._send(request)

    def refuse(self, request: Request, reason: str) -> None:
        """Answer that there is no answer; any thread may call this."""
        _fail(request.response, reason)
        self._send(request)

    def destroy(self) -> None:
        """Take the service away."""
        self._node.destroy_service(self._service)

    def _send(self, request: Request) -> None:
        request.answered.set_result(request.response)
        # A future does not wake the executor that sleeps while a callback waits for it.
        executor = self._node.executor
        if executor is not None:
            executor.wake()


def _fail(response: Any, message: str) -> Any:
    response.success = False
    response.message = message
    return response
