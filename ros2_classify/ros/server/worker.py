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
The threads that wait for images, run the model on them and publish the results.

There is one thread for each inference that may run at a time. A thread waits on the image
subscriptions itself, takes the newest image and goes straight on to its result, so an image is
touched by one thread from the middleware to `publish`. One thread at a time waits and takes;
the others are in the model, or wait for their turn to wait.

Cameras take turns, the least recently served first, and service requests take turns with cameras.
Results of one camera are published in the order in which their images were taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
import threading
import time
import traceback
from typing import Any

from ros2_classify.ros.server.camera_stream import CameraStream
from ros2_classify.ros.server.image_waiter import ImageWaiter
from ros2_classify.ros.server.inference import Drop, dropped, Inference, Outcome, Source
from ros2_classify.ros.server.model import Model

# A wait ends after this number of seconds in any case: a thread never depends on being woken up.
_LONGEST_WAIT = 1.0
# After an unexpected failure, so that one that repeats takes no processor.
_PAUSE = 0.1
# A camera that has been silent for this number of seconds is not awaited to fill a batch.
_LIVELY = 1.0
_MAX_REQUESTS = 8


class Worker:
    """
    Threads that turn images into results, until they are stopped; they close the waiter.

    `acquire_model` returns the model of the moment, acquired, or an exception that says why there
    is none; `on_error` gets exceptions that nobody expected; `max_batch_delay` is how many seconds
    to wait for images of other cameras, if the model takes several at once.
    """

    def __init__(self, cameras: Sequence[CameraStream], inference: Inference, waiter: ImageWaiter,
                 acquire_model: Callable[[], Model | Exception],
                 on_error: Callable[[Exception], Any], *, parallel: int = 1,
                 max_batch_delay: float = 0.0) -> None:
        self.inference = inference
        self._waiter = waiter
        self._acquire_model = acquire_model
        self._on_error = on_error
        self._delay = max_batch_delay
        # The camera that was served longest ago comes first.
        self._cameras = list(cameras)
        self._requests: deque[Source] = deque()
        self._request_was_last = False
        self._limit = 1
        self._stopped = threading.Event()
        self._taking = threading.Lock()
        self._waiting = False
        self._looked_at = time.monotonic()
        self._order = PublishingOrder()
        self._threads = [
            threading.Thread(target=self._run, args=(slot,), name=f'inference_{slot}', daemon=True)
            for slot in range(parallel)]

    @property
    def looked_at(self) -> float:
        """When a thread last looked for images (``time.monotonic``): now, while one waits."""
        return time.monotonic() if self._waiting else self._looked_at

    # ---- for the executor's thread

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Have the thread that waits look again; any thread may call this."""
        self._waiter.wake()

    def submit(self, request: Source) -> bool:
        """Queue a service request; return False if too many wait already."""
        if self._stopped.is_set() or len(self._requests) >= _MAX_REQUESTS:
            return False
        self._requests.append(request)
        self.wake()
        return True

    def stop(self, timeout: float) -> bool:
        """Finish what is in the model, and nothing after it; return whether all threads ended."""
        self._stopped.set()
        self.wake()
        while (request := self._pop_request()) is not None:
            self._finish(dropped([request], Drop.STOPPED))
        end = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._threads)
        if ended:
            self._waiter.close()
        return ended

    def abandon(self, error: Exception) -> None:
        """Stop, and leave the threads behind that don't come back from the model."""
        self._stopped.set()
        self._finish(self.inference.abandon(error))
        self._order.close()
        self.stop(0.0)
        # Only threads in the model are left, or such as are about to end.
        self._waiter.close()

    # ---- in the threads

    def _run(self, slot: int) -> None:
        while not self._stopped.is_set():
            try:
                self._work(slot)
            except Exception as error:  # noqa: B902 - no exception ends a thread
                if not self._stopped.is_set():
                    self._report(error)
                    self._stopped.wait(_PAUSE)

    def _work(self, slot: int) -> None:
        """Wait for images or a request, and see them through to their results."""
        with self._taking:
            model, cameras, sources = self._next()
            ticket = self._order.take(cameras)
        try:
            if isinstance(model, Exception):
                self._finish(dropped(sources, Drop.PAUSED, model))
            elif model is not None:
                self._infer_and_publish(model, sources, slot, ticket)
        finally:
            self._order.leave(ticket)

    def _infer_and_publish(
            self, model: Model, sources: Sequence[Source], slot: int, ticket: Ticket) -> None:
        try:
            if model.sees_clips:
                # The frames of a camera come one after the other.
                self._order.wait(ticket)
            try:
                job = self.inference.run(model, sources, slot)
            except Exception as error:
                self._finish(dropped(sources, Drop.FAILED, error))
                raise
            self._order.wait(ticket)
            self._finish(self.inference.outcomes(job))
        finally:
            # It may hold the last image's megabytes until the next one comes.
            model.batches[slot].clear()
            model.release()

    def _finish(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            try:
                outcome.source.finish(outcome)
            except Exception as error:  # noqa: B902 - the other images get their results
                self._report(error)

    def _report(self, error: Exception) -> None:
        try:
            self._on_error(error)
        except Exception:  # noqa: B902 - a thread must not end because of a line in the log
            traceback.print_exc()

    # ---- what comes next; with the lock `_taking`

    def _next(self) -> tuple[Model | Exception | None, Sequence[CameraStream], Sequence[Source]]:
        """Wait for images or a request; return them with the model for them, and the cameras."""
        while not self._stopped.is_set():
            if self._delay > 0.0 and self._limit > 1:
                self._wait_for_batch()
            model = self._acquire_model()
            cameras: Sequence[CameraStream] = ()
            sources: Sequence[Source] = ()
            try:
                self._limit = 1 if isinstance(model, Exception) else model.pipeline.max_batch
                cameras, sources = self._take(self._limit)
            finally:
                if not sources and not isinstance(model, Exception):
                    model.release()
            if sources:
                return model, cameras, sources
            self._wait(self._cameras, _LONGEST_WAIT)
        return None, (), ()

    def _take(self, limit: int) -> tuple[Sequence[CameraStream], Sequence[Source]]:
        """Take a request, or the newest images of different cameras: they take turns."""
        request = None if self._request_was_last else self._pop_request()
        if request is None:
            cameras, frames = self._take_frames(limit)
            if frames:
                self._request_was_last = False
                return cameras, frames
            request = self._pop_request()
        self._request_was_last = request is not None
        return (), () if request is None else (request,)

    def _take_frames(self, limit: int) -> tuple[Sequence[CameraStream], Sequence[Source]]:
        cameras: list[CameraStream] = []
        frames: list[Source] = []
        self._looked_at = time.monotonic()
        for camera in tuple(self._cameras):
            try:
                frame = camera.take()
            except Exception as error:  # noqa: B902 - the other cameras go on
                self._report(error)
                self._stopped.wait(_PAUSE)
                continue
            if frame is not None:
                frames.append(frame)
                cameras.append(camera)
                self._cameras.remove(camera)
                self._cameras.append(camera)
                if len(frames) == limit:
                    break
        return cameras, frames

    def _pop_request(self) -> Source | None:
        try:
            return self._requests.popleft()
        except IndexError:
            return None

    def _wait(self, cameras: Iterable[CameraStream], seconds: float) -> list[CameraStream]:
        """Wait for an image of one of these cameras; return early when woken up."""
        sources = [(camera, source) for camera in cameras
                   if (source := camera.source) is not None]
        local = [camera for camera, source in sources if source.has_local_image]
        if local:
            return local
        waitable = {each: camera for camera, source in sources for each in source.waitables}
        self._waiting = True
        try:
            ready = self._waiter.wait(tuple(waitable), seconds)
        finally:
            self._looked_at = time.monotonic()
            self._waiting = False
        return list(dict.fromkeys(waitable[each] for each in ready))

    def _wait_for_batch(self) -> None:
        """Wait for the images of other cameras, if there is one, and if they send any."""
        if self._requests and not self._request_was_last:
            return
        ready = set(self._wait(self._cameras, 0.0))
        end = time.monotonic() + self._delay
        while ready and not self._stopped.is_set():
            now = time.monotonic()
            lively = sum(_is_lively(camera, now) for camera in self._cameras)
            if len(ready) >= min(self._limit, lively) or now >= end:
                return
            ready.update(self._wait(
                [camera for camera in self._cameras if camera not in ready], end - now))


def _is_lively(camera: CameraStream, now: float) -> bool:
    source = camera.source
    last = None if source is None else source.last_image_at
    return last is not None and now - last < _LIVELY


@dataclass(eq=False)
class Ticket:
    """A place in the `PublishingOrder`."""

    cameras: frozenset[Any]


class PublishingOrder:
    """Has the results of each camera published in the order in which its images were taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tickets: list[Ticket] = []
        self._closed = False

    def take(self, cameras: Iterable[Any]) -> Ticket:
        """Take a ticket for images of these cameras; `leave` gives it back."""
        ticket = Ticket(frozenset(cameras))
        with self._changed:
            self._tickets.append(ticket)
        return ticket

    def wait(self, ticket: Ticket) -> None:
        """Wait until all earlier images of its cameras have been published or dropped."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._is_blocked(ticket))

    def leave(self, ticket: Ticket) -> None:
        """Let later ones pass."""
        with self._changed:
            self._tickets.remove(ticket)
            self._changed.notify_all()

    def close(self) -> None:
        """Let all pass."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_blocked(self, ticket: Ticket) -> bool:
        for earlier in self._tickets:
            if earlier is ticket:
                return False
            if earlier.cameras & ticket.cameras:
                return True
        return False
