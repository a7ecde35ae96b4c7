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

"""Asks a lifecycle node for its state, from a temporary node."""

from __future__ import annotations

import os
import time

from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

#: Seconds after which a request without a response is sent again.
_ASK_AGAIN = 1.0


def lifecycle_state(server: str, timeout: float) -> str:
    """Return a node's lifecycle state, such as ``active``; empty after `timeout` seconds."""
    context = rclpy.Context()
    # Leave Ctrl-C to Python: there is nothing to clean up.
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node(
            f'health_{os.getpid()}', context=context, enable_rosout=False,
            start_parameter_services=False)
        try:
            client = node.create_client(GetState, f'{server}/get_state')
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(node)
            end = time.monotonic() + timeout
            label = ''
            if client.wait_for_service(timeout_sec=timeout):
                # A server may not know this client yet: its response is dropped then.
                while not label and (left := end - time.monotonic()) > 0.0:
                    future = client.call_async(GetState.Request())
                    executor.spin_until_future_complete(future, min(left, _ASK_AGAIN))
                    if future.done():
                        label = str(future.result().current_state.label)
            executor.shutdown()
            return label
        finally:
            node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
