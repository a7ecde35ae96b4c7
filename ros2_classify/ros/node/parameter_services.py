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
The services that set a node's parameters, for a node that takes its time to answer.

rclpy answers them at once, in the executor's thread, which a slow check of a value would hold up.
Here the answer is awaited, while the node's other callbacks go on: whoever sets a parameter, by
``ros2 param set`` or otherwise, learns what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameters

Setter = Callable[[Sequence[Parameter]], Awaitable[SetParametersResult]]


def replace_setters(node: Node, set_atomically: Setter) -> None:
    """
    Have a coroutine answer those who set a node's parameters by its services.

    Parameters
    ----------
    node : rclpy.node.Node
        The node, with rclpy's own services; nobody knows them yet.
    set_atomically : coroutine function
        Sets all of the parameters or none, and returns what came of it. It is called in the
        executor's thread, again before an earlier call has ended.

    """
    async def each(request: Any, response: Any) -> Any:
        for msg in request.parameters:
            response.results.append(await _outcome(set_atomically, [msg]))
        return response

    async def together(request: Any, response: Any) -> Any:
        response.result = await _outcome(set_atomically, request.parameters)
        return response

    callbacks = {SetParameters: each, SetParametersAtomically: together}
    for service in [each for each in node.services if each.srv_type in callbacks]:
        name, service_type = service.srv_name, service.srv_type
        node.destroy_service(service)
        # Reentrant: whoever waits here holds up no other callback.
        node.create_service(
            service_type, name, callbacks[service_type], qos_profile=qos_profile_parameters,
            callback_group=ReentrantCallbackGroup())


async def _outcome(set_atomically: Setter, messages: Sequence[Any]) -> SetParametersResult:
    # Without an answer, whoever asked would wait for ever.
    try:
        parameters = [Parameter.from_parameter_msg(msg) for msg in messages]
    except Exception as error:  # noqa: B902 - such as a type that is none
        return SetParametersResult(
            successful=False, reason=f'the request cannot be read: {error}')
    try:
        return await set_atomically(parameters)
    except Exception as error:  # noqa: B902 - such as a parameter that isn't declared
        return SetParametersResult(successful=False, reason=str(error))
