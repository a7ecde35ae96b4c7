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

"""What models give, whatever it is: no decoder lets NaN or infinity out."""

from __future__ import annotations

from typing import Any

from fuzzing import fuzz
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
from numpy.typing import NDArray
import pytest

from ros2_classify.decoders import (
    Candidates, ClassScores, DecodeContext, Decoded, DECODERS, PixelClasses, Vector)
from ros2_classify.errors import DescriptorError, OptionsError, OutputError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.options import Options
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Detections, Embedding, Timing
from ros2_classify.testing import FakeEngine, tensor

# The input of the models; a grid of 8 pixels has 4 x 4 cells, of 16 has 2 x 2, of 32 has 1.
SIDE = 32
CELLS = 16 + 4 + 1
# Numbers that break sums, products, powers and comparisons.
BROKEN = (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e30, 1e-40, -0.0, 88.8, 709.0)
NUMBERS = st.one_of(st.floats(-2, 3, width=32), st.sampled_from(BROKEN).map(np.float32).map(float))
PAIR = {'outputs': {'boxes': 'boxes', 'scores': 'scores'}}
ANCHORED = {'anchors': [[4, 5, 6, 6], [9, 8, 16, 20]]}
GRID = {'strides': [8, 16], 'sizes': [[8, 12], [20]]}

# A warning of NumPy's in a node's terminal is of no use to anybody.
pytestmark = pytest.mark.filterwarnings('error')

