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

"""The stages of a cascade: from a detector's boxes to what further models say of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
import threading
import time
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.labels import Labels
from ros2_classify.model.stages import Stage
from ros2_classify.preprocess.views import box_of_crop
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.results import Detections

_TASKS = ('classification', 'embedding', 'detection')
# The weight of the newest measurement of how long a crop takes.
_NEWEST = 0.3


class StageModel(Protocol):
    """What a stage needs of a model; a `Pipeline` is one."""

    @property
    def descriptor(self) -> ModelDescriptor:
        """The descriptor."""

    @property
    def task(self) -> Any:
        """The type of its results."""

    @property
    def labels(self) -> Labels | None:
        """The names of its classes."""

    @property
    def clip(self) -> Any:
        """Which frames it sees, if it sees time; else None."""

    def stream(self) -> Any:
        """Return an empty stream of a model that sees time."""

    def many(self, images: Iterable[NDArray[Any]], color: str = 'rgb') -> list[Any]:
        """Return the results of several images."""

    def warm_up(self) -> Any:
        """Run once."""

    def close(self) -> None:
        """Free the model."""


class Crop(NamedTuple):
    """A part of an image that shows one object."""

    image: int
    row: int
    left: int
    top: int
    pixels: NDArray[Any]
    color: str


class SharedModel:
    """A stage's model that several cascades may use, one after the other; the last closes it."""

    def __init__(self, model: StageModel, key: object) -> None:
        self.model = model
        self.key = key  # what it was loaded from; another key is another model
        self._users = 1
        self._lock = threading.Lock()

    def lend(self) -> SharedModel | None:
        """Return it for one more cascade, or None if it is closed already."""
        with self._lock:
            self._users += bool(self._users)
            return self if self._users else None

    @property
    def descriptor(self) -> ModelDescriptor:
        """The model's descriptor."""
        return self.model.descriptor

    @property
    def task(self) -> Any:
        """The type of its results."""
        return self.model.task

    @property
    def labels(self) -> Labels | None:
        """The names of its classes."""
        return self.model.labels

    @property
    def clip(self) -> Any:
        """Which frames it sees, if it sees time; else None."""
        return self.model.clip

    def stream(self) -> Any:
        """Return an empty stream of a model that sees time."""
        return self.model.stream()

    def many(self, images: Iterable[NDArray[Any]], color: str = 'rgb') -> list[Any]:
        """Return the results of several images."""
        return self.model.many(images, color)

    def warm_up(self) -> Any:
        """Run once."""
        return self.model.warm_up()

    def close(self) -> None:
        """Free the model if no other cascade uses it."""
        with self._lock:
            self._users -= 1
            last = not self._users
        if last:
            self.model.close()


_KEPT: ContextVar[Stages | None] = ContextVar('kept stages', default=None)


@contextmanager
def keeping(stages: Stages | None) -> Iterator[None]:
    """Have cascades that are loaded now take over unchanged models of these stages."""
    token = _KEPT.set(stages)
    try:
        yield
    finally:
        _KEPT.reset(token)


def unchanged_model(key: object) -> SharedModel | None:
    """Return a model of the stages that are kept, if one was loaded from the same."""
    kept = _KEPT.get()
    for stage in kept.running.values() if kept is not None else ():
        model = stage.model
        if isinstance(model, SharedModel) and model.key == key and (found := model.lend()):
            return found
    return None


def key_of(descriptor: ModelDescriptor, max_crops: int, file: Path | None) -> object:
    """Return what makes a model another one: its descriptor, and its file as it is on disk."""
    if file is None or not file.is_file():
        # Of a directory, a remote server, or what is converted, too little is known: it is loaded
        # again.
        return object()
    facts = file.stat()
    return descriptor, max_crops, str(file), facts.st_mtime_ns, facts.st_size, facts.st_ino


@dataclass
class Counts:
    """What became of the boxes that a stage is for."""

    looked_at: int = 0
    over_max_crops: int = 0
    over_budget: int = 0


