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
An answer for every request to set parameters, however malformed.

rclpy raises where a value's type is none that there is, and whoever asked would wait for an answer
for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node

_Callback = Callable[[Any, Any], Any]


def result_every_request(node: Node) -> None:
    """
    Let a node's parameter services refuse what they can't read.

    Parameters
    ----------
    node : rclpy.node.Node
        The node, whose services are there already.

    """
    guards = {'/set_parameters': _each, '/set_parameters_atomically': _all}
    for service in node.services:
        guard = guards.get(service.srv_name[service.srv_name.rfind('/'):])
        if guard is not None:
            service.callback = guard(service.callback)


def _each(callback: _Callback) -> _Callback:
    """Ask for one parameter after the other, each with a result of its own."""
    def guarded(request: Any, response: Any) -> Any:
        for parameter in request.parameters:
            try:
                result = callback(
                    SetParameters.Request(parameters=[parameter]), SetParameters.Response())
                response.results += result.results
            except Exception as error:  # noqa: B902 - the asker gets an answer in any case
                response.results.append(_refusal(error))
        return response
    return guarded


def _all(callback: _Callback) -> _Callback:
    """Ask for all parameters at once."""
    def guarded(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:  # noqa: B902 - the asker gets an answer in any case
            response.result = _refusal(error)
            return response
    return guarded


def _refusal(error: Exception) -> SetParametersResult:
    reason = str(error) or type(error).__name__
    return SetParametersResult(successful=False, reason=f'the request cannot be read: {reason}')
