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

"""The action ``~/look_until``: looks at a camera's images until something is seen often enough."""

from __future__ import annotations

from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from ros2_classify.ros.messages.vision import load_type
from ros2_classify.ros.server.look import fill, Looking, Search
from ros2_classify.ros.server.looking import (
    COULD_NOT_LOOK, FOUND, NOT_FOUND, Question, Tally, times_problem)

_TIMEOUT = 30.0
# Seconds that a result is kept for a client that has not asked for it yet; it may hold an image.
_KEPT = 60
_CANCELED = 'canceled'


class LookUntilAction:
    """
    The action's server; ImportError if its interfaces are not installed.

    A goal is a coroutine in the executor's thread that awaits results: it blocks nothing, and
    other goals and requests go on beside it.
    """

    def __init__(self, node: Node, looking: Looking) -> None:
        self._type = load_type('LookUntil', 'action')
        self._looking = looking
        self._searches: dict[bytes, Search] = {}
        self._server = ActionServer(
            node, self._type, '~/look_until', self._execute,
            callback_group=ReentrantCallbackGroup(), cancel_callback=self._cancel,
            result_timeout=_KEPT)

    async def _execute(self, handle: Any) -> Any:
        goal, result = handle.request, self._type.Result()
        question = Question(tuple(goal.classes), goal.max_age)
        search: Search | str = times_problem(goal.times, goal.images) or self._looking.begin(
            goal.stream, question, goal.timeout or _TIMEOUT)
        if isinstance(search, str):
            result.outcome, result.message = COULD_NOT_LOOK, search
            return self._end(handle, result)
        key = bytes(handle.goal_id.uuid)
        self._searches[key] = search
        tally = Tally(goal.times, goal.images)
        try:
            await self._watch(handle, search, tally)
            result.outcome, result.message = _outcome(search, question, tally)
            result.images, result.seen = tally.images, tally.seen
            result.best_score = tally.best_score
            if tally.newest is not None:
                fill(result, tally.newest)
        except Exception as error:  # noqa: B902 - the client gets a result in any case
            result.outcome = COULD_NOT_LOOK
            result.message = f'unexpected {type(error).__name__}: {error}'
        finally:
            del self._searches[key]
            self._looking.finish(search)
        return self._end(handle, result)

    async def _watch(self, handle: Any, search: Search, tally: Tally) -> None:
        while not tally.enough and (sight := await search.next_sight()) is not None:
            tally.add(sight)
            # The action may have been taken away meanwhile.
            if handle.is_active:
                handle.publish_feedback(self._type.Feedback(
                    images=tally.images, seen=tally.seen, best_score=tally.best_score,
                    problem=tally.problem))

    def _end(self, handle: Any, result: Any) -> Any:
        if handle.is_active:
            if handle.is_cancel_requested:
                handle.canceled()
            elif result.outcome == FOUND:
                handle.succeed()
            else:
                handle.abort()
        return result

    def _cancel(self, handle: Any) -> CancelResponse:
        search = self._searches.get(bytes(handle.goal_id.uuid))
        if search is not None:
            search.end(_CANCELED)
        return CancelResponse.ACCEPT

    def destroy(self) -> None:
        """Take the action away."""
        self._server.destroy()


def _outcome(search: Search, question: Question, tally: Tally) -> tuple[int, str]:
    seen = (f'{question} was seen in {tally.seen} of {tally.images} images on '
            f'{search.stream.topic}')
    if tally.enough:
        return FOUND, seen
    if search.ended:
        return COULD_NOT_LOOK, f'{search.ended}; {seen}'
    if not tally.images:
        return COULD_NOT_LOOK, tally.problem or search.why_nothing()
    if gap := tally.gap():
        return COULD_NOT_LOOK, f'{gap}; {seen}'
    return NOT_FOUND, f'{seen} in {search.seconds:g} s'
