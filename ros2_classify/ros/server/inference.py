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

"""What the worker's threads do with images: preprocess, run the model, postprocess."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import auto, Enum
from functools import partial
import threading
import time
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray
from ros2_classify.cascade.stages import Stages
from ros2_classify.clips.stream import ClipStream
from ros2_classify.engines import Tensors
from ros2_classify.errors import InputError, OptionsError, OutputError
from ros2_classify.model.clip_spec import describe
from ros2_classify.model.labels import Labels
from ros2_classify.options import ONE_TILE, Options
from ros2_classify.preprocess.batch import Batch
from ros2_classify.preprocess.views import view_of
from ros2_classify.results.results import Classification, Result
from ros2_classify.ros.diagnostics.statistics import Ring
from ros2_classify.ros.server.clips import CameraClips
from ros2_classify.ros.server.faults import EngineFaults
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.parameters import ResultSettings


# The step that most jobs are at.
THE_MODEL = 'the model'


class Drop(Enum):
    """Why there is no result for an image."""

    UNUSABLE = auto()  # it can't be read
    FAILED = auto()    # the model, or what follows it, failed
    PAUSED = auto()    # the model is left alone for a while after faults
    STOPPED = auto()   # the node stopped before its turn
    BETWEEN = auto()   # of a clip, whose result comes with another image


class Source(Protocol):
    """Where an image comes from and its result goes: a camera's frame, or a service request."""

    @property
    def origin(self) -> str:
        """The topic or the service of the image."""

    @property
    def stream(self) -> str:
        """The prefix of its parameters; '' for the node's."""

    @property
    def tracks(self) -> bool:
        """Whether its objects may have ids over time, for which weak results are needed too."""

    @property
    def clips(self) -> CameraClips | None:
        """Its camera's clips; None if no other images come before and after it."""

    @property
    def seconds(self) -> float:
        """When the image was, by its stamp."""

    def read(self, settings: ResultSettings) -> tuple[NDArray[Any], str]:
        """Return pixels and their channel order; raise if the image can't be used."""

    def finish(self, outcome: Outcome) -> None:
        """Send the result, or say why there is none; raises nothing."""


class Outcome(NamedTuple):
    """What became of an image: a result, with what goes with it; or a drop, and why."""

    source: Source
    result: Result | None = None
    pixels: Any = None
    color: str = ''
    class_id: str = ''
    drop: Drop | None = None
    error: Exception | None = None
    settings: ResultSettings | None = None
    labels: Labels | None = None
    stages: Stages | None = None
    faults: EngineFaults | None = None  # of stages that see clips, which run later


class ClipFrame(NamedTuple):
    """A frame for a model that sees time; one that it does not need is not read."""

    source: Source
    stream: ClipStream
    pixels: Any = None
    color: str = ''


@dataclass(eq=False)
class Job:
    """Images that go through the model together; model and settings stay those of its begin."""

    model: Model
    settings: ResultSettings
    batch: Batch  # the model's input: one row for each image
    # origin, uint8 pixels and channel order of each row
    images: list[tuple[Source, NDArray[Any], str]] = field(default_factory=list)
    # images whose tiles go through the model, and what comes of each
    tiled: list[tuple[Source, NDArray[Any], str]] = field(default_factory=list)
    tiled_results: list[Result | OutputError | OptionsError] = field(default_factory=list)
    # frames for models that see time, and what comes of each; None: nothing yet
    clips: list[ClipFrame] = field(default_factory=list)
    clip_results: list[Result | Exception | None] = field(default_factory=list)
    dropped: list[Outcome] = field(default_factory=list)  # the images that are not in the batch
    outputs: list[Tensors] = field(default_factory=list)  # one for each image
    # of a cascade, whose stages need all of them at once: one for each image
    results: list[Result | Exception] = field(default_factory=list)
    preprocess_time: float = 0.0  # seconds, as below
    inference_time: float = 0.0
    error: Exception | None = None  # how the model failed
    step: str = ''  # what a thread is at; empty while none is
    begun: float = 0.0  # when its steps began, without waits, on ``time.perf_counter``
    spent: float = 0.0  # seconds of its steps before its turn to publish
    pending: list[Source] = field(default_factory=list)  # those whose outcome is not decided
    abandoned: bool = False  # a step doesn't return: its images have been given up