# For each decoder: options, and outputs of the shapes that it reads.
FITTING: dict[str, list[tuple[dict[str, Any], dict[str, tuple[int, ...]]]]] = {
    'classification': [
        ({'activation': activation, 'multi_label': many}, {'out': (1, 7)})
        for activation in ('none', 'softmax', 'sigmoid') for many in (False, True)] + [
        ({'activation': activation, 'binary': True}, {'out': (1, 1)})
        for activation in ('none', 'sigmoid')],
    'yolox': [({}, {'out': (1, CELLS, 7)}), ({'decoded': True}, {'out': (1, 9, 7)})],
    'tf_detection': [({}, {
        'detection_boxes': (1, 6, 4), 'detection_classes': (1, 6), 'detection_scores': (1, 6),
        'num_detections': (1,), **masks}) for masks in ({}, {'detection_masks': (1, 6, 3, 3)})],
    'boxes_scores': [
        ({**PAIR, 'activation': activation, 'box_format': form, 'normalized': form == 'xyxy'},
         {'boxes': (1, 9, 4), 'scores': (1, 9, 3)})
        for activation, form in (
            ('none', 'xyxy'), ('softmax', 'cxcywh'), ('sigmoid', 'xywh'))] + [
        ({**PAIR, 'activation': activation}, {'boxes': (1, 4, 9), 'scores': (1, 3, 9)})
        for activation in ('softmax', 'sigmoid')],
    'yolo': [({'axes': 'channels_first', 'objectness': False}, {'out': (1, 7, CELLS)}),
             ({'axes': 'channels_last', 'objectness': True, 'activation': 'sigmoid',
               'normalized': True}, {'out': (1, CELLS, 8)}),
             ({'axes': 'channels_first', 'objectness': False, 'keypoints': [2, 3]},
              {'out': (1, 12, CELLS)}),
             ({'axes': 'channels_last', 'objectness': True, 'keypoints': [2, 2],
               'keypoints_place': 'before_classes', 'normalized': True}, {'out': (1, CELLS, 10)}),
             ({'axes': 'channels_first', 'objectness': False, 'angle': True},
              {'out': (1, 7, CELLS)}),
             ({'axes': 'channels_first', 'objectness': False, 'prototypes': 'protos'},
              {'out': (1, 9, CELLS), 'protos': (1, 3, 4, 4)})],
    'end_to_end': [({'class_offset': -1}, {'rows': (1, 9, 6)}), ({}, {'rows': (9, 7)}),
                   ({'columns': ['unused', 'score', 'box', 'rest']}, {'rows': (1, 9, 8)}),
                   ({}, {'dets': (1, 9, 5), 'labels': (1, 9)}),
                   ({'outputs': {'dets': 'dets', 'classes': 'labels'}},
                    {'dets': (1, 9, 6), 'labels': (1, 9)}),
                   ({'columns': ['box', 'score', 'class', 'keypoints'], 'keypoints': [1, 3]},
                    {'rows': (1, 9, 9)}),
                   ({'columns': ['box', 'score', 'class', 'angle']}, {'rows': (1, 9, 7)}),
                   ({'columns': ['box', 'score', 'class', 'coefficients'],
                     'outputs': {'rows': 'rows', 'prototypes': 'protos'}},
                    {'rows': (1, 9, 9), 'protos': (1, 3, 4, 4)}),
                   ({'units': 'normalized', 'box_format': 'cxcywh'}, {
                       'boxes': (1, 9, 4), 'classes': (1, 9), 'scores': (1, 9), 'count': (1,)})],
    'selected_indices': [({}, {'boxes': (1, 9, 4), 'scores': (1, 3, 9), 'indices': (4, 3)})],
    'detr': [({'activation': activation}, {'logits': (1, 9, 4), 'boxes': (1, 9, 4)})
             for activation in ('softmax', 'sigmoid')] + [
        ({'activation': 'sigmoid', 'background': 3},
         {'dets': (1, 9, 4), 'labels': (1, 9, 4), 'masks': (1, 9, 3, 3)})],
    'nanodet': [({'strides': [8, 16], 'reg_max': 3}, {
        'scores_8': (1, 16, 3), 'scores_16': (1, 4, 3), 'dist_8': (1, 16, 16),
        'dist_16': (1, 4, 16)})],
    'yunet': [({'strides': [8, 16]}, {
        f'{role}_{stride}': (1, cells, columns) for stride, cells in ((8, 16), (16, 4))
        for role, columns in (('cls', 2), ('obj', 1), ('bbox', 4), ('kps', 10))})],
    'ssd': [({**GRID, 'activation': activation, 'background': 0},
             {'boxes': (1, 36, 4), 'scores': (1, 36, 3)})
            for activation in ('none', 'softmax', 'sigmoid')] + [
        ({**GRID, 'size_rule': 'linear', 'box_format': 'cycxhw'},
         {'regressors': (1, 36, 16), 'scores': (1, 36, 1)})],
    'yolo_anchors': [
        ({**ANCHORED, 'size_rule': rule, 'activation': activation, 'box_activation': boxes},
         {'a': (1, 16, 4, 4), 'b': (1, 16, 2, 2)})
        for rule, activation, boxes in (
            ('exp', 'sigmoid', 'sigmoid'), ('square', 'softmax', 'none'),
            ('exp', 'none', 'none'))] + [
        ({**ANCHORED, 'size_rule': 'square'}, {'a': (1, 2, 4, 4, 5), 'b': (1, 2, 2, 2, 5)})],
    'yolo_fastestv2': [
        (ANCHORED, {f'{role}_{side}': (1, channels, side, side) for side in (4, 2)
                    for role, channels in (('box', 8), ('obj', 2), ('cls', 3))}),
        (ANCHORED, {'a': (1, 4, 4, 13), 'b': (1, 2, 2, 13)})],
    'fastestdet': [({'activation': activation}, {'map': (1, 8, 4, 4)})
                   for activation in ('none', 'softmax')],
    'scrfd': [({'strides': [8, 16], 'activation': activation}, {
        f'{role}_{stride}': (1, 2 * cells, columns) for stride, cells in ((8, 16), (16, 4))
        for role, columns in (('score', 1), ('bbox', 4), ('kps', 10))})
        for activation in ('none', 'sigmoid')],
    'centerface': [({}, {'heatmap': (1, 1, 8, 8), 'scale': (1, 2, 8, 8), 'offset': (1, 2, 8, 8),
                         'landmarks': (1, 10, 8, 8)})],
    'segmentation': [
        ({'axes': 'channels_first', 'upsampling': how}, {'out': (1, 3, 4, 4)})
        for how in ('nearest', 'linear')] + [
        ({'values': 'classes'}, {'out': (1, 4, 4)}),
        ({'threshold': 0.5}, {'out': (1, 1, 4, 4)})] + [
        ({'axes': 'channels_first', 'threshold': 0.5, 'activation': activation,
          'upsampling': how}, {'out': (1, 3, 4, 4)}) for activation, how in (
             ('none', 'nearest'), ('sigmoid', 'linear'), ('softmax', 'nearest'))],
    'embedding': [({}, {'out': (1, 7)}), ({}, {'out': (1, 7, 1, 1)}),
                  ({'output': 'out'}, {'out': (7,)})],
}
CASES = [pytest.param(name, options, shapes, id=f'{name}-{place}')
         for name, rows in FITTING.items() for place, (options, shapes) in enumerate(rows)]


