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

"""``models check`` of a model that sees time: sample images, one after the other."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

from ros2_classify.autoconfig.trial import Run, sample_images
from ros2_classify.clips.stream import ClipStream
from ros2_classify.model.catalog import encoder_model
from ros2_classify.model.clip_spec import describe
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline

# Results that are looked at.
_RESULTS = 4


def run_clips(pipeline: Pipeline[Any]) -> list[Run]:
    """Run a model that sees time on sample images, and return what it gives for each clip."""
    clip, runs = pipeline.clip, []
    assert clip is not None
    stream = pipeline.stream()
    step = 1 / (clip.rate or 10)
    count = (clip.frames or 1) - 1 + _RESULTS * clip.stride
    for number, image in enumerate(islice(cycle(sample_images()), count)):
        stream.offer(number * step, image)
        if not stream.reason:
            runs.append(_last_run(stream))
    return runs


def _last_run(stream: ClipStream) -> Run:
    """Return the outputs and the geometry of the last result; copied: they are written again."""
    outputs, geometry = stream.last
    return Run({name: array.copy() for name, array in outputs.items()}, geometry)


def with_encoder(pipeline: Pipeline[Any]) -> Pipeline[Any]:
    """Give a pipeline its encoder, which is closed by the caller."""
    encoder = encoder_model(pipeline.descriptor)
    if encoder is not None:
        pipeline.encoder = Pipeline.load(encoder, task='embedding', provider='cpu')
    return pipeline


def notes(descriptor: ModelDescriptor, image: bool) -> list[str]:
    """Say how the model sees time."""
    clip, states = descriptor.clip, descriptor.state
    assert clip is not None
    said = [f'sees time: {describe(clip)}' + (
        f'; {len(states)} states, from frame to frame' if states else '') + (
        f'; frames through {clip.encoder}' if clip.encoder else '') + (
        '; scores of single images are averaged' if clip.vote else '')]
    if image and not clip.vote:
        said.append('the image was not used: it tells nothing of a model that sees time; run '
                    'infer --video FILE')
    return said
