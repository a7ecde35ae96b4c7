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
Classifiers and segmentation models without a descriptor, and what is taken for them by mistake.

A row of numbers may be class scores, an embedding or coordinates; a map with three channels may be
scores of three classes or an image. The last operator of the graph, the number of class names and
the numbers themselves tell them apart; what is left is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from ros2_classify.autoconfig.detector_inputs import ALL
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, InputSettings, Strength
from ros2_classify.autoconfig.trial import correlation, sample_images
from ros2_classify.engines.base import TensorSpec
from ros2_classify.model.input_spec import PIXELS

# Of ImageNet-1k and -21k, without and with a background class.
_IMAGENET_CLASSES = (1000, 1001, 21841, 21842, 21843)
# Lengths of the vectors that models for comparing images give.
_EMBEDDINGS = (64, 96, 128, 160, 192, 256, 320, 384, 512, 576, 640, 768, 960, 1024, 1280, 1408,
               1536, 1664, 1792, 2048, 4096)
_EMBEDDING_WORDS = ('embed', 'feature', 'feat', 'descriptor', 'pooled')
# Outputs of many numbers that are by-products of a classifier.
_FEATURE_WORDS = (*_EMBEDDING_WORDS, 'hidden', 'attention', 'map', 'cam')
_CLASS_WORDS = ('softmax', 'prob', 'predictions', 'logit', 'class', 'score')
_VALUE_WORDS = ('landmark', 'keypoint', 'coord', 'pose', 'box', 'angle', 'age', 'depth')
_LINEAR = ('Gemm', 'MatMul', 'Conv', 'Add', 'GlobalAveragePool', 'ReduceMean', 'Mul', 'QGemm',
           'QLinearMatMul', 'QLinearConv', 'FusedGemm', 'FusedConv', '')
_ACTIVATIONS = ('Softmax', 'Sigmoid', 'LogSoftmax')
# Of a detector's final boxes: box, score and class, perhaps the image.
_ROW_WIDTHS = (5, 6, 7)
_ARITHMETIC = ('Add', 'Div', 'Mul', 'Sub')
# Two or three numbers for each of 21 points of a hand, 68, 98, 106 or 468 of a face.
_LANDMARKS = (42, 63, 136, 196, 204, 212, 936, 1404, 1434)
# This number of scores is hardly all positive by chance.
_MANY = 8
# Larger than scores before a softmax are, if none is negative.
_PIXELS = 16
# Scores before a softmax spread farther than heat maps.
_HEAT = (-0.25, 1.25)
_MOST_CLASSES = 256
_SIMILAR = 0.6


