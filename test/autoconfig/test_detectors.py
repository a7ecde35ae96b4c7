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

"""What is inferred about detectors without a descriptor, and that it decodes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros2_classify.autoconfig.complete import complete
from ros2_classify.engines import TensorSpec
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor, Source
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Detections
from ros2_classify.testing import FakeEngine, save_constant_model, tensor

BARE = ModelDescriptor(name='net', source=Source('/m/net.onnx'), origin='/m/net.onnx')
IMAGE = tensor('images', [1, 3, 640, 640])
NAMES = str({index: f'c{index}' for index in range(80)})
ULTRALYTICS = {'author': 'Ultralytics', 'names': NAMES, 'stride': '32'}
COLUMNS = {'axes': 'channels_first', 'objectness': False}
ROWS = {'axes': 'channels_last', 'objectness': True}
LETTERBOX = {'scale': 1 / 255, 'resize': 'letterbox', 'color': 'rgb', 'pad_value': 114}


def inferred(outputs: list[TensorSpec], feed: Any = IMAGE, **metadata: str) -> ModelDescriptor:
    """Return the descriptor of a bare model, having tried it on outputs of its shapes."""
    descriptor = complete(BARE, [feed], outputs, metadata)
    assert descriptor.output.decoder is not None
    assert any(sentence.startswith(f'output.decoder: {descriptor.output.decoder}, because ')
               for sentence in descriptor.inferred)
    # What was inferred must decode the outputs it was inferred from.
    arrays = {spec.name: np.zeros([dim if isinstance(dim, int) else 1 for dim in spec.shape],
                                  spec.dtype) for spec in outputs}
    size = descriptor.input.size
    if all(isinstance(dim, int) for spec in outputs for dim in spec.shape):
        with Pipeline(descriptor, FakeEngine([feed], outputs, arrays)) as pipeline:
            assert len(pipeline(np.zeros((48, 64, 3), np.uint8))) == 0
    assert size is not None
    return descriptor


@pytest.mark.parametrize(('shape', 'metadata', 'options'), [
    ([1, 84, 8400], {}, COLUMNS), ([1, 84, 8400], ULTRALYTICS, COLUMNS),
    ([1, 84, 8400], {'names': NAMES}, COLUMNS), ([1, 5, 8400], {}, COLUMNS),
    ([1, 25200, 85], {}, ROWS), ([1, 25200, 85], {'names': NAMES, 'stride': '32'}, ROWS),
    ([1, 25200, 7], {}, ROWS), ([1, 25200, 6], {}, ROWS),
    ([1, 102000, 85], {}, None), ([1, 25500, 85], {}, ROWS),
    (['batch', 84, 'anchors'], ULTRALYTICS, COLUMNS), ([1, None, 85], {'names': NAMES}, ROWS),
    # Two more than the classes: nothing of the family.
    ([1, None, 87], {'names': NAMES}, None), ([1, None, 85], {}, None),
    # A transposed YOLOv8.
    ([1, 8400, 84], {'names': NAMES}, {'axes': 'channels_last', 'objectness': False}),
    ([1, 116, 8400], {**ULTRALYTICS, 'task': 'segment'}, {**COLUMNS, 'classes': 80}),
    ([1, 135, 8400], {**ULTRALYTICS, 'task': 'pose'}, {**COLUMNS, 'classes': 80}),
    # Rotated boxes cannot be told apart from upright ones and a class more.
    ([1, 85, 21504], {**ULTRALYTICS, 'task': 'obb'}, None),
    ([1, 83, 8400], {**ULTRALYTICS, 'task': 'segment'}, None),
])
def test_yolo(shape: Any, metadata: dict[str, str], options: Any) -> None:
    if options is None:
        with pytest.raises(DescriptorError, match='does not follow'):
            inferred([tensor('output0', shape)], **metadata)
        return
    descriptor = inferred([tensor('output0', shape)], **metadata)
    assert (descriptor.task, descriptor.output.decoder) == ('detection', 'yolo')
    assert descriptor.output.options == {'output': 'output0', **options}
    for key, value in LETTERBOX.items():
        assert getattr(descriptor.input, key) == value


def test_yolo_with_masks_or_raw_grids_behind_it() -> None:
    grids = [tensor(f'grid{side}', [1, 3, side, side, 85]) for side in (80, 40, 20)]
    descriptor = inferred([tensor('output', [1, 25200, 85]), *grids])
    assert descriptor.output.options['output'] == 'output'
    masks = tensor('output1', [1, 32, 160, 160])
    descriptor = inferred([tensor('output0', [1, 116, 8400]), masks],
                          **{**ULTRALYTICS, 'task': 'segment'})
    assert descriptor.output.options['classes'] == 80


def test_yolox_stays_yolox() -> None:
    assert inferred([tensor('output', [1, 8400, 85])]).output.decoder == 'yolox'
    assert inferred([tensor('output', [1, 8400, 85])], names=NAMES).output.decoder in (
        'yolo', 'yolox')


@pytest.mark.parametrize(('shape', 'columns'), [
    ([1, 300, 6], 'x1, y1, x2, y2, score, class'), (['batch', 300, 6], 'x1, y1'),
    (['n', 7], 'batch, x1, y1, x2, y2, class, score'), ([1, None, 6], 'x1'), ([100, 7], 'batch')])
def test_final_rows(shape: Any, columns: str) -> None:
    descriptor = inferred([tensor('output0', shape)], **ULTRALYTICS)
    assert descriptor.output.decoder == 'end_to_end'
    assert descriptor.output.options == {'outputs': {'rows': 'output0'}}
    assert any(columns in sentence for sentence in descriptor.inferred)
    assert descriptor.input.resize == 'letterbox'


@pytest.mark.parametrize('classes', [1, 2, 3, 80])
@pytest.mark.parametrize('size', [640, 320, 64])
def test_final_rows_of_few_classes(classes: int, size: int) -> None:
    """Six numbers are four and two classes as well, or five and one."""
    names = str([f'c{index}' for index in range(classes)])
    descriptor = inferred([tensor('output0', [1, 300, 6])], tensor('in', [1, 3, size, size]),
                          names=names, author='Ultralytics')
    assert descriptor.output.decoder == 'end_to_end'


@pytest.mark.parametrize('shape', [[1, 6], ['n', 6], [1, 7], ['n', 7]])
def test_a_classifier_is_no_row(shape: Any) -> None:
    feed = tensor('in', [shape[0], 3, 64, 64])
    descriptor = complete(BARE, [feed], [tensor('out', shape)], {})
    assert descriptor.output.decoder == 'classification'


@pytest.mark.parametrize(('outputs', 'resize', 'roles'), [
    ([tensor('boxes', ['n', 4]), tensor('labels', ['n'], np.int64), tensor('scores', ['n'])],
     'stretch', {'boxes': 'boxes', 'classes': 'labels', 'scores': 'scores'}),
    ([tensor('labels', [1, 300], np.int64), tensor('boxes', [1, 300, 4]),
      tensor('scores', [1, 300])], 'stretch',
     {'boxes': 'boxes', 'classes': 'labels', 'scores': 'scores'}),
    ([tensor('bboxes', [1, 'n', 4]), tensor('labels', [1, 'n'], np.int64),
      tensor('scores', [1, 'n'])], 'stretch',
     {'boxes': 'bboxes', 'classes': 'labels', 'scores': 'scores'}),
    # DEIMv2, exported without its batch: the 4 is not known either.
    ([tensor('labels', ['a'], np.int64), tensor('boxes', ['b', 'c']), tensor('scores', ['b'])],
     'stretch', {'boxes': 'boxes', 'classes': 'labels', 'scores': 'scores'}),
    ([tensor('num_dets', [1, 1], np.int32), tensor('det_boxes', [1, 100, 4]),
      tensor('det_scores', [1, 100]), tensor('det_classes', [1, 100], np.int32)], 'letterbox',
     {'boxes': 'det_boxes', 'classes': 'det_classes', 'scores': 'det_scores',
      'count': 'num_dets'})])
def test_final_tensors(outputs: Any, resize: str, roles: Any) -> None:
    descriptor = inferred(outputs)
    assert descriptor.output.decoder == 'end_to_end'
    assert descriptor.output.options == {'outputs': roles}
    assert descriptor.input.resize == resize


@pytest.mark.parametrize('masks', [False, True])
def test_torchvision_takes_images_of_any_size_without_a_batch(
    tmp_path: Path, masks: bool,
) -> None:
    outputs = {'boxes': np.array([[10, 20, 30, 40]], np.float32), 'labels': np.array([3]),
               'scores': np.array([0.9], np.float32)}
    if masks:
        outputs['masks'] = np.zeros((1, 1, 50, 100), np.float32)
    path = save_constant_model(tmp_path / 'tv.onnx', outputs, input_shape=(3, 'h', 'w'))
    with Pipeline.load(path, provider='cpu') as pipeline:
        assert pipeline.descriptor.input.size == 'source'
        assert any('torchvision' in sentence for sentence in pipeline.descriptor.inferred)
        result = pipeline(np.zeros((50, 100, 3), np.uint8))
    assert isinstance(result, Detections)
    assert result.boxes.tolist() == [[10, 20, 30, 40]]
    assert result.class_ids.tolist() == [3]


@pytest.mark.parametrize(('logits', 'names', 'activation'), [
    ([1, 100, 92], '', 'softmax'), ([1, 300, 80], '', 'sigmoid'), ([1, 300, 80], NAMES, 'sigmoid'),
    ([1, 300, 81], NAMES, 'softmax'), ([1, 100, 80], NAMES, 'sigmoid'),
    (['b', 'q', 7], '', 'sigmoid')])
def test_detr(logits: Any, names: str, activation: str) -> None:
    outputs = [tensor('logits', logits), tensor('pred_boxes', [*logits[:2], 4])]
    descriptor = inferred(outputs, names=names)
    assert descriptor.output.decoder == 'detr'
    assert descriptor.output.options == {
        'outputs': {'logits': 'logits', 'boxes': 'pred_boxes'}, 'activation': activation}
    assert descriptor.input.resize == 'stretch'
    assert (descriptor.input.mean[0] > 0) == (activation == 'softmax')


def test_selected_indices() -> None:
    outputs = [tensor('a', [1, 'n', 4]), tensor('b', [1, 80, 'n']),
               tensor('c', [1, 'm', 3], np.int32)]
    descriptor = inferred(outputs)
    assert descriptor.output.decoder == 'selected_indices'
    assert descriptor.output.options['outputs'] == {'boxes': 'a', 'scores': 'b', 'indices': 'c'}
    assert descriptor.input.pad_value == 128


FEED_416 = tensor('input.1', [1, 3, 416, 416])


@pytest.mark.parametrize('names', ['', NAMES])
def test_nanodet_plus(names: str) -> None:
    descriptor = inferred([tensor('output', [1, 3598, 112])], FEED_416, names=names)
    assert descriptor.output.decoder == 'nanodet'
    assert descriptor.output.options == {'strides': (8, 16, 32, 64)}
    assert descriptor.input.color == 'bgr'
    assert descriptor.input.mean == (103.53, 116.28, 123.675)


@pytest.mark.parametrize('classes', [80, 3])
def test_nanodet_of_several_outputs(classes: int) -> None:
    """The outputs of the model in OpenCV's model zoo, which say nothing by their names."""
    grids = (2704, 676, 169)
    outputs = [tensor(str(index), [1, rows, columns]) for index, (columns, rows) in enumerate(
        (columns, rows) for columns in (classes, 32) for rows in grids)]
    descriptor = inferred(outputs, FEED_416)
    assert descriptor.output.decoder == 'nanodet'
    assert descriptor.output.options == {'strides': (8, 16, 32)}


