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

"""How a model sees time: the keys `clip` and `state` of a descriptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ros2_classify.keys import key, listed, pattern, section as section_kind, TEXT
from ros2_classify.yaml_config import Fields

MAX_FRAMES = 1024
# The layouts of clips, and that of one frame in each.
FRAME_LAYOUTS: Mapping[str, Literal['nchw', 'nhwc']] = {
    'nthwc': 'nhwc', 'ntchw': 'nchw', 'ncthw': 'nchw'}
_TENSOR = pattern(r'\S(.*\S)?', 'must be the name of a tensor', "a tensor's name")


@dataclass(frozen=True)
class StateSpec:
    """A state: an output that is the input of the next frame."""

    input: str = key('', 'the model input', kind=_TENSOR,  # noqa: A003
                     missing='name the input that takes the state')
    output: str = key('', 'the output that is this input of the next frame', kind=_TENSOR,
                      missing='name the output that gives the next state')
    initial: float = key(0.0, 'its numbers before the first frame', low=-1e9, high=1e9)


@dataclass(frozen=True)
class ClipSpec:
    """Which frames a model sees, and how."""

    frames: int | None = key(
        None, 'how many frames one result sees; with `state`, how many it needs without a hole '
        'before the first result', low=1, high=MAX_FRAMES,
        unset="the model input's; `1` with `state`")
    rate: float | None = key(
        None, 'the frames per second that the model was trained on: frames are chosen by their '
        'stamps', low=0, high=1000, above=True,
        unset='with `state` or `vote`, every frame; else needed')
    stride: int = key(
        1, 'chosen frames from one result to the next', low=1, high=MAX_FRAMES)
    gap: float | None = key(
        None, 'a pause of more than this many seconds starts a new clip', low=0, high=3600,
        above=True, unset='`1`, or three frames of `rate` if these are longer')
    encoder: str | None = key(
        None, 'a model with the task embedding (a name from the catalogue, a descriptor or a '
        "model file; paths are relative to this descriptor's directory) that sees each chosen "
        'frame once; this model gets the vectors', kind=TEXT, unset='this model gets the frames')
    vote: Literal['mean'] | None = key(
        None, 'the model sees single images: `mean` averages the scores of the last `frames`',
        unset='the model sees time itself')

    @property
    def longest_pause(self) -> float:
        """Seconds after which the past no longer counts."""
        if self.gap is not None:
            return self.gap
        return max(1.0, 3.0 / self.rate) if self.rate else 1.0


STATES = listed(section_kind(StateSpec), 'name at least one pair of input and output')


def checked_clip(values: Mapping[str, Any], fields: Fields) -> ClipSpec | None:
    """Return the clip of a descriptor's values; refuse what does not fit together."""
    clip: ClipSpec | None = values['clip']
    state: tuple[StateSpec, ...] = values['state']
    layout = values['input'].layout
    if clip is None and not state:
        if layout in FRAME_LAYOUTS:
            raise fields.section('input').error(
                'layout', f'{layout} is for clips of several frames, but clip is missing; add '
                'clip: {rate: 10}, with the frames per second that the model was trained on')
        return None
    clip = clip or ClipSpec()
    word = 'clip' if 'clip' in fields else 'state'
    section = fields.section('clip') if 'clip' in fields else fields
    for name in ('stages', 'heads'):
        if values[name]:
            raise fields.error(name, f'does not go with {word}; remove one of them')
    for name, given in (('clip.encoder', clip.encoder), ('state', state),
                        (f'input.layout: {layout}', layout in FRAME_LAYOUTS)):
        if clip.vote and given:
            raise section.error(
                'vote', f'is for models of single images, which {name} is not for; remove one of '
                'them')
    if clip.encoder and (extra := [
            name for name in fields.section('input') if name not in ('name', 'extra')]):
        raise fields.section('input').error(
            extra[0], 'is for images, but with clip.encoder this model gets vectors; move it into '
            'the descriptor of the encoder')
    for name in ('input', 'output'):
        named = [getattr(each, name) for each in state]
        for each in named:
            if named.count(each) > 1:
                raise fields.where.at('state').error(
                    f'names the {name} {each!r} twice; each belongs to one state')
    if clip.vote and clip.frames is None:
        raise section.where.error('frames is missing; write how many frames vote, such as 8')
    if not (clip.rate or clip.vote or state):
        raise section.where.error(
            'rate is missing; write the frames per second that the model was trained on: at '
            'another rate its results are wrong')
    if clip.gap is not None and clip.rate and clip.gap < 1.5 / clip.rate:
        raise section.error(
            'gap', f'{clip.gap:g} s is shorter than one and a half frames at {clip.rate:g} Hz; '
            f'write at least {1.5 / clip.rate:g}, or remove it')
    if values['task'] not in (None, 'classification'):
        raise fields.error(
            'task', f'{values["task"]} is not for clips, whose results are classifications; '
            'remove clip and state, or use another decoder')
    return clip


def describe(clip: ClipSpec) -> str:
    """Return which frames it gets, in words."""
    count = clip.frames or 1
    frames = f'{count} frame{"s" if count > 1 else ""}'
    if not clip.rate:
        return f'{frames}, whatever the rate'
    return (f'{frames} at {clip.rate:g} Hz ({count / clip.rate:.3g} s), a result every '
            f'{clip.stride / clip.rate:.3g} s')


def clip_data(clip: ClipSpec | None, state: Sequence[StateSpec]) -> dict[str, Any]:
    """Return the keys `clip` and `state` as the plain data of a descriptor file."""
    def changed(spec: Any) -> dict[str, Any]:
        return {name: value for name, value in vars(spec).items()
                if value != getattr(type(spec)(), name)}

    return {'clip': changed(clip) if clip else {}, 'state': [changed(each) for each in state]}
