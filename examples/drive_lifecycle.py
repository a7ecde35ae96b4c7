#!/usr/bin/env python3
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
Drive the lifecycle of a server: configure, activate, deactivate, clean up.

    ros2 run ros2_classify server --ros-args -p model:=cards_detector -p autostart:=false
    python examples/drive_lifecycle.py configure activate
    python examples/drive_lifecycle.py deactivate cleanup
"""

import argparse
import sys

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import rclpy
from rclpy.node import Node

TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
}


class LifecycleClient(Node):
    """Changes the state of one server."""

    def __init__(self, server: str, timeout: float) -> None:
        super().__init__('drive_lifecycle')
        self._server = server
        self._timeout = timeout
        self._get_state = self.create_client(GetState, f'{server}/get_state')
        self._change_state = self.create_client(ChangeState, f'{server}/change_state')

    def state(self) -> str:
        """Return the present state."""
        return str(self._call(self._get_state, GetState.Request()).current_state.label)

    def change(self, name: str) -> bool:
        """Request a transition; the server's log says why one fails."""
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))
        return bool(self._call(self._change_state, request).success)

    def _call(self, client, request):  # type: ignore[no-untyped-def]
        if not client.wait_for_service(self._timeout):
            raise TimeoutError(f'there is no server {self._server}')
        future = client.call_async(request)
        rclpy.spin_until_future_complete(self, future, timeout_sec=self._timeout)
        if not future.done():
            raise TimeoutError(f'{self._server} did not respond within {self._timeout:g} s')
        return future.result()


def main() -> int:
    parser = argparse.ArgumentParser(description='Drive the lifecycle of a server.')
    parser.add_argument('transitions', nargs='+', choices=TRANSITIONS)
    parser.add_argument('--server', default='/server')
    parser.add_argument('--timeout', type=float, default=120.0, help='seconds')
    arguments = parser.parse_args()

    rclpy.init()
    client = LifecycleClient(arguments.server, arguments.timeout)
    try:
        for name in arguments.transitions:
            if not client.change(name):
                print(f'error: {name} failed, the server is {client.state()}', file=sys.stderr)
                return 1
            print(f'{name}: {client.state()}', flush=True)
    except TimeoutError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