class Inference:
    """
    From images to outcomes, for several threads, each with jobs of its own.

    `times` gets the seconds in the model, of each batch.
    """

    def __init__(self, faults: EngineFaults, times: Ring | None = None) -> None:
        self._faults = faults
        self._times = Ring() if times is None else times
        self._lock = threading.Lock()
        self._running: list[Job] = []
        self._abandoned = False

    @property
    def busy_for(self) -> float:
        """Seconds since the oldest job began, its decoding included; 0 if there is none."""
        oldest = self._oldest()
        return 0.0 if oldest is None else time.perf_counter() - oldest.begun

    @property
    def busy_with(self) -> str:
        """What the oldest job is at."""
        oldest = self._oldest()
        return THE_MODEL if oldest is None else oldest.step

    def _oldest(self) -> Job | None:
        with self._lock:
            return min((job for job in self._running if job.step), default=None,
                       key=lambda job: job.begun)

    def run(self, model: Model, sources: Sequence[Source], slot: int) -> Job:
        """
        Read and preprocess images, and run the model; `outcomes` tells what failed.

        No other job that is not finished may have the same slot.
        """
        job = Job(model, model.settings, model.batches[slot])
        pause = self._faults.pause()
        if pause is not None:
            job.dropped += dropped(sources, Drop.PAUSED, pause)
            return job
        job.pending = list(sources)
        job.step, job.begun = 'decoding and preprocessing the image', time.perf_counter()
        with self._lock:
            self._running.append(job)
        try:
            self._preprocess(job, sources)
            if (job.images or job.tiled or job.clips) and not job.abandoned:
                job.step = THE_MODEL
                self._infer(job)
        except BaseException:
            self._end(job)
            raise
        # Until its results may be published.
        job.step, job.spent = '', time.perf_counter() - job.begun
        return job

    def outcomes(self, job: Job) -> Iterator[Outcome]:
        """Postprocess the images of a job one by one, in their order."""
        job.begun = time.perf_counter() - job.spent
        job.step = 'making and publishing the result'
        try:
            for outcome in self._outcomes(job):
                with self._lock:
                    if job.abandoned:
                        # Its images have been finished by `abandon`.
                        return
                    if outcome.source in job.pending:
                        job.pending.remove(outcome.source)
                yield outcome
        finally:
            self._end(job)

    def _end(self, job: Job) -> None:
        with self._lock:
            if job in self._running:
                self._running.remove(job)

    def _outcomes(self, job: Job) -> Iterator[Outcome]:
        yield from job.dropped
        rows: list[tuple[tuple[Source, Any, str], Callable[[], Result | Exception | None]]] = [
            (image, partial(job.results.__getitem__, row) if job.results else
             partial(self._result, job, row)) for row, image in enumerate(job.images)]
        rows += [(image, partial(job.tiled_results.__getitem__, row))
                 for row, image in enumerate(job.tiled)]
        rows += [((frame.source, frame.pixels, frame.color),
                  partial(job.clip_results.__getitem__, row))
                 for row, frame in enumerate(job.clips)]
        for (source, pixels, color), result_of in rows:
            if self._abandoned:
                # Another worker takes newer images already.
                yield Outcome(source, drop=Drop.STOPPED)
                continue
            if job.error is not None:
                yield Outcome(source, drop=Drop.FAILED, error=job.error)
                continue
            try:
                result = result_of()
                if isinstance(result, Exception):
                    raise result
                if result is None:
                    yield Outcome(source, drop=Drop.BETWEEN)
                    continue
                job.model.pipeline.check_image(source.origin, result, pixels)
            except Exception as error:  # noqa: B902 - the other images get their results
                yield Outcome(source, drop=Drop.FAILED, error=error)
            else:
                settings = job.settings.of(source.stream)
                yield Outcome(
                    source, result, pixels, color, settings.class_id, settings=settings,
                    labels=job.model.labels, stages=job.model.pipeline.stages,
                    faults=self._faults)

    def _result(self, job: Job, row: int) -> Result:
        return job.model.pipeline.postprocess(
            job.outputs[row], job.batch.geometries[row], _options(job, job.images[row][0]),
            preprocess_time=job.preprocess_time, inference_time=job.inference_time)

    def _cascade(self, job: Job, stages: Stages) -> None:
        """Have the stages of a cascade look at the objects of all images, in one run."""
        found: list[Any] = []
        for row in range(len(job.images)):
            try:
                found.append(self._result(job, row))
            except Exception as error:  # noqa: B902 - the other images get their results
                found.append(error)
        good = [row for row, each in enumerate(found) if not isinstance(each, Exception)]
        seen = stages([found[row] for row in good], [job.images[row][1] for row in good],
                      [job.images[row][2] for row in good])
        for row, result in zip(good, seen):
            found[row] = result
        job.results = found

    def abandon(self, error: Exception) -> list[Outcome]:
        """Give up the jobs that don't come back; return what becomes of their images."""
        given_up = []
        with self._lock:
            self._abandoned = True
            for job in [job for job in self._running if job.step]:
                job.abandoned = True
                self._running.remove(job)
                known = {id(outcome.source): outcome for outcome in job.dropped}
                given_up += [known.get(id(source)) or Outcome(
                    source, drop=Drop.FAILED, error=error) for source in job.pending]
        return given_up

    def _preprocess(self, job: Job, sources: Sequence[Source]) -> None:
        begun = time.perf_counter()
        # An earlier job may have ended in an exception.
        job.batch.clear()
        for source in sources:
            if job.abandoned:
                return
            try:
                settings = job.settings.of(source.stream)
                if job.model.pipeline.clip is not None:
                    job.clips.append(_clip_frame(job, source, settings))
                    continue
                pixels, color = source.read(settings)
                if settings.options.tiles != ONE_TILE:
                    job.tiled.append((source, pixels, color))
                    continue
                job.batch.add(pixels, color, view_of(pixels, settings.options))
            except Exception as error:  # noqa: B902 - the other images get their results
                job.dropped.append(Outcome(source, drop=Drop.UNUSABLE, error=error))
            else:
                job.images.append((source, pixels, color))
        job.preprocess_time = (time.perf_counter() - begun) / max(1, len(job.images))

    def _infer(self, job: Job) -> None:
        begun = time.perf_counter()
        try:
            if job.images:
                job.outputs = job.model.pipeline.infer(job.batch)
                job.inference_time = time.perf_counter() - begun
                if job.model.pipeline.stages is not None:
                    self._cascade(job, job.model.pipeline.stages)
            for source, pixels, color in job.tiled:
                job.tiled_results.append(self._tiled(job, source, pixels, color))
            for frame in job.clips:
                job.clip_results.append(_offer(job, frame))
        except Exception as error:  # noqa: B902 - whatever it is, the next image may be fine
            job.error = error
        job.inference_time = time.perf_counter() - begun
        # Frames that are only gathered say nothing about the model.
        ran = bool(job.images or job.tiled) or any(
            isinstance(result, Classification) for result in job.clip_results)
        with self._lock:
            # What comes of a job that was given up says nothing about the model that runs now.
            if self._abandoned or (job.error is None and not ran):
                return
            if job.error is None:
                self._times.add(job.inference_time)
        if job.error is not None:
            self._faults.failed(job.error)
        elif not _goes_on(job):
            self._faults.succeeded()

    def _tiled(self, job: Job, source: Source, pixels: NDArray[Any], color: str,
               ) -> Result | OutputError | OptionsError:
        # The outputs of another image in the batch are still needed.
        batch = job.model.tile_batch(job.batch) if job.images else job.batch
        try:
            return job.model.pipeline.tiled(
                batch, pixels, color, _options(job, source))
        except (OutputError, OptionsError) as error:
            # What follows the model failed, for this image.
            return error
        finally:
            if batch is not job.batch:
                batch.clear()