class RunningStage:
    """One stage with its model, which may be replaced between two runs."""

    def __init__(self, stage: Stage, model: StageModel, detector: Labels | None) -> None:
        self.stage = stage
        self._lock = threading.Lock()
        self._seconds = 0.0  # what a crop takes, as measured; 0: not yet
        self.counts = Counts()
        _check(stage, model, detector)
        self.model = model

    def __call__(
            self, results: Sequence[Detections], images: Sequence[NDArray[Any]],
            colors: Sequence[str]) -> list[Detections]:
        """Return the results with what the model says of their objects, all in one run."""
        if self.model.clip is not None:
            # What an object does is seen in the clip of its id, by `ObjectClips`.
            return [self._with(result, [None] * len(result)) for result in results]
        with self._lock:
            crops = self._crops(results, images, colors)
            said: dict[tuple[int, int], tuple[Crop, Any]] = {}
            begun = time.perf_counter()
            for color in dict.fromkeys(crop.color for crop in crops):
                same = [crop for crop in crops if crop.color == color]
                for crop, each in zip(same, self.model.many(
                        [crop.pixels for crop in same], color)):
                    said[crop.image, crop.row] = crop, each
            self._measure(len(crops), time.perf_counter() - begun)
            self.counts.looked_at += len(crops)
            return [self._with(result, [said.get((number, row)) for row in range(len(result))])
                    for number, result in enumerate(results)]

    def warm_up(self) -> None:
        """Run the model once; the second run tells how long a crop takes."""
        self.model.warm_up()
        begun = time.perf_counter()
        self.model.warm_up()
        self._measure(1, time.perf_counter() - begun)

    def replace(self, model: StageModel, detector: Labels | None) -> StageModel:
        """Use another model from the next run on; return the old one, which nobody uses."""
        _check(self.stage, model, detector)
        if model.task != self.model.task:
            raise DescriptorError(
                f'{model.descriptor.name} is for {model.task}, but the stage {self.stage.name} '
                f'is for {self.model.task}; load the cascade again')
        if (model.clip is None) != (self.model.clip is None):
            raise DescriptorError(
                f'{model.descriptor.name} and the present model of the stage {self.stage.name} do '
                'not both see clips; load the cascade again')
        model.warm_up()
        with self._lock:
            old, self.model = self.model, model
            self._seconds = 0.0
        return old

    def _measure(self, crops: int, seconds: float) -> None:
        if crops:
            newest = seconds / crops
            self._seconds = (newest if not self._seconds else
                             self._seconds + _NEWEST * (newest - self._seconds))

    def _crops(
            self, results: Sequence[Detections], images: Sequence[NDArray[Any]],
            colors: Sequence[str]) -> list[Crop]:
        """Return the crops that fit into cap and budget: the best boxes of each image first."""
        crops: list[tuple[int, Crop]] = []
        for number, (result, image, color) in enumerate(zip(results, images, colors)):
            taken = 0
            for row, (label, box) in enumerate(zip(result.labels.tolist(), result.boxes)):
                if self.stage.classes and label not in self.stage.classes:
                    continue
                left, top, right, bottom = box_of_crop(
                    box, self.stage.padding, result.image_size)
                if left >= right or top >= bottom:
                    continue
                if taken == self.stage.max_crops:
                    self.counts.over_max_crops += 1
                    continue
                crops.append((taken, Crop(
                    number, row, left, top, image[top:bottom, left:right], color)))
                taken += 1
        # Each image's best box comes before any image's second best.
        crops.sort(key=lambda each: each[0])
        fitting = len(crops)
        if self.stage.budget_ms is not None and self._seconds:
            # One in any case: it is measured again, so that a slow moment passes.
            fitting = min(fitting, max(1, int(1e-3 * self.stage.budget_ms / self._seconds)))
        self.counts.over_budget += len(crops) - fitting
        return [crop for _, crop in crops[:fitting]]

    def _with(self, result: Detections, said: Sequence[tuple[Crop, Any] | None]) -> Detections:
        if self.model.task == 'detection':
            points = _key_points(said)
            return result if points is None else replace(result, keypoints=points)
        return replace(result, attributes={
            **result.attributes,
            self.stage.name: tuple(None if each is None else each[1] for each in said)})


