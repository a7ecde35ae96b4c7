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

"""What the worker's threads do with frames and requests: from messages to answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Any

from numpy.typing import NDArray
from ros2_classify.engines import Tensors
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.preprocess.batch import Batch
from ros2_classify.results.results import Result
from ros2_classify.ros.diagnostics.statistics import Ring
from ros2_classify.ros.messages.image import to_array
from ros2_classify.ros.messages.vision import to_msg
from ros2_classify.ros.server.camera_stream import Frame
from ros2_classify.ros.server.faults import EngineFaults
from ros2_classify.ros.server.mailbox import Taken
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.parameters import ResultSettings
from ros2_classify.ros.server.service import InferenceService, Request


@dataclass(frozen=True)
class Image:
    """
    An image in a batch, and who waits for the answer: exactly one of frame and request is there.

    Parameters
    ----------
    pixels : ndarray of uint8
        The image.
    color : str
        What its channels are.
    frame : Frame or None
        What came on a topic.
    request : Request or None
        What came to the service.

    """

    pixels: NDArray[Any]
    color: str
    frame: Frame | None = None
    request: Request | None = None


@dataclass(eq=False)
class Job:
    """
    Images that go through the model together, and the model that they began with.

    Parameters
    ----------
    model : Model
        The model.
    settings : AnswerSettings
        What the parameters asked for when the job began.
    batch : Batch
        The model's input.
    images : list of Image
        One for each row of the batch.
    outputs : list of dict of str to ndarray
        The model's answers, one for each image.
    preprocess_time, inference_time : float
        Seconds.
    given_up : bool
        Whether it has been answered for, as it doesn't come back from the model.

    """

    model: Model
    settings: ResultSettings
    batch: Batch
    images: list[Image] = field(default_factory=list)
    outputs: list[Tensors] = field(default_factory=list)
    preprocess_time: float = 0.0
    inference_time: float = 0.0
    given_up: bool = False

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.images)


class Inference:
    """
    The steps of the server's `ros2_classify.ros.server.worker.Worker`.

    Parameters
    ----------
    acquire_model : callable
        Returns the model of the moment, acquired.
    service : InferenceService or None
        What answers requests; None where there are no requests.
    on_error : callable
        Called with an exception that nobody expected.
    faults : EngineFaults, optional
        Gets the model's failures, and says when it is to be left alone.

    Attributes
    ----------
    requests : int
        Requests answered or refused.
    times : Ring
        Seconds that the model took for a job.

    """

    def __init__(self, acquire_model: Callable[[], Model], service: InferenceService | None,
                 on_error: Callable[[Exception], None],
                 faults: EngineFaults | None = None) -> None:
        self._acquire_model = acquire_model
        self._service = service
        self._on_error = on_error
        self._next: Model | None = None
        self._faults = faults or EngineFaults('retry')
        self._running: list[Job] = []
        self._given_up = False
        self.requests = 0
        self.times = Ring()

    def begin(self) -> int:
        """Choose the model of the next job; return how many images it takes at once."""
        self._next = self._acquire_model()
        return self._next.pipeline.max_batch

    def cancel(self) -> None:
        """Let go of the model that `begin` chose: nothing could be taken for it."""
        model, self._next = self._next, None
        if model is not None:
            model.release()

    def prepare(self, taken: Taken[Frame, Request], slot: int) -> Job | None:
        """Read and preprocess what was taken."""
        model, self._next = self._next, None
        assert model is not None
        job = None
        try:
            job = self._fill(model, taken, slot)
        finally:
            if job is None:
                model.release()
        return job

    def _fill(self, model: Model, taken: Taken[Frame, Request], slot: int) -> Job | None:
        pause = self._faults.pause()
        if pause is not None:
            for frame in taken.frames:
                frame.stream.skip(pause)
            if taken.request is not None:
                self._refuse(taken.request, pause)
            return None
        job = Job(model, model.settings, model.batches[slot])
        begun = time.perf_counter()
        job.batch.clear()
        for frame in taken.frames:
            self._add_frame(job, frame)
        if taken.request is not None:
            self._add_request(job, taken.request)
        if not job.images:
            return None
        job.preprocess_time = (time.perf_counter() - begun) / len(job)
        return job

    def infer(self, job: Job) -> None:
        """Run the model."""
        begun = time.perf_counter()
        self._running.append(job)
        try:
            job.outputs = job.model.pipeline.infer(job.batch)
        except Exception as error:
            # What comes of a job that was given up says nothing about the model that runs now.
            if not self._given_up:
                self._faults.failed(error)
            raise
        finally:
            self._running.remove(job)
        job.inference_time = time.perf_counter() - begun
        if not self._given_up:
            self._faults.succeeded()

    def give_up(self, error: Exception) -> None:
        """
        Answer for the jobs that do not come back from the model; their outcome won't count.

        Parameters
        ----------
        error : Exception
            Why.

        """
        self._given_up = True
        for job in tuple(self._running):
            job.given_up = True
            for image in job.images:
                self._fail(image, error)

    def finish(self, job: Job, error: Exception | None) -> None:
        """Publish the answers, and send those of requests."""
        try:
            if self._given_up:
                # Another worker goes on: an answer from here would be out of order.
                if not job.given_up:
                    self._leave(job)
                return
            if error is None:
                self.times.add(job.inference_time)
            for row, image in enumerate(job.images):
                try:
                    if error is not None:
                        raise error
                    self._publish(job, image, self._result(job, row))
                except Exception as failure:  # noqa: B902 - the other images get their answers
                    self._fail(image, failure)
        finally:
            # It may hold the last image's megabytes until the next one comes.
            job.batch.clear()
            job.model.release()

    def abandon(self, job: Job) -> None:
        """Let go of a job that was prepared when the worker was stopped."""
        job.batch.clear()
        job.model.release()
        self._leave(job)

    def leave(self, frames: list[Frame], requests: list[Request]) -> None:
        """Count the frames and refuse the requests that waited when the worker was stopped."""
        for frame in frames:
            frame.stream.leave()
        if self._service is not None:
            for request in requests:
                self._service.refuse(
                    request, f'{self._service.node_name} has been deactivated')

    def failed(self, error: Exception) -> None:
        """Note an exception that nobody expected."""
        self._on_error(error)

    def _leave(self, job: Job) -> None:
        self.leave([each.frame for each in job.images if each.frame is not None],
                   [each.request for each in job.images if each.request is not None])

    def _add_frame(self, job: Job, frame: Frame) -> None:
        read = frame.stream.read(frame.msg, job.settings.max_pixels)
        if read is None:
            return
        try:
            job.batch.add(*read)
        except Exception as error:  # noqa: B902 - the other images get their answers
            frame.stream.refuse(error)
        else:
            job.images.append(Image(*read, frame=frame))

    def _add_request(self, job: Job, request: Request) -> None:
        try:
            pixels, color = to_array(request.image, job.settings.max_pixels)
            job.batch.add(pixels, color)
        except Exception as error:  # noqa: B902 - the asker gets an answer in any case
            self._refuse(request, error)
        else:
            job.images.append(Image(pixels, color, request=request))

    def _result(self, job: Job, row: int) -> Result:
        return job.model.pipeline.postprocess(
            job.outputs[row], job.batch.geometries[row], job.settings.options,
            preprocess_time=job.preprocess_time, inference_time=job.inference_time)

    def _publish(self, job: Job, image: Image, result: Result) -> None:
        class_id = job.settings.class_id
        if image.frame is not None:
            image.frame.stream.publish(
                image.frame, result, image.pixels, image.color, class_id)
            return
        assert image.request is not None and self._service is not None
        msg = to_msg(result, image.request.image.header, class_id)
        self.requests += 1
        self._service.succeed(image.request, msg)

    def _fail(self, image: Image, error: Exception) -> None:
        if image.frame is not None:
            image.frame.stream.fail(error)
        elif image.request is not None:
            self._refuse(image.request, error)

    def _refuse(self, request: Request, error: Exception) -> None:
        assert self._service is not None
        self.requests += 1
        kind = '' if isinstance(error, Ros2ClassifyError) else (
            f'unexpected {type(error).__name__}: ')
        self._service.refuse(request, f'{kind}{error}')
