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

"""The order of requests that come while a node is being configured."""

from types import SimpleNamespace
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from ros2_classify.ros.server.newer_requests import NewerRequests


@pytest.mark.parametrize('order', [1, -1], ids=['first task first', 'last task first'])
def test_a_shutdown_comes_before_what_waits(order: int) -> None:
    """A request to configure would load the model again; executors order their tasks freely."""
    tasks: list[Any] = []
    handled: list[int] = []

    def callback(request: Any, response: Any) -> Any:
        handled.append(request.transition.id)
        return response

    service = SimpleNamespace(
        srv_type=ChangeState, callback=callback, send_response=lambda *_: None)
    cancelled: list[str] = []
    loading: Any = SimpleNamespace(name='bees', cancel=cancelled.append)
    node: Any = SimpleNamespace(executor=SimpleNamespace(create_task=tasks.append))
    newer = NewerRequests(node)
    asked = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    for number in asked:
        newer._change_state(loading, service, ChangeState.Request(
            transition=Transition(id=number)), None)
    assert 'shutdown was requested' in cancelled[0] and newer.gave_way and not handled
    for task in tasks[::order]:
        task()
    assert handled == [*reversed(asked)]
