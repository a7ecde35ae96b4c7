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
Complete a descriptor with what the model file says.

What the graph says must agree with what is declared. If the descriptor does not declare
the output, `ros2_classify.autoconfig.choose` finds out what it means; ``ModelDescriptor.inferred``
lists what was inferred, one sentence for each setting, and ``ModelDescriptor.unverified`` the keys
that only the user can confirm. Class names, the task and the size may stand in the metadata.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ros2_classify.autoconfig.choose import choose
from ros2_classify.autoconfig.clip_inputs import (
    ask, check_clip, check_states, one_frame, sees_time, with_vectors)
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, plain
from ros2_classify.autoconfig.graph import Graph, read_graph
from ros2_classify.autoconfig.named_detectors import resizes_itself, usual_size
from ros2_classify.autoconfig.trial import Trial
from ros2_classify.engines.base import Engine, TensorSpec
from ros2_classify.errors import DescriptorError, LabelsError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.limits import read_literal
from ros2_classify.model.clip_spec import FRAME_LAYOUTS
from ros2_classify.model.descriptor import descriptor_error, ModelDescriptor, OutputSpec, Task
from ros2_classify.model.input_spec import (
    DType, DTYPES, InputSpec, Layout, PIXEL_KEYS, Size, SIZES, USUAL, with_pixels)
from ros2_classify.model.label_formats import NAME_KEYS
from ros2_classify.model.labels import Labels
from ros2_classify.preprocess.extra_inputs import ExtraInputs
from ros2_classify.preprocess.quantization import with_quantization

_CHANNELS = (1, 3)
# Images are wider than this; those that are not square have sides of whole fours.
_NARROW, _SMALL = 8, 64


def complete(
    descriptor: ModelDescriptor, engine: Engine, file: Path | None = None,
) -> ModelDescriptor:
    """
    Fill in what a descriptor leaves open: task, decoder, and the input's name, size and types.

    If the output is not declared, the model runs on a few sample images. Raises DescriptorError
    if the model contradicts the descriptor, takes more than one image, or says too little to
    infer the rest.
    """
    inferred: list[str] = []
    inputs, outputs, metadata = engine.inputs, _numeric(engine.outputs), engine.metadata
    extra = _extra(descriptor, inputs, inferred)
    given = {*extra}
    if sees_time(descriptor):
        check_clip(descriptor)
        given |= check_states(descriptor, inputs, outputs)
        if descriptor.clip and descriptor.clip.encoder:
            rest = [tensor for tensor in inputs if tensor.name not in given]
            return replace(with_vectors(descriptor, rest), task='classification')
    tensor = whole = _the_input(descriptor, inputs, given)
    if sees_time(descriptor):
        descriptor, tensor = one_frame(descriptor, tensor, inferred)
    _check_image(descriptor, tensor, whole)
    pixels = descriptor.input.pixels
    plain = descriptor.input if pixels is None else replace(
        descriptor.input, pixels=None, **{name: getattr(InputSpec(), name) for name in PIXEL_KEYS})
    bare = descriptor.output.decoder is None and plain == InputSpec()
    spec = replace(descriptor.input, extra=extra)
    declared = spec.layout or _layout(descriptor, tensor, bare, inferred)
    layout = FRAME_LAYOUTS.get(declared, declared)
    channels = tensor.shape[1 if layout == 'nchw' else 3]
    if bare:
        _refuse_series(descriptor, tensor, layout)
    if bare and channels == 1:
        spec = replace(spec, color='gray', mean=(0.0,), std=(1.0,))
        spec = spec if pixels is None else replace(with_pixels(spec, pixels), pixels=pixels)
    if isinstance(channels, int) and channels != spec.channels:
        raise descriptor_error(
            descriptor, f'input.color {spec.color} has {spec.channels} channels and input.layout '
            f'is {layout}, but the model takes {tensor}; correct the one or the other')
    spec = replace(
        spec, name=tensor.name, layout=declared, dtype=_dtype(descriptor, tensor),
        size=_size(descriptor, tensor, layout, outputs if bare else (), metadata, inferred))
    try:
        spec = with_quantization(spec, tensor, inferred)
    except DescriptorError as error:
        raise descriptor_error(descriptor, str(error)) from None

    output, task, unverified = descriptor.output, descriptor.task, descriptor.unverified
    if output.decoder is None:
        graph = Graph() if file is None else read_graph(file)
        spec, found = _chosen(descriptor, engine, graph, spec, bare)
        output = OutputSpec(found.decoder, FrozenMapping(found.options))
        task = found.task
        inferred += [f'output.decoder: {found.decoder}, because {found.why}', *found.details]
        unverified = (*unverified, *found.unverified)
        if bare:
            inferred.append(f'input: {found.settings.sentence}')
            unverified = (*found.settings.unverified, *unverified)
    labels = descriptor.labels
    if labels is None and not descriptor.heads and (listed := labels_of(metadata)):
        labels = listed
        inferred.append(f'labels: the {len(listed)} names in the metadata of the file')
    elif labels is None and bare:
        inferred.append('labels: none are known; class ids are used as names')
    spec = replace(spec, pixels=None)
    return replace(descriptor, task=task, labels=labels, output=output, input=spec,
                   heads=tuple(replace(head, input=spec) for head in descriptor.heads),
                   inferred=(*descriptor.inferred, *inferred),
                   unverified=tuple(dict.fromkeys(unverified)))


