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

"""How many images of a camera are used: at most a number a second, or none while disabled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node


# Stamps jitter: this part of a period early is in time.
_EARLY = 0.1


class RateLimit:
    """
    Tells which images to use so that their stamps come at most so often.

    The beat goes on where an image is early or late, so that the mean rate is the one asked for
    if the camera has enough images. When time goes back, a new beat begins.
    """

    def __init__(self) -> None:
        self._due: float | None = None
        self._last = 0.0

    def allows(self, stamp: float, rate: float) -> bool:
        """Tell whether the image of this time, in seconds, is to be used; rates are in Hz."""
        period = 1.0 / rate
        back, self._last = stamp < self._last, stamp
        if self._due is None or back or stamp - self._due >= period or (
                self._due - stamp > (1.0 + 2.0 * _EARLY) * period):
            self._due = stamp
        if stamp < self._due - _EARLY * period:
            return False
        self._due += period
        return True


class EnableService:
    """The service ``~/enable`` of some streams: they stop to subscribe, the model stays."""

    def __init__(self, node: Node, name: str, streams: Sequence[Any],
                 log: Callable[[str], Any]) -> None:
        from std_srvs.srv import SetBool

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
