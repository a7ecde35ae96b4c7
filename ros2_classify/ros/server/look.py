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
The service ``~/look`` and the action ``~/look_until``: questions without pixels.

The service has the result of a camera's newest image; the action looks at images until something
is seen often enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
import math
import threading
import time
from typing import Any, Protocol

from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from ros2_classify.errors import OptionsError
from ros2_classify.limits import shown
from ros2_classify.ros.diagnostics.issues import find
from ros2_classify.ros.messages.image import TRANSPORTS
from ros2_classify.ros.messages.vision import load_type
from ros2_classify.ros.server.camera_stream import CameraStream
from ros2_classify.ros.server.looking import (
    COULD_NOT_LOOK, FOUND, NOT_FOUND, Question, Sight, Tally, times_problem)
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.output import Published
from ros2_classify.ros.server.responses import fill_places, fill_result

_TIMEOUT = 5.0
_LONGEST = 86400.0
_COMPRESSED = TRANSPORTS['compressed'].suffix
# Requests and goals that may wait at a time: each costs every image a little.
_MOST = 32


class LookedAt(Protocol):
    """What looking needs of the server."""

    model: Model | None

    @property
    def streams(self) -> Sequence[CameraStream]:
        """Its cameras."""

    @property
    def active(self) -> bool:
        """Whether it works on images."""