def test_every_decoder_is_here() -> None:
    """A new decoder gets its row."""
    assert FITTING.keys() == DECODERS.keys()


def context(threshold: float = 0.0) -> DecodeContext:
    """Return what a decoder is told."""
    return DecodeContext(input_size=(SIDE, SIDE), score_threshold=threshold)


def check(decoded: Decoded) -> None:
    """See that all numbers are numbers, and that the shapes fit."""
    if isinstance(decoded, PixelClasses):
        assert decoded.classes.dtype in (np.uint8, np.uint16)
        return
    if isinstance(decoded, Vector):
        # The numbers are the model's own; the result looks at them.
        assert decoded.values.dtype == np.float32 and decoded.values.ndim == 1
        return
    assert np.isfinite(decoded.scores).all() and decoded.scores.ndim == 1
    assert decoded.class_ids.shape == decoded.scores.shape
    assert decoded.class_ids.dtype == np.int64
    if isinstance(decoded, ClassScores):
        assert (np.diff(decoded.scores) <= 0).all()
        return
    assert isinstance(decoded, Candidates)
    assert decoded.boxes.shape == (len(decoded), 4) and np.isfinite(decoded.boxes).all()
    assert decoded.masks is None or np.isfinite(decoded.masks).all()
    assert decoded.points is None or np.isfinite(decoded.points.values).all()
    assert decoded.oriented is None or np.isfinite(decoded.oriented).all()


