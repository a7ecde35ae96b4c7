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

"""What a camera has to do with models that see time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ros2_classify.cascade.stages import RunningStage, Stages
from ros2_classify.clips.objects import ObjectClips
from ros2_classify.clips.stream import ClipStream
from ros2_classify.errors import InputError, OptionsError, OutputError
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Classification, Detections
from ros2_classify.ros.server.faults import EngineFaults

# How many images wait while the model is at an earlier one: a third of a second of a usual camera.
# For other models one is enough: the newest.
QUEUE = 10


class CameraClips:
    """The clip of one camera and the model of the moment; another model has seen nothing of it."""

    def __init__(self) -> None:
        self._of: tuple[object, ClipStream] | None = None
        self.last: Classification | None = None
        self._objects: dict[str, ObjectClips] = {}

    def stream(self, pipeline: Pipeline) -> ClipStream:
        """Return the stream for a model, in the thread whose turn it is."""
        if self._of is None or self._of[0] is not pipeline:
            self._of = pipeline, pipeline.stream()
        return self._of[1]

    def reset(self) -> None:
        """Forget the frames, and the model."""
        self._of = self.last = None
        self._objects.clear()

    def of_objects(self, result: Detections, stages: Stages, seconds: float, pixels: Any,
                   color: str, faults: EngineFaults | None = None) -> Detections:
        """Return the result with what stages that see clips say of its objects with ids."""
        try:
            result = self._of_objects(result, stages.over_time, seconds, pixels, color)
        except (InputError, OutputError, OptionsError):
            # It is this frame.
            raise
        except Exception as error:
            if faults is not None:
                faults.failed(error)
            raise
        said = [each for running in stages.over_time
                for each in result.attributes[running.stage.name]]
        # Frames that are only gathered say nothing about the model.
        if faults is not None and stages.over_time and (
                not said or any(each is not None and each.t1 == seconds for each in said)):
            faults.succeeded()
        return result

    def _of_objects(self, result: Detections, over_time: Sequence[RunningStage], seconds: float,
                    pixels: Any, color: str) -> Detections:
        for running in over_time:
            stage, model = running.stage, running.model
            clips = self._objects.get(stage.name)
            if clips is None or clips.pipeline is not model:
                clips = self._objects[stage.name] = ObjectClips(
                    model, name=stage.name, padding=stage.padding, classes=stage.classes,
                    max_crops=stage.max_crops)
            result = clips(seconds, result, pixels, color)
        return result

    @property
    def problem(self) -> str:
        """Why no clip is complete; empty if that is not so."""
        return self._of[1].problem if self._of is not None else ''

    def values(self) -> Mapping[str, str]:
        """Return what diagnostics show; nothing for models of single images."""
        if self._of is None:
            return {}
        counts, last = self._of[1].counts, self.last
        return {
            'clip, frames between those of its rate': str(counts.skipped + counts.repeated),
            'clip, frames missing': str(counts.holes),
            'clip, new ones after a pause': str(counts.resets_gap),
            'clip, new ones after time went back': str(counts.resets_time),
            'clip of the last result, begin (s)': '' if last is None else f'{last.t0:.3f}',
            'clip of the last result, end (s)': '' if last is None else f'{last.t1:.3f}'}