class Search:
    """
    A client that waits for what a camera's images show; the stream has results made for it.

    Any thread may tell it of an image; the executor's thread awaits `next_sight`.
    """

    def __init__(self, node: Node, stream: CameraStream, question: Question,
                 seconds: float) -> None:
        self._node = node
        self.stream = stream
        self.question = question
        self._lock = threading.Lock()
        self._sights: deque[Sight] = deque()
        self._news = Future()
        self._began = time.monotonic()
        self.seconds = seconds
        self.ended = ''  # why no more is looked at, but for the time
        self._over = False
        self._timer = node.create_timer(
            seconds, self._time_is_up, callback_group=ReentrantCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        stream.watch(self)

    @property
    def in_metres(self) -> bool:
        """Whether it wants the objects' positions."""
        return self.question.positions

    def result(self, published: Published, age: float | None) -> None:
        """Look at a result; `age` is the seconds by its stamp when the image came."""
        self._add(self.question.look(published, self.stream.topic, age))

    def problem(self, reason: str, final: bool) -> None:
        """Note an image that has no result; `final`: so it is with the next one."""
        self._add(Sight(problem=reason, final=final))

    def end(self, reason: str) -> None:
        """End it before its time."""
        self.ended = self.ended or reason
        self._time_is_up()

    def _add(self, sight: Sight) -> None:
        with self._lock:
            self._sights.append(sight)
        self._wake()

    def _time_is_up(self) -> None:
        self._over = True
        self._timer.cancel()
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            if not self._news.done():
                self._news.set_result(None)
        # A future does not wake the executor that sleeps while a callback waits for it.
        executor = self._node.executor
        if executor is not None:
            executor.wake()

    async def next_sight(self) -> Sight | None:
        """Wait for what the next image shows; None when the time is up."""
        while True:
            with self._lock:
                if self._over:
                    return None
                if self._sights:
                    return self._sights.popleft()
                self._news = news = Future()
            await news

    def why_nothing(self) -> str:
        """Return why no image could be looked at by now."""
        return self.ended or self.stream.why_no_result(self._began)

    def close(self) -> None:
        """Have no more results made for it."""
        self.stream.unwatch(self)
        self._node.destroy_timer(self._timer)


class Looking:
    """Finds the camera that a client names, checks what it asks for, and keeps the searches."""

    def __init__(self, node: Node, server: LookedAt) -> None:
        self._node = node
        self._server = server
        self._searches: set[Search] = set()

    def begin(self, stream: str, question: Question, timeout: float) -> Search | str:
        """Return a search, which `finish` ends; or why it can't begin."""
        name = self._node.get_fully_qualified_name()
        model = self._server.model
        if not self._server.active or model is None:
            return f'{name} is not active; activate it first'
        if not (math.isfinite(timeout) and 0.0 < timeout <= _LONGEST):
            return f'timeout is {timeout:g} s but must be over 0 and at most {_LONGEST:g}'
        if not (math.isfinite(question.max_age) and question.max_age >= 0.0):
            return f'max_age is {question.max_age:g} s but must be 0 or more'
        if problem := _unknown(question, model):
            return problem
        if len(self._searches) >= _MOST:
            return f'{_MOST} requests and goals look already; try again later'
        found = self._find(stream)
        if isinstance(found, str):
            return found
        if not found.enabled:
            return find('disabled', topic=found.topic, service=found.enable_service).text
        if question.positions and found.locator is None:
            return f'{found.topic} gives no positions: ' + (
                'set depth_topic or ground_frame, see docs/distances.md'
                if model.pipeline.task == 'detection' else
                f'the model is for {model.pipeline.task}, and they are for detection')
        # Of what the stream's filter drops, no image would tell anything.
        kept = model.settings.of(found.prefix).options.classes
        labels = model.labels.items() if model.labels else ()
        ids = {name: str(number) for number, name in labels}
        for name in question.classes if kept else ():
            if name in ids and not {name, ids[name]} & set(map(str, kept)):
                return (f'the parameter classes of {found.topic} drops {name!r}: add it there, or '
                        'look for another class')
        search = Search(self._node, found, question, timeout)
        self._searches.add(search)
        return search

    def finish(self, search: Search) -> None:
        """End a search."""
        self._searches.discard(search)
        search.close()

    def stop(self, reason: str) -> None:
        """End all searches; their clients are told why."""
        for search in tuple(self._searches):
            search.end(reason)

    def model_changed(self, model: Model) -> None:
        """End the searches for what the present model does not know."""
        for search in tuple(self._searches):
            if problem := _unknown(search.question, model):
                search.end(f'the model has been replaced: {problem}')

    def camera_of(self, name: str) -> CameraStream:
        """Return the stream of a topic, or of a namespace of results; else OptionsError."""
        found = self._find(name)
        if isinstance(found, str):
            raise OptionsError(found)
        return found

    def _find(self, name: str) -> CameraStream | str:
        """Return the stream of a topic, or of a namespace of results; or why there is none."""
        streams = self._server.streams
        if not name and len(streams) == 1:
            return streams[0]
        wanted = _plain(name)
        for stream in streams if name else ():
            if wanted in (_plain(stream.topic), _plain(stream.namespace)):
                return stream
        known = ', '.join(stream.topic for stream in streams)
        return (f'there is no camera {shown(name, 80)!r}; give one of: {known}' if name else
                f'there are several cameras: give one as stream: {known}')


def _unknown(question: Question, model: Model) -> str:
    stages = model.pipeline.stages
    return question.unknown(model.labels, stages.labels if stages else ())


def _plain(name: str | None) -> str | None:
    return None if name is None else name.removesuffix(_COMPRESSED).strip('/')


def _question(asked: Any) -> Question:
    # An older package of interfaces has no positions.
    return Question(tuple(asked.classes), asked.max_age, getattr(asked, 'positions', False))


def fill(message: Any, sight: Sight) -> None:
    """Put the result that was looked at into a response."""
    if sight.result is not None:
        fill_result(message, sight.result, sight.header, sight.class_id)
        fill_places(message, sight.places, sight.header, sight.class_id)


class LookService:
    """The service; ImportError if its interfaces are not installed."""

    def __init__(self, node: Node, looking: Looking) -> None:
        service_type = load_type('Look')
        self._node = node
        self._looking = looking
        # A request that waits for an image must not hold up the node's other callbacks.
        self._service = node.create_service(
            service_type, '~/look', self._look, callback_group=ReentrantCallbackGroup())

    async def _look(self, request: Any, response: Any) -> Any:
        question = _question(request)
        search = self._looking.begin(request.stream, question, request.timeout or _TIMEOUT)
        if isinstance(search, str):
            response.outcome, response.message = COULD_NOT_LOOK, search
            return response
        try:
            response.outcome, response.message = await self._outcome(search, question, response)
        except Exception as error:  # noqa: B902 - the caller gets a response in any case
            response.outcome = COULD_NOT_LOOK
            response.message = f'unexpected {type(error).__name__}: {error}'
        finally:
            self._looking.finish(search)
        return response

    async def _outcome(self, search: Search, question: Question, response: Any) -> tuple[int, str]:
        topic = search.stream.topic
        newest = search.stream.newest() if question.max_age else None
        if newest is not None and (sight := question.recall(*newest)) is not None and (
                sight.placed or not question.positions):
            fill(response, sight)
            return FOUND, _seen(sight, topic)
        problem, unplaced = '', None
        while (sight := await search.next_sight()) is not None:
            if sight.seen and question.positions and not sight.placed:
                unplaced = sight
            elif not sight.problem:
                fill(response, sight)
                if sight.seen:
                    return FOUND, _seen(sight, topic)
                return NOT_FOUND, f'there is no {question} in the image on {topic}'
            problem = sight.problem
            if sight.final:
                break
        if unplaced is not None:
            fill(response, unplaced)
            return FOUND, f'{_seen(unplaced, topic)}, without a position: {_why(unplaced)}'
        return COULD_NOT_LOOK, search.ended or problem or search.why_nothing()

    def destroy(self) -> None:
        """Take the service away."""
        self._node.destroy_service(self._service)


def _seen(sight: Sight, topic: str) -> str:
    return f'{sight.name} is in the image on {topic}, with the score {sight.score:.2f}'


def _why(sight: Sight) -> str:
    return next(filter(None, sight.places.missing))


_UNTIL_TIMEOUT = 30.0
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
        question = _question(goal)
        search: Search | str = times_problem(goal.times, goal.images) or self._looking.begin(
            goal.stream, question, goal.timeout or _UNTIL_TIMEOUT)
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