def array_of(draw: Any, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Draw an output: a few numbers chosen, the rest one of them."""
    if name == 'indices':
        return draw(arrays.arrays(np.int64, shape, elements=st.integers(-2, 9)))
    return draw(arrays.arrays(np.float32, shape, elements=NUMBERS.map(np.float32), fill=st.one_of(
        st.just(np.float32(0.5)), st.sampled_from(BROKEN).map(np.float32))))


@pytest.mark.parametrize(('name', 'options', 'shapes'), CASES)
@fuzz(0.3, data=st.data(), threshold=st.sampled_from((0.0, 0.3, 1.0)))
def test_broken_numbers(
        name: str, options: dict[str, Any], shapes: dict[str, tuple[int, ...]], data: Any,
        threshold: float) -> None:
    """Broken numbers in the shapes that a decoder reads never come out of it."""
    outputs = {output: array_of(data.draw, output, shape) for output, shape in shapes.items()}
    decoder = DECODERS[name]
    try:
        check(decoder.decode(outputs, decoder.parse_options(options), context(threshold)))
    except OutputError as error:
        assert str(error)


@pytest.mark.parametrize(('name', 'options', 'shapes'), CASES)
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_nothing_but_broken_numbers(
        name: str, options: dict[str, Any], shapes: dict[str, tuple[int, ...]],
        value: float) -> None:
    """Nothing but NaN is no box, no class, no pixel, and no embedding."""
    outputs = {output: np.zeros(shape, np.int64) if output == 'indices' else np.full(
        shape, value, np.float32) for output, shape in shapes.items()}
    decoder = DECODERS[name]
    try:
        decoded = decoder.decode(outputs, decoder.parse_options(options), context())
    except OutputError as error:
        # Infinity is a batch index above 0.
        assert 'batch index' in str(error)
        return
    check(decoded)
    if isinstance(decoded, PixelClasses):
        assert decoded.scores is not None or (decoded.classes == decoded.unlabeled).all()
    elif isinstance(decoded, Vector):
        with pytest.raises(OutputError, match=f'is {value}'):
            Embedding(decoded.values, (SIDE, SIDE), Timing(0.0, 0.0, 0.0))
    else:
        assert not len(decoded.scores)


@pytest.mark.parametrize('name', DECODERS)
@fuzz(0.5, data=st.data())
def test_any_shapes_and_types(name: str, data: Any) -> None:
    """Outputs of other shapes, types and names are refused by name."""
    options, shapes = data.draw(st.sampled_from(FITTING[name]))
    outputs = {}
    for output, shape in shapes.items():
        kind = data.draw(st.sampled_from(('as it is', 'shape', 'type', 'both', 'gone')))
        if kind == 'gone':
            continue
        if kind in ('shape', 'both'):
            shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6))
        dtype = data.draw(st.sampled_from(
            (np.float16, np.float64, np.int64, np.int8, np.uint16, np.bool_, np.object_,
             np.complex64))) if kind in ('type', 'both') else np.float32
        outputs[output] = np.full(shape, data.draw(st.sampled_from((0, 1, 3))), dtype)
    if data.draw(st.booleans()):
        outputs['other'] = np.zeros((1, 3), np.float32)
    decoder = DECODERS[name]
    try:
        parsed = decoder.parse_options(options)
        decoder.class_count(outputs, parsed)
        check(decoder.decode(outputs, parsed, context()))
    except OutputError as error:
        assert str(error)


@pytest.mark.parametrize(('name', 'options', 'shapes'), CASES)
@fuzz(0.1, data=st.data(), width=st.integers(1, 70), height=st.integers(1, 70))
def test_through_the_pipeline(
        name: str, options: dict[str, Any], shapes: dict[str, tuple[int, ...]], data: Any,
        width: int, height: int) -> None:
    """What comes out in the end is checked once more: a result, or an error of ours."""
    outputs = {output: array_of(data.draw, output, shape) for output, shape in shapes.items()}
    engine = FakeEngine([tensor('image', (1, 3, SIDE, SIDE))],
                        [tensor(output, shape) for output, shape in shapes.items()], outputs)
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': 'net.onnx'},
        'input': {'name': 'image', 'size': [SIDE, SIDE], 'layout': 'nchw', 'dtype': 'float32',
                  'resize': data.draw(st.sampled_from(('stretch', 'letterbox', 'center_crop')))},
        'output': {'decoder': name, **options}})
    pipeline = Pipeline(descriptor, engine)
    chosen = Options(
        score_threshold=data.draw(st.sampled_from((0.0, 0.5, 1.0))),
        nms_iou=data.draw(st.sampled_from((0.0, 0.5, 1.0))),
        ioa_threshold=data.draw(st.sampled_from((0.0, 0.5))), max_detections=5)
    try:
        result = pipeline(np.zeros((height, width, 3), np.uint8), options=chosen)
    except OutputError:
        return
    if isinstance(result, Embedding):
        assert np.isfinite(result.vector).all() and result.vector.any()
        return
    assert np.isfinite(result.scores).all()
    if isinstance(result, Detections):
        assert len(result) <= 5
        result.instances()


@pytest.mark.parametrize('name', DECODERS)
@fuzz(0.5, options=st.dictionaries(st.text(max_size=12) | st.sampled_from((
    'outputs', 'strides', 'columns', 'activation', 'background', 'class_offset', 'reg_max',
    'sizes', 'scales', 'variances', 'priors', 'anchors', 'scale_x_y')),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                 lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
                     st.text(max_size=8), inner, max_size=3), max_leaves=5), max_size=4))
def test_any_options(name: str, options: dict[str, Any]) -> None:
    """Options that a descriptor may say are refused or can be used."""
    try:
        parsed = DECODERS[name].parse_options(options)
    except DescriptorError:
        return
    hash(parsed)


@fuzz(values=st.dictionaries(
    st.sampled_from(('score_threshold', 'top_k', 'nms_iou', 'ioa_threshold', 'max_detections',
                     'multi_label')),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))))
def test_thresholds_and_limits(values: dict[str, Any]) -> None:
    """Thresholds and limits out of their range are refused."""
    try:
        options = Options().replace(**values)
    except OptionsError:
        return
    assert 0 <= options.score_threshold <= 1 and 1 <= options.max_detections
