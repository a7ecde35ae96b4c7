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

"""The server's subscription, on a real node, where the middleware fails."""

from __future__ import annotations

from typing import Any

import pytest
from rclpy.impl.implementation_singleton import rclpy_implementation
from ros2_classify.ros import image_input
from ros2_classify.ros.image_input import ImageInput
from ros_process import Peer


def test_a_picture_that_cannot_be_taken_costs_itself_only(
        peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ImageInput(peer.node, '/image', 'raw', lambda _: None)
    source.update(wanted=True)

    def fail(subscription: Any) -> None:
        raise rclpy_implementation.RCLError('it cannot be read')

    monkeypatch.setattr(image_input, 'fetch', fail)
    try:
        assert source.hold()
        assert source.fetch() is None
        # The executor goes on with the next one.
        assert not source._gate.closed
    finally:
        source.unsubscribe()