def classification(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a classifier with these outputs may be, for each output with one row."""
    for output in evidence.outputs:
        if output.dtype.kind not in 'fiu':
            continue
        # Without its batch, an output may have one dimension, or more of one after it.
        shape = [dim for dim in output.shape[1:] if dim != 1] if len(output.shape) > 1 \
            else list(output.shape)
        count = shape[0] if shape else 1
        # Several rows are no classes of one image.
        listed = len(output.shape) > 1 and output.shape[0] != 1 or (
            output.name in evidence.rows and count in _ROW_WIDTHS
            and evidence.graph.end(output.name) not in _ACTIVATIONS)
        if len(shape) <= 1 and isinstance(count, int) and count and not listed:
            yield from _read_row(_Row(evidence, output, count))


# What a reading of a row says, an empty tuple if it is nothing; None leaves it to the next one.
_Reading = tuple[Hypothesis, ...] | None


class _Row:
    """A row of numbers that may be class scores, and what the file tells about it."""

    def __init__(self, evidence: Evidence, output: TensorSpec, count: int) -> None:
        self.evidence, self.output, self.count = evidence, output, count
        self.end = evidence.graph.end(output.name)
        self.settings = _input_of_classifier(evidence)
        values = evidence.arrays.get(output.name)
        self.numbers = None if values is None else values.astype(np.float64).ravel()
        self.stated = evidence.task == 'classification' or (
            evidence.labels is not None and len(evidence.labels) == count)
        self.known = self.stated or count in _IMAGENET_CLASSES or self.named(_CLASS_WORDS)

    def named(self, words: Iterable[str]) -> bool:
        """Tell whether one of the words is in the name of the output."""
        return any(word in self.output.name.lower() for word in words)

    def classes(
        self, activation: str, strength: Strength, sentence: str, *,
        unverified: tuple[str, ...] = (), **options: bool,
    ) -> Hypothesis:
        """State that the row has class scores."""
        return replace(
            self._hypothesis({'activation': activation, 'output': self.output.name, **options}),
            strength=strength, details=(sentence,), unverified=unverified)

    def refused(
        self, reason: str, options: str = 'activation: softmax',
        strength: Strength = Strength.USUAL,
    ) -> Hypothesis:
        """State that the row may be something else than class scores."""
        return replace(
            self._hypothesis({'output': self.output.name}), strength=strength, missing=(
                f'{reason}; if it holds class scores nevertheless, declare labels and output: '
                f'{{decoder: classification, output: {self.output.name}, {options}}}'))

    def _hypothesis(self, options: dict[str, Any]) -> Hypothesis:
        return Hypothesis(
            'classification', 'classification', options,
            f'the output {self.output} has one number for each of {self.count} classes',
            Strength.USUAL, self.settings)


def _read_row(row: _Row) -> Iterator[Hypothesis]:
    """Yield what the first reading that recognizes the row says of it."""
    for reading in (_by_product, _several_results, _binary, _after_softmax, _landmarks,
                    _values_from_0_to_1, _after_sigmoid, _probabilities, _after_log_softmax,
                    _embedding, _other_values, _no_logits, _logits):
        found = reading(row)
        if found is not None:
            yield from found
            return


def _by_product(row: _Row) -> _Reading:
    """Recognize one of several outputs that neither ends nor is named as scores."""
    evidence = row.evidence
    if not evidence.outputs[1:] or row.end in _ACTIVATIONS or evidence.ultralytics:
        return None
    named_alone = all(any(word in tensor.name.lower() for word in (
        _CLASS_WORDS if tensor is row.output else _EMBEDDING_WORDS))
        for tensor in evidence.outputs)
    return None if named_alone else ()


def _several_results(row: _Row) -> _Reading:
    """Refuse if other outputs are no by-products of scores: each needs a decoder."""
    # The same classes before their activation, and the number of the best one, are by-products.
    others = ' and '.join(
        str(tensor) for tensor in row.evidence.outputs if tensor.shape != row.output.shape
        and (tensor.dtype.kind == 'f' or any(dim != 1 for dim in tensor.shape))
        and not any(word in tensor.name.lower() for word in _FEATURE_WORDS))
    if not others or row.count == 1:
        return None
    return row.refused(
        f'the output {row.output} ends as scores do, but there is {others} as well: of several '
        'results of one model, declare each under heads, as docs/descriptor.md#heads shows',
        'activation: none' if row.end in ('Softmax', 'Sigmoid') else 'activation: softmax'),


def _binary(row: _Row) -> _Reading:
    """Recognize one number: from a sigmoid, the probability of the second of two classes."""
    if row.count != 1:
        return None
    if row.end != 'Sigmoid' and row.end not in _LINEAR:
        return ()
    labels, why = row.evidence.labels, f'the output {row.output} is one number'
    activation = 'none' if row.end == 'Sigmoid' else 'sigmoid'
    if labels is not None and len(labels) == 2:
        return replace(row.classes(
            activation, Strength.EXACT,
            'output.binary: true, because the number is the probability of the second name',
            binary=True), why=f'{why}, and there are two names'),
    return Hypothesis(
        'classification', 'classification', {'output': row.output.name}, why, Strength.EXACT,
        row.settings, missing=(
            f'{why}: the probability of the second of two classes if it comes from a sigmoid; '
            'name both, and declare labels: [first, second] and '
            f'output: {{decoder: classification, binary: true, activation: {activation}}}')),


def _after_softmax(row: _Row) -> _Reading:
    if row.end != 'Softmax' and not row.evidence.ultralytics:
        return None
    ending = ('the graph ends in a softmax' if row.end == 'Softmax'
              else 'Ultralytics exports classifiers with a softmax')
    quantization = row.output.quantization
    return replace(
        row.classes('none', Strength.STATED, f'output.activation: none, because {ending}'),
        step=quantization.scale if quantization else 0.0),


def _landmarks(row: _Row) -> _Reading:
    if row.stated or row.count not in _LANDMARKS:
        return None
    return row.refused(f'the output {row.output} has {row.count} numbers, as many as landmarks '
                       'usually have'),


def _values_from_0_to_1(row: _Row) -> _Reading:
    if row.stated or row.end != 'Sigmoid' or not row.named(_VALUE_WORDS):
        return None
    return row.refused(f'the output {row.output} is named as values from 0 to 1, such as a box, '
                       'not as scores', 'multi_label: true', Strength.STATED),


def _after_sigmoid(row: _Row) -> _Reading:
    if row.end != 'Sigmoid':
        return None
    return row.classes(
        'none', Strength.STATED,
        'output.multi_label: true, because the graph ends in a sigmoid: each class by itself',
        multi_label=True, unverified=() if row.stated else ('output.decoder',)),


def _probabilities(row: _Row) -> _Reading:
    numbers = row.numbers
    if numbers is None or numbers.size < 2 or numbers.min() < -1e-3 \
            or abs(float(numbers.sum()) - 1) >= 0.02:
        return None
    return row.classes(
        'none', Strength.EXACT,
        'output.activation: none, because the numbers are from 0 to 1 with a sum of 1'),


def _after_log_softmax(row: _Row) -> _Reading:
    if row.end != 'LogSoftmax':
        return None
    return row.classes(
        'softmax', Strength.STATED, 'output.activation: softmax, which undoes the logarithm that '
        'the graph ends in'),


def _embedding(row: _Row) -> _Reading:
    """Ask if the name, a length of 1 or the number of values are those of an embedding."""
    numbers = row.numbers
    if row.stated:
        return None
    if row.named(_EMBEDDING_WORDS):
        why = f'the output {row.output} is named as an embedding'
    elif numbers is not None and row.count >= 16 and abs(float((numbers ** 2).sum()) - 1) < 1e-3:
        why = f'the output {row.output} has the length 1'
    elif row.count in _EMBEDDINGS and not row.named(_CLASS_WORDS):
        why = (f'the output {row.output} has {row.count} numbers, as many as embeddings usually '
               'have')
    else:
        return None
    return Hypothesis(
        'classification', 'classification', {'output': row.output.name}, why, Strength.EXACT,
        row.settings, missing=(
            f'{why}: the scores of {row.count} classes, or an embedding? Declare labels and '
            'output: {decoder: classification, activation: softmax}, or '
            'output: {decoder: embedding}')),


def _other_values(row: _Row) -> _Reading:
    if row.end in _LINEAR and not row.named(_VALUE_WORDS):
        return None
    return row.refused(f'the output {row.output} ends in {row.end or "a value"}, which class '
                       'scores do not'),


def _no_logits(row: _Row) -> _Reading:
    """Refuse if the numbers or the operators are not those of scores before a softmax."""
    if row.stated:
        return None
    numbers = row.numbers
    last, before = (*row.evidence.graph.ends.get(row.output.name, ()), '', '')[:2]
    if last in _ARITHMETIC and before in _ACTIVATIONS:
        return row.refused(f'the output {row.output} is changed by {last} after {before}: no '
                           'probabilities any more'),
    if numbers is None or not numbers.any() or numbers.min() < 0:
        return None
    if numbers.size in _ROW_WIDTHS and numbers.max() > _PIXELS:
        return row.refused(f'the output {row.output} may be one box in pixels, with a score and '
                           'a class'),
    if numbers.size < _MANY or row.known:
        return None
    return row.refused(f'the output {row.output} has no negative number, as scores before a '
                       'softmax have: landmarks, other values, or scores with another activation'),


def _logits(row: _Row) -> _Reading:
    return row.classes(
        'softmax', Strength.EXACT if row.known else Strength.USUAL,
        'output.activation: softmax, because the graph ends in '
        f'{row.end or "no operator that is known"} and the numbers are not from 0 to 1',
        unverified=() if row.known else ('output.decoder', 'output.activation')),


def _input_of_classifier(evidence: Evidence) -> InputSettings:
    crop = 'center_crop' if evidence.size else 'stretch'
    unverified = (*ALL, 'input.resize') if evidence.size else ALL
    if evidence.ultralytics:
        return InputSettings(
            {'scale': 1 / 255, 'resize': crop, 'crop_fraction': 1.0},
            'pixels from 0 to 1, centre crop, as Ultralytics exports classifiers')
    if evidence.spec.layout == 'nhwc' and evidence.graph.begins.get(
            evidence.spec.name or '') == 'pixels':
        # Keras loads the images of a data set without cropping them, and its layers scale them.
        crop = 'stretch'
    if evidence.spec.layout == 'nhwc' or evidence.spec.color == 'gray':
        return InputSettings(
            {**PIXELS['signed'], 'resize': crop},
            'pixels from -1 to 1, centre crop, as many classifiers of TensorFlow take them',
            unverified)
    return InputSettings(
        {**PIXELS['imagenet'], 'resize': crop},
        'rgb with the mean and standard deviation of ImageNet, centre crop, as classifiers of '
        'PyTorch take them', unverified)


def segmentation(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a segmentation model with these outputs may be."""
    outputs = [tensor for tensor in evidence.outputs if tensor.dtype.kind in 'fiu']
    # The segmentation models of torchvision have a second head for training.
    if [tensor.name for tensor in outputs[1:]] == ['aux']:
        outputs = outputs[:1]
    # Maps of several shapes are those of a detector.
    if len({tensor.shape for tensor in outputs}) > 1:
        return
    for output in outputs:
        yield from _map(evidence, output, alone=len(outputs) == 1)


def _map(evidence: Evidence, output: TensorSpec, *, alone: bool) -> Iterator[Hypothesis]:
    shape = output.shape[1:] if len(output.shape) == 4 else output.shape
    size = evidence.size
    if len(shape) != 3 or size is None:
        return
    whole = output.dtype.kind in 'iu'
    axes = [name for name, classes, grid in (
        ('channels_first', shape[0], shape[1:]), ('channels_last', shape[2], shape[:2]))
        if isinstance(classes, int) and _is_grid(grid, size)
        and (classes == 1 if whole else classes >= 1)]
    if len(axes) != 1:
        return
    classes = shape[0] if axes[0] == 'channels_first' else shape[2]
    assert isinstance(classes, int)
    labels = evidence.labels
    background = labels is not None and labels.name(0).strip('_ ').lower() == 'background'
    end = evidence.graph.end(output.name)
    stated = evidence.task == 'segmentation' or end in ('Softmax', 'ArgMax') or whole or (
        labels is not None and len(labels) == classes)
    what = 'a class' if whole else 'a score for each class'
    why = f'the output {output} has {what} for each cell of a grid over the image'
    settings = InputSettings(
        {} if evidence.spec.layout == 'nhwc' else PIXELS['imagenet'],
        'pixels from 0 to 255, stretched' if evidence.spec.layout == 'nhwc' else
        'rgb with the mean and standard deviation of ImageNet, stretched, as segmentation models '
        'of PyTorch take them', ALL)
    if not whole and (missing := _no_classes(evidence, output, axes[0], classes, stated)):
        yield Hypothesis('segmentation', 'segmentation', {'output': output.name}, why,
                         Strength.EXACT, settings, missing=missing)
        return
    yield Hypothesis(
        'segmentation', 'segmentation',
        {**({} if alone else {'output': output.name}), **({} if whole else {'axes': axes[0]}),
         'background': 0 if background else False}, why,
        Strength.EXACT, settings,
        (f'output.background: {"0, because class 0 has this name" if background else "none"}',),
        () if stated else ('output.decoder',))


def _no_classes(
    evidence: Evidence, output: TensorSpec, axes: str, classes: int, stated: bool,
) -> str:
    """Return why a map is no segmentation, as far as the file tells; '' if it may be one."""
    what = f'the output {output} has {classes} channels'
    if not stated and evidence.spec.color == 'gray' and classes == 2:
        return (f'{what} for a gray image: colors, a flow or two classes? For classes, declare '
                'labels and output: {decoder: segmentation}')
    if not stated and (classes > _MOST_CLASSES or any(
            word in output.name.lower() for word in _EMBEDDING_WORDS)):
        return (f'{what}, features rather than classes; if it holds class scores, declare labels '
                'and output: {decoder: segmentation}')
    if not stated and classes > 4 and _is_heat(evidence, output):
        return (f'{what}, each about 0 to 1 without a sum of 1: heat maps of key points, which '
                'are not supported? If they are scores of classes, declare labels and output: '
                '{decoder: segmentation}')
    if classes == 1:
        return (f'the output {output} has one number for each pixel: a mask, a depth or an '
                'image? For a mask, declare output: {decoder: segmentation, threshold: 0.5}')
    similar = _like_the_image(evidence, output, axes)
    if classes in (3, 4) and not stated and (similar or classes == 3):
        return (f'the output {output} is as large as the image and has {classes} channels'
                + (', which follow the image' if similar else '')
                + ': an image, not classes; models that give images are not supported. If it '
                'holds class scores, declare output: {decoder: segmentation} and labels')
    return ''


def _is_heat(evidence: Evidence, output: TensorSpec) -> bool:
    """Tell whether all numbers are near 0 to 1, but not 0 throughout."""
    array: Any = evidence.arrays.get(output.name)
    return array is not None and bool(
        array.min() >= _HEAT[0] and array.max() <= _HEAT[1] and array.any())


def _like_the_image(evidence: Evidence, output: TensorSpec, axes: str) -> bool:
    """Tell whether the output for the first sample image looks like it."""
    array: Any = evidence.arrays.get(output.name)
    if array is None or not np.isfinite(array).all():
        return False
    found = array.reshape(array.shape[-3:]).astype(np.float32)
    found = found if axes == 'channels_last' else np.moveaxis(found, 0, -1)
    gray = found.mean(axis=-1)
    image = cv2.resize(sample_images()[0].mean(axis=-1).astype(np.float32), gray.shape[::-1],
                       interpolation=cv2.INTER_AREA)
    return correlation(gray, image) > _SIMILAR


def _is_grid(grid: Any, size: tuple[int, int]) -> bool:
    """Tell whether a grid is the image divided by one stride; above 8, it is a detector's."""
    if not all(isinstance(side, int) and side > 1 for side in grid):
        return False
    height, width = grid
    return bool(size[0] * height == size[1] * width and size[0] <= 8 * width <= 8 * size[0])


def embedding(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield each output with one row, if a descriptor or the exporter says it is an embedding."""
    for output in evidence.outputs if evidence.task == 'embedding' else ():
        shape = [dim for dim in output.shape[1:] if dim != 1]
        if len(shape) == 1 and output.dtype.kind == 'f':
            yield Hypothesis(
                'embedding', 'embedding', {'output': output.name},
                f'the task is embedding, and the output {output} has one row of numbers',
                Strength.EXACT, _input_of_classifier(evidence))
