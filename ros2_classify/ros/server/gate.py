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
A subscription that the executor leaves alone while somebody else takes its messages.

With more images than the model can answer, taking each of them costs the executor's thread a
millisecond of copies, and the interpreter's lock with it, for an image that is replaced at once.
The middleware's queue of one does that for nothing. So, where an image was replaced, the worker's
threads fetch the newest one when they need it, until there is none: then the executor waits again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation


class Gate(MutuallyExclusiveCallbackGroup):
    """
    A group whose callbacks are not called while it is closed.

    Parameters
    ----------
    wake : callable
        Has the executor look again at what it waits for; any thread may call it.

    """

    def __init__(self, wake: Callable[[], Any]) -> None:
        super().__init__()
        self._wake = wake
        self.closed = False

    def can_execute(self, entity: Any) -> bool:
        """Tell the executor whether to wait for messages and events of this entity."""
        # Events are left out as well: the middleware would report the waiting message as one.
        return not self.closed and bool(super().can_execute(entity))

    def open(self) -> None:  # noqa: A003 - what one does with a gate
        """Let the executor wait again."""
        if self.closed:
            self.closed = False
            self._wake()


def fetch(subscription: Any) -> tuple[Any, dict[str, Any]] | None:
    """
    Take a message without the executor.

    Parameters
    ----------
    subscription : rclpy.subscription.Subscription
        Its group is closed.

    Returns
    -------
    tuple of (message, dict) or None
        The message and what the middleware knows of it; None where none waits, or where the
        subscription has been destroyed.

    Raises
    ------
    rclpy_implementation.RCLError
        If the middleware can't hand it over.

    """
    try:
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    except rclpy_implementation.InvalidHandle:
        return None
    return None if taken is None else (taken[0], taken[1])