def _key_points(said: Sequence[tuple[Crop, Any] | None]) -> Keypoints | None:
    """Return the points of the best detection in each crop, in the image; score 0 without."""
    found = [None if each is None or not len(each[1]) or each[1].keypoints is None else each
             for each in said]
    first = next((each for each in found if each is not None), None)
    if first is None:
        return None
    like = first[1].keypoints
    points = np.zeros((len(said), *like.points.shape[1:]), np.float32)
    scores = np.zeros(points.shape[:2], np.float32)
    for row, each in enumerate(found):
        if each is not None:
            crop, result = each
            points[row] = result.keypoints.points[0] + np.array((crop.left, crop.top), np.float32)
            scores[row] = result.keypoints.scores[0]
    return Keypoints(points, scores, like.names, like.skeleton)


def _check(stage: Stage, model: StageModel, detector: Labels | None) -> None:
    """Refuse a model that a stage can't have, and classes that the detector has not."""
    if model.task not in _TASKS:
        raise DescriptorError(
            f'stages.{stage.name}.model: {model.descriptor.name} is for {model.task}, but a stage '
            f'is for {", ".join(_TASKS[:-1])}, or detection with key points')
    known = [name for _, name in detector.items()] if detector else []
    for name in stage.classes if known else ():
        if name not in known:
            near = get_close_matches(name, known, 1, 0.5)
            raise DescriptorError(
                f'stages.{stage.name}.classes: the detector has no class {name!r}'
                + (f'; did you mean {near[0]!r}?' if near else f', only {", ".join(known)}'))


class Stages:
    """
    All stages of a cascade; their models, by the stages' names, are closed with it.

    DescriptorError if a stage can't have its model, or names a class that the detector has not.
    """

    def __init__(self, stages: Sequence[Stage], models: Mapping[str, StageModel],
                 detector: Labels | None = None) -> None:
        self._detector = detector
        self.running = {stage.name: RunningStage(stage, models[stage.name], detector)
                        for stage in stages}

    def __call__(
            self, results: Sequence[Detections], images: Sequence[NDArray[Any]],
            colors: Sequence[str]) -> list[Detections]:
        """Return the results of several images with `attributes`; the time counts as inference."""
        begun = time.perf_counter()
        found = list(results)
        for stage in self.running.values():
            found = stage(found, images, colors)
        taken = time.perf_counter() - begun
        return [replace(each, timing=replace(
            each.timing, inference=each.timing.inference + taken)) for each in found]

    def replace(self, name: str, model: StageModel) -> None:
        """
        Replace the model of one stage, for the same task; what is under way ends with the old one.

        DescriptorError if there is no such stage, or it can't have this model.
        """
        if name not in self.running:
            raise DescriptorError(
                f'there is no stage {name!r}; the cascade has {", ".join(self.running)}')
        self.running[name].replace(model, self._detector).close()

    @property
    def over_time(self) -> list[RunningStage]:
        """Those whose models see clips: of objects with ids."""
        return [each for each in self.running.values() if each.model.clip is not None]

    @property
    def unverified(self) -> tuple[str, ...]:
        """The keys that nobody has confirmed, of all stages."""
        return tuple(f'stages.{name}.{key}' for name, stage in self.running.items()
                     for key in stage.model.descriptor.unverified)

    @property
    def labels(self) -> list[str]:
        """The names of the classes of all stages that classify."""
        return [name for stage in self.running.values() if stage.model.task == 'classification'
                for _, name in (stage.model.labels.items() if stage.model.labels else ())]

    def counts(self) -> dict[str, int]:
        """Return what became of the boxes, in words for diagnostics."""
        found = {}
        for name, stage in self.running.items():
            counts = stage.counts
            found[f'stage {name}: boxes looked at'] = counts.looked_at
            found[f'stage {name}: skipped, over max_crops'] = counts.over_max_crops
            found[f'stage {name}: skipped, over budget_ms'] = counts.over_budget
        return found

    def warm_up(self) -> None:
        """Run each model, so that the first real image takes no longer than the others."""
        for stage in self.running.values():
            stage.warm_up()

    def close(self) -> None:
        """Free the models."""
        for stage in self.running.values():
            stage.model.close()