def _goes_on(job: Job) -> bool:
    """Tell whether stages that see clips run later; only then has the model succeeded."""
    stages = job.model.pipeline.stages
    return stages is not None and bool(stages.over_time) and any(
        source.tracks for source, *_ in (*job.images, *job.tiled))


def _clip_frame(job: Job, source: Source, settings: ResultSettings) -> ClipFrame:
    pipeline = job.model.pipeline
    if source.clips is None:
        assert pipeline.clip is not None
        raise InputError(f'{job.model.name} sees clips, not single images: '
                         f'{describe(pipeline.clip)}; publish them on the topic of a camera')
    stream = source.clips.stream(pipeline)
    if not stream.needs(source.seconds):
        return ClipFrame(source, stream)
    return ClipFrame(source, stream, *source.read(settings))


def _offer(job: Job, frame: ClipFrame) -> Result | Exception | None:
    """Give a frame to its clip; return an exception if only this frame is at fault."""
    source = frame.source
    try:
        result = frame.stream.offer(
            source.seconds, frame.pixels, frame.color, _options(job, source))
    except (InputError, OutputError, OptionsError) as error:
        return error
    if result is not None and source.clips is not None:
        source.clips.last = result
    return result


def _options(job: Job, source: Source) -> Options:
    settings = job.settings.of(source.stream)
    return settings.options_for_tracks if source.tracks else settings.options


def dropped(sources: Sequence[Source], drop: Drop,
            error: Exception | None = None) -> list[Outcome]:
    """Return that these images are dropped, and why."""
    return [Outcome(source, drop=drop, error=error) for source in sources]