def test_yunet() -> None:
    outputs = [tensor(f'{role}_{stride}', [1, (640 // stride) ** 2, columns])
               for role, columns in (('cls', 1), ('obj', 1), ('bbox', 4), ('kps', 10))
               for stride in (8, 16, 32)]
    descriptor = inferred(outputs)
    assert (descriptor.output.decoder, descriptor.output.options) == ('yunet', {})
    assert (descriptor.input.color, descriptor.input.anchor) == ('bgr', 'top_left')
    with pytest.raises(DescriptorError, match='does not follow'):
        inferred(outputs[:8])


def test_yunet_for_images_of_any_size_gets_its_published_one() -> None:
    outputs = [tensor(f'{role}_{stride}', [1, 'anchors', columns])
               for role, columns in (('cls', 1), ('obj', 1), ('bbox', 4), ('kps', 10))
               for stride in (8, 16, 32)]
    descriptor = inferred(outputs, tensor('input', [1, 3, 'height', 'width']))
    assert descriptor.input.size == (640, 640)
    assert any(sentence.startswith('input.size: 640x640, because ')
               for sentence in descriptor.inferred)


@pytest.mark.parametrize('outputs', [
    [tensor('boxes', [1, 9, 5]), tensor('labels', [1, 9]), tensor('scores', [1, 9])],
    [tensor('logits', [1, 9]), tensor('pred_boxes', [1, 9, 4])],
    [tensor('a', [1, 9, 4]), tensor('b', [1, 80, 9]), tensor('c', [1, 5, 3])],
    [tensor('out', [1, 3598, 32])], [tensor('out', [1, 5000, 6])]])
def test_what_fits_nothing(outputs: Any) -> None:
    with pytest.raises(DescriptorError, match='does not follow from their shapes'):
        complete(BARE, [FEED_416], outputs, {})


def test_gray_models_are_fed_gray() -> None:
    descriptor = inferred([tensor('output0', [1, 84, 8400])], tensor('in', [1, 1, 640, 640]))
    assert descriptor.output.decoder == 'yolo'
    assert descriptor.input.color == 'gray'
    assert len(descriptor.input.mean) == len(descriptor.input.std) == 1
