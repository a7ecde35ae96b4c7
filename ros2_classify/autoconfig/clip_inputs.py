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

"""Complete the descriptor of a model that sees time; ask if it doesn't say how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from ros2_classify.clips.model import states_of
from ros2_classify.engines.base import TensorSpec
from ros2_classify.model.clip_spec import FRAME_LAYOUTS
from ros2_classify.model.descriptor import descriptor_error, ModelDescriptor
from ros2_classify.model.input_spec import Layout

_CHANNELS = (1, 3)


def sees_time(descriptor: ModelDescriptor) -> bool:
    """Tell whether the model itself sees time; one whose results vote sees single images."""
    return descriptor.clip is not None and not descriptor.clip.vote


def layouts_of(tensor: TensorSpec) -> list[Layout]:
    """Return the layouts of clips that a shape allows."""
    return [cast(Layout, layout) for layout in FRAME_LAYOUTS
            if len(tensor.shape) == 5 and tensor.shape[layout.index('c')] in _CHANNELS]


def ask(tensor: TensorSpec) -> str:
    """Return what a descriptor must say of a model whose input is a clip."""
    layouts = layouts_of(tensor)
    layout = layouts[0] if len(layouts) == 1 else '/'.join(layouts or FRAME_LAYOUTS)
    return (f'the model takes {tensor}, which may be a clip of several frames, and the file does '
            'not say at which rate; say in a descriptor how it sees time, such as input: '
            f'{{layout: {layout}}}, clip: {{rate: 10}}, output: {{decoder: classification, '
            'activation: softmax}; see docs/clips.md')


def check_states(
    descriptor: ModelDescriptor, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec],
) -> set[str]:
    """Return the inputs that are states; refuse those that don't fit the file."""
    return {state.input for state in states_of(descriptor, inputs, outputs)}


def check_clip(descriptor: ModelDescriptor) -> None:
    """Refuse what can't be found out by trying single images."""
    if descriptor.output.decoder is None:
        raise descriptor_error(
            descriptor, 'output.decoder is missing: what a model that sees time gives is not '
            'inferred; write output: {decoder: classification, activation: softmax}, or '
            'activation: none for probabilities')
    if descriptor.task != 'classification':
        raise descriptor_error(
            descriptor, f'output.decoder is for {descriptor.task}, but the results of '
            'clips are classifications; use the decoder classification')
    words = [name for name, value in descriptor.input.extra.items() if isinstance(value, str)]
    if words:
        raise descriptor_error(
            descriptor, f'input.extra.{words[0]} is a size, but a model that sees time '
            'gets constants only; write numbers')
    if descriptor.input.size == 'source':
        raise descriptor_error(
            descriptor, 'input.size is source, but the frames of a clip have one size; '
            'write [width, height]')


def one_frame(
    descriptor: ModelDescriptor, tensor: TensorSpec, inferred: list[str],
) -> tuple[ModelDescriptor, TensorSpec]:
    """Return the descriptor with layout and frames, and the input without the frames' axis."""
    layout = descriptor.input.layout
    if len(tensor.shape) == 5 and layout is None:
        layouts = layouts_of(tensor)
        if len(layouts) != 1:
            raise descriptor_error(descriptor, ask(tensor))
        layout, = layouts
        inferred.append(f'input.layout: {layout}, because of the channels')
    if (layout in FRAME_LAYOUTS) != (len(tensor.shape) == 5):
        raise descriptor_error(
            descriptor, f'input.layout is {layout}, but the model takes {tensor}; correct it, or '
            'write clip.vote: mean for a model of single images' if len(tensor.shape) != 5 else
            f'input.layout is {layout}, but the model takes {tensor}, a clip; allowed are '
            f'{", ".join(FRAME_LAYOUTS)}')
    if layout is None or layout not in FRAME_LAYOUTS:
        if not descriptor.state:
            raise descriptor_error(
                descriptor, f'the model takes {tensor}, a single image, but clip says that it '
                'sees time; write clip.vote: mean, name its states with state, or remove clip')
        return descriptor, tensor
    axis = layout.index('t')
    descriptor = _with_frames(descriptor, tensor, axis)
    shape = list(tensor.shape)
    del shape[axis]
    return (replace(descriptor, input=replace(descriptor.input, layout=layout)),
            replace(tensor, shape=tuple(shape)))


def with_vectors(
    descriptor: ModelDescriptor, inputs: Sequence[TensorSpec],
) -> ModelDescriptor:
    """Complete the descriptor of a model that gets the vectors of an encoder."""
    listed = '; '.join(map(str, inputs))
    name = descriptor.input.name
    found = [tensor for tensor in inputs if name is None
             or tensor.name.removesuffix(':0') == name.removesuffix(':0')]
    if len(found) != 1:
        raise descriptor_error(
            descriptor, f'the model has {listed}; set input.name to the one that takes '
            "the encoder's vectors")
    tensor, = found
    dims = 3 if not descriptor.state else len(tensor.shape)
    if len(tensor.shape) != dims or dims not in (2, 3) or tensor.shape[0] not in (
            1, None) and isinstance(tensor.shape[0], int) or tensor.dtype.kind != 'f':
        raise descriptor_error(
            descriptor, f'the model takes {tensor}, but with clip.encoder it must take vectors: '
            + ('[1, N] or [1, 1, N]' if descriptor.state else '[1, frames, N]')
            + ' of floating-point numbers')
    if dims == 3:
        descriptor = _with_frames(descriptor, tensor, 1)
    return replace(descriptor, input=replace(descriptor.input, name=tensor.name))


def _with_frames(descriptor: ModelDescriptor, tensor: TensorSpec, axis: int) -> ModelDescriptor:
    """Return the descriptor with the number of frames, in which file and descriptor agree."""
    clip, count = descriptor.clip, tensor.shape[axis]
    assert clip is not None
    if descriptor.state:
        if isinstance(count, int) and count != 1:
            raise descriptor_error(
                descriptor, f'the model takes {tensor}, {count} frames at once, but with state '
                'it gets one at a time; export it for one frame, or remove state')
        return descriptor
    if not isinstance(count, int):
        if clip.frames is None:
            raise descriptor_error(
                descriptor, f'the model takes {tensor}, any number of frames; set '
                'clip.frames')
        return descriptor
    if clip.frames not in (None, count):
        raise descriptor_error(
            descriptor, f'clip.frames is {clip.frames}, but the model takes {tensor}, '
            f'{count} frames; correct it or remove it')
    return replace(descriptor, clip=replace(clip, frames=count))