def _numeric(outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Return the outputs that hold numbers; text is never a result."""
    return tuple(tensor for tensor in outputs if tensor.dtype.kind in 'fiub')


def _chosen(
    descriptor: ModelDescriptor, engine: Engine, graph: Graph, spec: InputSpec, bare: bool,
) -> tuple[InputSpec, Hypothesis]:
    """Run the model on sample images, and return how to feed it and what its outputs mean."""
    metadata = engine.metadata
    stated = labels_of(metadata)
    declared = descriptor.load_labels()
    beside = any(sentence.startswith('labels:') for sentence in descriptor.inferred)
    trial = Trial(engine, ExtraInputs(spec.extra, engine.inputs), fixed=not bare)
    # Any usual scale will do to see shapes and what boxes look like.
    first = trial.runs(replace(spec, scale=1 / 255) if bare and not spec.whole else spec)
    arrays = {name: array for name, array in first[0].outputs.items()
              if array.dtype.kind in 'fiub'}
    evidence = Evidence(
        spec=spec, graph=graph, metadata=metadata, arrays=arrays, rows=_rows(engine, spec),
        # Shapes as they are, not as they are declared: free or stale dimensions are common.
        outputs=[TensorSpec(tensor.name, arrays[tensor.name].shape, arrays[tensor.name].dtype,
                            tensor.quantization)
                 for tensor in _numeric(engine.outputs) if tensor.name in arrays],
        task=descriptor.task or task_of(metadata),
        stated_labels=stated or (None if beside else declared), labels=declared or stated)
    try:
        found = choose(evidence, trial)
    except DescriptorError as error:
        raise descriptor_error(descriptor, str(error)) from error
    if bare:
        spec = replace(spec, **found.settings.fields)
        if found.task != 'classification':
            # Detectors are trained on OpenCV's or TensorFlow's plain bilinear resize.
            spec = replace(spec, interpolation='linear')
    return spec, found


def _rows(engine: Engine, spec: InputSpec) -> frozenset[str]:
    """Return the outputs with a free first dimension, if that of the input is not free."""
    batch = next(tensor.shape[0] for tensor in engine.inputs if tensor.name == spec.name)
    return frozenset(
        tensor.name for tensor in engine.outputs
        if isinstance(batch, int) and tensor.shape and not isinstance(tensor.shape[0], int))


def _extra(
    descriptor: ModelDescriptor, inputs: Sequence[TensorSpec], inferred: list[str],
) -> FrozenMapping:
    """Return what the inputs other than the image are fed, by their names in the graph."""
    declared = descriptor.input.extra
    extra = {
        next((tensor.name for tensor in inputs
              if tensor.name.removesuffix(':0') == name.removesuffix(':0')), name): value
        for name, value in declared.items()}
    if not declared and descriptor.output.decoder is None and len(inputs) > 1:
        for tensor in inputs:
            if (name := tensor.name.removesuffix(':0')) in USUAL and len(tensor.shape) <= 2:
                extra[tensor.name] = value = USUAL[name]
                inferred.append(
                    f'input.extra.{tensor.name}: '
                    f'{value if isinstance(value, str) else list(value)}, so that boxes are '
                    'in pixels of the model input')
    if extra:
        try:
            ExtraInputs(extra, inputs)
        except DescriptorError as error:
            raise descriptor_error(descriptor, str(error)) from error
    return FrozenMapping(extra)


def _the_input(
    descriptor: ModelDescriptor, inputs: Sequence[TensorSpec], given: Collection[str],
) -> TensorSpec:
    """Return the input that takes the image: the only one that is not given otherwise."""
    listed = '; '.join(str(tensor) for tensor in inputs)
    rest = [tensor for tensor in inputs if tensor.name not in given]
    if len(rest) != 1:
        raise descriptor_error(
            descriptor, f'the model has {len(inputs)} inputs ({listed}), but only the image is '
            'known; export it with one input, or declare the others: constants under '
            f'input.extra, like extra: {{image_shape: {SIZES[0]}}}, and what the model remembers '
            'from frame to frame under state, like state: [{input: NAME, output: NAME}]')
    tensor = rest[0]
    name = descriptor.input.name
    if name is not None and name.removesuffix(':0') != tensor.name.removesuffix(':0'):
        raise descriptor_error(
            descriptor, f'input.name is {name!r}, but the model has {listed}; correct the name '
            'or remove it')
    if len(tensor.shape) == 3 and tensor.shape[0] != 1:
        # Without a batch dimension.
        tensor = replace(tensor, shape=(1, *tensor.shape))
    return tensor


def _check_image(descriptor: ModelDescriptor, tensor: TensorSpec, whole: TensorSpec) -> None:
    """Refuse an input that is no image, or several; the whole one has a clip's frames, too."""
    if len(tensor.shape) == 5:
        raise descriptor_error(descriptor, ask(tensor))
    if len(tensor.shape) != 4:
        raise descriptor_error(
            descriptor, f'the model takes {tensor}, which is not an image: it needs four '
            'dimensions, [1, channels, height, width] or [1, height, width, channels], or three '
            'without the 1')
    if isinstance(tensor.shape[0], int) and tensor.shape[0] != 1:
        raise descriptor_error(
            descriptor, f'the model takes {whole}, a fixed batch of {tensor.shape[0]} '
            f'{"images" if whole is tensor else "clips"}; '
            'export it with a batch of 1 or a free batch dimension')


def _refuse_series(descriptor: ModelDescriptor, tensor: TensorSpec, layout: Layout) -> None:
    """Refuse landmarks and time series that have four dimensions: no image is so narrow."""
    height, width = tensor.shape[2:] if layout == 'nchw' else tensor.shape[1:3]
    if not isinstance(height, int) or not isinstance(width, int):
        return
    short = min(height, width)
    if short < _NARROW or (height != width and short < _SMALL and short % 4):
        raise descriptor_error(
            descriptor, f'the model takes {tensor}: {width}x{height} is no usual size of images, '
            'but landmarks and time series look like this; if it takes images nevertheless, '
            f'declare input: {{size: [{width}, {height}]}}')


def _layout(descriptor: ModelDescriptor, tensor: TensorSpec, bare: bool,
            inferred: list[str]) -> Layout:
    """Return the layout, which follows from where the 1 or 3 channels are."""
    first, last = tensor.shape[1] in _CHANNELS, tensor.shape[3] in _CHANNELS
    if first and not last:
        return 'nchw'
    if last and not first:
        return 'nhwc'
    if bare and tensor.dtype == 'uint8' and not isinstance(tensor.shape[3], int):
        inferred.append('input.layout: nhwc, as usual for uint8 images')
        return 'nhwc'
    if all(isinstance(tensor.shape[axis], int) for axis in (1, 3)) and not first:
        raise descriptor_error(
            descriptor, f'the model takes {tensor}, but images have 1 or 3 channels, and neither '
            'the second nor the last dimension is 1 or 3')
    raise descriptor_error(
        descriptor, f'the layout of the input {tensor} does not follow from its shape; set '
        'input.layout: nchw or nhwc in a descriptor')


def _dtype(descriptor: ModelDescriptor, tensor: TensorSpec) -> DType:
    declared = descriptor.input.dtype
    for dtype in DTYPES:
        if tensor.dtype == dtype:
            if declared not in (None, dtype):
                raise descriptor_error(
                    descriptor, f'input.dtype is {declared}, but the model takes {tensor}; '
                    'correct it or remove it')
            return dtype
    raise descriptor_error(
        descriptor, f'the model takes {tensor}, but only these types are supported: '
        f'{", ".join(DTYPES)}')


def _size(descriptor: ModelDescriptor, tensor: TensorSpec, layout: Layout,
          outputs: Sequence[TensorSpec], metadata: Mapping[str, str], inferred: list[str]) -> Size:
    """Return the size that is declared or in the graph; both must agree."""
    height, width = tensor.shape[2:4] if layout == 'nchw' else tensor.shape[1:3]
    declared = descriptor.input.size
    if declared is None:
        if isinstance(width, int) and isinstance(height, int):
            if width * height > MAX_PIXELS:
                raise descriptor_error(
                    descriptor, f'the model takes {tensor}, images of {width * height} pixels, '
                    f'more than the {MAX_PIXELS} that are allowed; export a smaller one')
            return width, height
        declared = size_of(outputs, metadata, inferred)
    if declared is None:
        raise descriptor_error(
            descriptor, f'the model takes {tensor}, images of any size; set input.size: '
            '[width, height], or source for the size of each image, in a descriptor')
    fixed = [side for side in (width, height) if isinstance(side, int)]
    if declared == 'source':
        if fixed:
            raise descriptor_error(
                descriptor, f'input.size is source, but the model takes {tensor}, a fixed '
                'size; remove input.size')
        return 'source'
    for name, side, graph in zip(('width', 'height'), declared, (width, height)):
        if isinstance(graph, int) and graph != side:
            raise descriptor_error(
                descriptor, f'input.size has a {name} of {side}, but the model takes {tensor}, '
                f'a {name} of {graph}; correct it or remove it')
    return declared


_MAX_METADATA = 1 << 20
_MAX_NAME = 100
# Not those that map names to ids.
_NAME_KEYS = NAME_KEYS[:6]
_SIZE_KEYS = ('imgsz', 'img_size', 'image_size', 'input_size')
_TASK_WORDS: dict[str, Task] = {
    'classify': 'classification', 'classification': 'classification',
    'image-classification': 'classification', 'detect': 'detection', 'detection': 'detection',
    'object-detection': 'detection', 'segment': 'detection', 'pose': 'detection',
    'obb': 'detection', 'semantic': 'segmentation',
    'feature-extraction': 'embedding', 'image-feature-extraction': 'embedding',
    'semantic-segmentation': 'segmentation', 'image-segmentation': 'segmentation'}


def size_of(outputs: Sequence[TensorSpec], metadata: Mapping[str, str],
            inferred: list[str]) -> Size:
    """Infer the size for a model that takes any, from metadata or outputs; None if unknown."""
    key = next((key for key in _SIZE_KEYS if metadata.get(key)), _SIZE_KEYS[0])
    value = _literal(metadata.get(key, ''))
    sides = [value, value] if isinstance(value, int) else value
    if (isinstance(sides, (list, tuple)) and len(sides) == 2
            and all(isinstance(side, int) and 1 <= side <= 16384 for side in sides)):
        size, stride = (sides[1], sides[0]), _literal(metadata.get('stride', ''))
        if isinstance(stride, int) and 1 < stride <= 256 and any(side % stride for side in size):
            # The grids of such a model fit together only in whole strides.
            size = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
            inferred.append(f'input.size: {size[0]}x{size[1]}, the {key} in the metadata of the '
                            f'file, rounded up to its stride of {stride}')
        else:
            inferred.append(
                f'input.size: {size[0]}x{size[1]}, the {key} in the metadata of the file')
        return size
    if any(plain(tensor.name) == 'detection_boxes' for tensor in outputs):
        inferred.append('input.size: source, because TensorFlow Object Detection models resize '
                        'the image themselves')
        return 'source'
    if resizes_itself(outputs):
        inferred.append('input.size: source, because the detectors of torchvision resize the '
                        'image themselves')
        return 'source'
    if usual := usual_size(outputs):
        size, why = usual
        inferred.append(f'input.size: {size[0]}x{size[1]}, because {why}; the model takes any')
        return size
    return None


def labels_of(metadata: Mapping[str, str]) -> Labels | None:
    """
    Return the class names that the exporter wrote into the metadata; None if there are none.

    A list of names, a mapping from ids to names (in Python's or JSON's spelling), or names
    separated by lines or commas; whole numbers are names too.
    """
    for key in _NAME_KEYS:
        text = metadata.get(key, '')
        value = _literal(text)
        if not isinstance(value, (list, tuple, dict)) and len(text) <= _MAX_METADATA:
            value = _listed(text)
        if value is None:
            continue
        try:
            return Labels.from_data(value)
        except LabelsError:
            continue
    return None


def task_of(metadata: Mapping[str, str]) -> Task | None:
    """Return the task that the exporter wrote into the metadata; None if absent or unknown."""
    return _TASK_WORDS.get(metadata.get('task', '').strip().lower().replace('_', '-'))


def _literal(text: str) -> Any:
    """Return the value of a Python literal, which lists and mappings in JSON are as well."""
    try:
        return read_literal(text, _MAX_METADATA)
    except ValueError:
        return None


def _listed(text: str) -> list[str] | None:
    """Return names separated by lines or commas; None for anything else."""
    names = [name.strip() for name in (
        text.splitlines() if '\n' in text.strip() else text.split(','))]
    while names and not names[-1]:
        names.pop()
    whole = len(names) > 1 and all(
        0 < len(name) <= _MAX_NAME and not set(name) & set('{}[]=') for name in names)
    return names if whole else None
