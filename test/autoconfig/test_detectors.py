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

"""What is inferred about detectors, from outputs as published models give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from published_outputs import (
    centers, corners, dense, falling, grid, ids, RANDOM, raw_yolox, softmaxed, stack)
import pytest
from ros2_classify.autoconfig.complete import complete
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.source import Source
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Detections
from ros2_classify.testing import FakeEngine, save_constant_model, tensor

BARE = ModelDescriptor(name='net', source=Source('/m/net.onnx'), origin='/m/net.onnx')
NAMES = str({index: f'c{index}' for index in range(80)})
ULTRALYTICS = {'author': 'Ultralytics', 'names': NAMES, 'stride': '32'}
COLUMNS = {'axes': 'channels_first', 'objectness': False}
ROWS = {'axes': 'channels_last', 'objectness': True}
SIZE = 128
CELLS = len(grid(SIZE))


def infer(
    outputs: dict[str, Any], size: int = SIZE, layout: str = 'nchw', dtype: Any = np.float32,
    **metadata: str,
) -> ModelDescriptor:
    """Return the completed descriptor of a bare model with these outputs."""
    shape = [1, 3, size, size] if layout == 'nchw' else [1, size, size, 3]
    specs = [tensor(name, list(array.shape), array.dtype) for name, array in outputs.items()]
    engine = FakeEngine([tensor('images', shape, dtype)], specs, outputs, metadata=metadata)
    return complete(BARE, engine)


def refusal(outputs: dict[str, Any], **more: Any) -> str:
    with pytest.raises(DescriptorError) as caught:
        infer(outputs, **more)
    return str(caught.value)


def transposed(rows: Any) -> Any:
    return np.ascontiguousarray(rows.transpose(0, 2, 1))


@pytest.mark.parametrize('metadata', [{}, ULTRALYTICS, {'names': NAMES}])
def test_columns_of_cells_are_yolov8(metadata: dict[str, str]) -> None:
    found = infer({'output0': transposed(dense(SIZE, 80))}, **metadata)
    assert (found.task, found.output.decoder) == ('detection', 'yolo')
    assert found.output.options == {'output': 'output0', **COLUMNS}
    assert (found.input.resize, found.input.pad_value) == ('letterbox', 114)
    # Only the exporter's own words settle how the model is fed.
    assert bool(found.unverified) == (metadata is not ULTRALYTICS)


@pytest.mark.parametrize('classes', [1, 2, 20, 80])
def test_rows_of_anchors_are_yolov5(classes: int) -> None:
    found = infer({'output': dense(SIZE, classes, objectness=0.2, anchors=3)})
    assert found.output.options == {'output': 'output', **ROWS}


@pytest.mark.parametrize('classes', [1, 3, 80])
def test_offsets_to_cells_are_yolox_and_boxes_are_not(classes: int) -> None:
    found = infer({'output': raw_yolox(SIZE, classes)})
    assert found.output.decoder == 'yolox'
    assert (found.input.color, found.input.anchor) == ('bgr', 'top_left')
    assert 'input.mean' in found.unverified
    found = infer({'output': dense(SIZE, 80, objectness=0.2)})
    assert (found.output.decoder, found.output.options['objectness']) == ('yolo', True)


def test_names_never_change_what_boxes_mean() -> None:
    """Eighty names beside a raw YOLOX must not make it a decoded one."""
    found = infer({'output': raw_yolox(SIZE, 80)}, names=NAMES)
    assert found.output.decoder == 'yolox'


def test_an_objectness_of_one_is_yolov6() -> None:
    found = infer({'outputs': dense(SIZE, 3, objectness=1)})
    assert found.output.options == {'output': 'outputs', **ROWS}
    assert found.input.scale == 1 / 255


def test_rows_that_may_hold_an_objectness_are_asked() -> None:
    text = refusal({'output': dense(SIZE, 7)})
    assert 'objectness: true' in text and 'objectness: false' in text
    names = str([f'c{index}' for index in range(7)])
    assert infer({'output': dense(SIZE, 7)}, names=names).output.options['objectness'] is False


def test_prototypes_beside_tell_mask_coefficients() -> None:
    rows = dense(SIZE, 80)
    masks = np.concatenate([rows, RANDOM.normal(0, 1, (1, CELLS, 32))], axis=2).astype('f4')
    prototypes = RANDOM.normal(0, 1, (1, 32, 32, 32)).astype('f4')
    found = infer({'output0': transposed(masks), 'output1': prototypes})
    assert found.output.options == {
        'output': 'output0', **COLUMNS, 'classes': 80, 'prototypes': 'output1'}
    # The same numbers without prototypes are no scores of 112 classes.
    assert 'scores would be' in refusal({'output0': transposed(masks)})


@pytest.mark.parametrize('numbers', [2, 3])
def test_key_points_are_no_classes(numbers: int) -> None:
    points = np.tile(RANDOM.uniform(0, SIZE, (CELLS, numbers)), (1, 17))
    rows = np.concatenate([dense(SIZE, 1)[0], points], axis=1).astype('f4')[None]
    found = infer({'output0': transposed(rows)})
    assert found.output.options == {
        'output': 'output0', **COLUMNS, 'classes': 1, 'keypoints': (17, numbers),
        'keypoint_names': 'coco'}


@pytest.mark.parametrize(('names', 'more', 'expected'), [
    ("['person']", {}, 'coco'), ("['dog']", {}, None),
    ("['dog']", {'kpt_names': str({0: [f'p{at}' for at in range(17)]})},
     tuple(f'p{at}' for at in range(17)))])
def test_names_of_key_points_are_those_of_the_class(
    names: str, more: dict[str, str], expected: Any,
) -> None:
    """A dog may have 17 points as well, but not those of a person."""
    rows = np.concatenate(
        [dense(SIZE, 1)[0], RANDOM.uniform(0, SIZE, (CELLS, 51))], axis=1).astype('f4')[None]
    found = infer({'output0': transposed(rows)}, **{
        **ULTRALYTICS, 'task': 'pose', 'names': names, 'kpt_shape': '(17, 3)', **more})
    assert found.output.options['keypoints'] == (17, 3)
    assert found.output.options.get('keypoint_names') == expected


def test_an_angle_is_no_class() -> None:
    rows = np.concatenate([dense(SIZE, 4)[0], RANDOM.uniform(-0.7, 2.3, (CELLS, 1))], axis=1)
    for metadata in ({}, {**ULTRALYTICS, 'task': 'obb', 'names': "['a', 'b', 'c', 'd']"}):
        found = infer({'output0': transposed(rows.astype('f4')[None])}, **metadata)
        assert found.output.options == {
            'output': 'output0', **COLUMNS, 'classes': 4, 'angle': True}


COUNT = 100
SCORES, IDS = falling(COUNT), ids(COUNT)
PIXELS, UNIT = corners(COUNT, SIZE), corners(COUNT, 1)


@pytest.mark.parametrize('rows, options', [
    (stack(PIXELS, SCORES, IDS), {}),
    (stack(UNIT, SCORES, IDS), {'units': 'normalized'}),
    (stack(centers(COUNT, 1), SCORES, IDS), {'units': 'normalized', 'box_format': 'cxcywh'}),
    (stack(PIXELS, IDS, SCORES), {'columns': ('box', 'class', 'score')}),
    (stack(np.zeros((COUNT, 1)), PIXELS, IDS, SCORES), {}),
    (stack(PIXELS, SCORES, IDS, RANDOM.normal(0, 1, (COUNT, 32))), None)])
def test_numbers_tell_what_the_columns_of_final_rows_are(rows: Any, options: Any) -> None:
    found = infer({'out': rows})
    assert found.output.decoder == 'end_to_end'
    if options is not None:
        assert found.output.options == {'outputs': {'rows': 'out'}, **options}
    else:
        assert found.output.options['columns'] == ('box', 'score', 'class', 'rest')


def test_batch_box_score_and_class_are_of_two_families() -> None:
    """Y is first in EfficientDet of TensorFlow, x in YOLO-NAS of PyTorch; numbers don't tell."""
    seven = {'columns': ('batch', 'box', 'score', 'class')}
    rows = stack(np.zeros((COUNT, 1)), PIXELS[:, [1, 0, 3, 2]], SCORES, IDS)
    found = infer({'detections': rows}, layout='nhwc')
    assert found.output.options == {
        'outputs': {'rows': 'detections'}, **seven, 'box_format': 'yxyx'}
    assert 'input.resize' in found.unverified
    rows = stack(np.zeros((COUNT, 1)), PIXELS, SCORES, IDS)
    assert 'yxyx' in refusal({'out': rows}) and 'which of 2' in refusal({'out': rows})
    found = infer({'graph2_flat_predictions': rows})
    assert found.output.options == {'outputs': {'rows': 'graph2_flat_predictions'}, **seven}


@pytest.mark.parametrize('rows, asked', [
    (stack(PIXELS, SCORES, IDS)[0, :1], 'columns: [box, class, score]'),
    (stack(PIXELS, SCORES, IDS)[0, :3], ''), (stack(PIXELS, SCORES, IDS)[0, :0], 'readings'),
    (stack(np.zeros((COUNT, 1)), PIXELS, IDS, SCORES)[0, :1], ''),
    (stack(np.zeros((COUNT, 1)), PIXELS, IDS, SCORES)[0, :0], 'readings')])
def test_rows_for_what_was_found_are_no_classes(rows: Any, asked: str) -> None:
    """One image, any number of rows: a row of six or seven numbers is no classifier."""
    engine = FakeEngine([tensor('images', [1, 3, SIZE, SIZE])],
                        [tensor('out', ['n', rows.shape[1]])], {'out': rows})
    try:
        found = complete(BARE, engine)
    except DescriptorError as error:
        assert asked and 'classification' not in str(error).partition('with one of')[0]
        return
    assert found.output.decoder == 'end_to_end'


def test_filler_says_nothing() -> None:
    """Boxes that are the same for all cells, or zero, don't contradict a reading."""
    rows = dense(SIZE, 3)
    rows[0, 1:, :4] = 60
    assert infer({'out': transposed(rows)}).output.options == {'output': 'out', **COLUMNS}
    boxes = np.zeros((1, 100, 4), np.float32)
    boxes[0, 0] = (0.3, 0.4, 0.2, 0.2)
    logits = np.zeros((1, 100, 92), np.float32)
    logits[0, 1:, -1] = 10
    logits[0, 0, 18] = 9
    found = infer({'pred_boxes': boxes, 'logits': logits})
    assert (found.output.decoder, found.output.options['activation']) == ('detr', 'softmax')


def test_an_angle_beside_the_only_score() -> None:
    rows = np.zeros((1, CELLS, 4 + 15 + 1), np.float32)
    rows[0, 7] = [*dense(SIZE, 1)[0, 7, :4], *np.eye(15)[3] * 0.9, 0.3]
    assert 'angle: true' in refusal({'output0': transposed(rows)})
    # The last class alone is no angle.
    rows[0, 7, 4:] = np.eye(16)[15] * 0.9
    assert infer({'output0': transposed(rows)}).output.decoder == 'yolo'


def test_each_score_is_a_probability_and_not_only_the_product() -> None:
    """Distributions of NanoDet times a small first class score would pass for YOLOX."""
    count = len(grid(SIZE, (8, 16, 32, 64)))
    # Each side is rather one cell long than seven.
    sides = RANDOM.normal(0, 1, (count, 32)) - np.tile(np.arange(8), 4)
    rows = np.concatenate(
        [RANDOM.uniform(0, 0.02, (count, 80)), sides], axis=1).astype('f4')[None]
    assert infer({'output': rows}).output.decoder == 'nanodet'


@pytest.mark.parametrize('names', [('dets', 'labels'), ('boxes', 'scores')])
def test_four_classes_beside_boxes(names: tuple[str, str]) -> None:
    logits = RANDOM.normal(-8, 1, (1, 300, 4)).astype('f4')
    boxes = centers(300, 1)[None].astype('f4')
    found = infer(dict(zip(names, (boxes, logits))))
    assert found.output.decoder == 'detr'
    assert found.output.options['outputs'] == dict(zip(('boxes', 'logits'), names))


@pytest.mark.parametrize('metadata', [{}, {**ULTRALYTICS, 'task': 'segment', 'end2end': 'True'}])
def test_prototypes_may_be_the_first_output(metadata: dict[str, str]) -> None:
    rows = stack(PIXELS, SCORES, IDS, RANDOM.normal(0, 1, (COUNT, 32)))
    prototypes = RANDOM.normal(0, 1, (1, 32, 32, 32)).astype('f4')
    found = infer({'output1': prototypes, 'output0': rows}, **metadata)
    assert found.output.decoder == 'end_to_end'
    assert found.output.options['outputs'] == {'rows': 'output0', 'prototypes': 'output1'}
    assert found.output.options['columns'][-1] == 'coefficients'


def test_masks_beside_queries_are_named() -> None:
    """As in RF-DETR with masks."""
    logits = RANDOM.normal(-8, 1, (1, 300, 91)).astype('f4')
    found = infer({'dets': centers(300, 1)[None].astype('f4'), 'labels': logits,
                   'masks': RANDOM.normal(0, 1, (1, 300, 32, 32)).astype('f4')})
    assert found.output.decoder == 'detr'
    assert found.output.options['outputs']['masks'] == 'masks'


def test_heads_that_are_not_read_are_named() -> None:
    head = RANDOM.normal(0, 1, (1, 2, SIZE, SIZE)).astype('f4')
    found = infer({'det_out': dense(SIZE, 1, objectness=0.2, anchors=3), 'lanes': head})
    assert found.output.decoder == 'yolo'
    assert any("'lanes' not" in sentence for sentence in found.inferred)


def test_three_outputs_with_numbers_for_names() -> None:
    outputs = {'2030': IDS[:, 0].astype(np.int64)[None], '2033': PIXELS[None],
               '2031': SCORES[:, 0][None]}
    found = infer(outputs)
    assert found.output.options['outputs'] == {
        'boxes': '2033', 'scores': '2031', 'classes': '2030'}
    # Two kinds of scores are not classes.
    outputs['2030'] = outputs['2030'].astype('f4')
    refusal(outputs)


def test_centers_without_key_points_are_not_centerface() -> None:
    maps = {'hm': RANDOM.uniform(0, 0.3, (1, 1, 32, 32)),
            'wh': RANDOM.normal(0, 1, (1, 2, 32, 32)),
            'reg': RANDOM.uniform(0, 1, (1, 2, 32, 32))}
    refusal({name: array.astype('f4') for name, array in maps.items()})
    maps['landmarks'] = RANDOM.normal(0, 1, (1, 10, 32, 32))
    found = infer({name: array.astype('f4') for name, array in maps.items()})
    assert found.output.decoder == 'centerface'


def test_a_column_with_fractions_is_no_class() -> None:
    """Of one class, ids are 0: read as scores they would say nothing, so the other column must."""
    found = infer({'out': stack(PIXELS, SCORES, np.zeros((COUNT, 1)))})
    assert found.output.options == {'outputs': {'rows': 'out'}}


def test_rows_of_zeros_are_asked() -> None:
    text = refusal({'out': np.zeros((1, COUNT, 6), np.float32)})
    assert 'which of 5 readings' in text and 'cxcywh' in text


@pytest.mark.parametrize('task, extra', [('detect', 0), ('segment', 32), ('pose', 51), ('obb', 1)])
def test_final_rows_of_ultralytics_are_told_by_metadata(task: str, extra: int) -> None:
    rows = np.zeros((1, 300, 6 + extra), np.float32)
    found = infer({'output0': rows}, **{**ULTRALYTICS, 'task': task, 'end2end': 'True',
                                        'kpt_shape': '[17, 3]'})
    assert found.output.decoder == 'end_to_end'
    assert found.unverified == ()
    columns = found.output.options.get('columns', ['class'])
    # Without an output of prototypes, coefficients mean nothing.
    assert columns[-1] == {'detect': 'class', 'segment': 'rest', 'pose': 'keypoints',
                           'obb': 'angle'}[task]


@pytest.mark.parametrize('classes', [1, 2, 3, 80])
@pytest.mark.parametrize('size', [640, 320, 64])
def test_final_rows_of_few_classes(classes: int, size: int) -> None:
    """Six numbers are four and two classes as well, or five and one."""
    names = str([f'c{index}' for index in range(classes)])
    found = infer({'output0': np.zeros((1, 300, 6), np.float32)}, size, names=names,
                  author='Ultralytics')
    assert found.output.decoder == 'end_to_end'


def test_the_head_of_rtdetr_is_told_by_metadata() -> None:
    metadata = {**ULTRALYTICS, 'task': 'detect', 'head': 'RTDETRDecoder'}
    found = infer({'output0': np.zeros((1, 300, 6), np.float32)}, **metadata)
    assert found.output.options['box_format'] == 'cxcywh'
    assert found.input.resize == 'stretch'
    found = infer({'output0': np.zeros((1, 300, 84), np.float32)}, **metadata)
    assert found.output.options == {
        'output': 'output0', 'axes': 'channels_last', 'objectness': False, 'normalized': True}


@pytest.mark.parametrize(('outputs', 'resize', 'roles'), [
    ({'boxes': PIXELS, 'labels': IDS[:, 0].astype(np.int64), 'scores': SCORES[:, 0]},
     'stretch', {'boxes': 'boxes', 'classes': 'labels', 'scores': 'scores'}),
    ({'labels': IDS.T.astype(np.int64), 'boxes': PIXELS[None], 'scores': SCORES.T}, 'stretch',
     {'boxes': 'boxes', 'classes': 'labels', 'scores': 'scores'}),
    ({'num_dets': np.array([[COUNT]], np.int32), 'det_boxes': PIXELS[None],
      'det_scores': SCORES.T, 'det_classes': IDS.T.astype(np.int32)}, 'letterbox',
     {'boxes': 'det_boxes', 'classes': 'det_classes', 'scores': 'det_scores',
      'count': 'num_dets'})])
def test_final_tensors(outputs: Any, resize: str, roles: Any) -> None:
    found = infer(outputs)
    assert found.output.decoder == 'end_to_end'
    assert found.output.options == {'outputs': roles}
    assert found.input.resize == resize


def test_final_boxes_from_0_to_1() -> None:
    found = infer({'labels': IDS.T.astype(np.int64), 'boxes': UNIT[None], 'scores': SCORES.T})
    assert found.output.options['units'] == 'normalized'


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


def logits(last: float, others: float, classes: int, queries: int) -> Any:
    values = np.full((1, queries, classes), others, np.float32)
    values[..., -1] = last
    return values + RANDOM.normal(0, 0.1, values.shape).astype('f4')


@pytest.mark.parametrize(('values', 'activation'), [
    (logits(5, -3, 92, 100), 'softmax'), (logits(-5, -4, 80, 300), 'sigmoid'),
    (logits(5, -3, 12, 50), 'softmax'), (logits(-5, -4, 12, 50), 'sigmoid')])
def test_detr(values: Any, activation: str) -> None:
    boxes = centers(values.shape[1], 1)[None]
    for names in (('logits', 'pred_boxes'), ('labels', 'dets')):
        found = infer({names[0]: values, names[1]: boxes})
        assert found.output.decoder == 'detr'
        assert found.output.options == {
            'outputs': {'logits': names[0], 'boxes': names[1]}, 'activation': activation}


@pytest.mark.parametrize('outputs, options', [
    # UltraFace, one class and the background; a face detector with a sigmoid; YOLO-NAS.
    ({'boxes': corners(200, 1)[None], 'scores': softmaxed(200, 2, 0)},
     {'box_format': 'xyxy', 'normalized': True, 'background': 0}),
    ({'boxes': corners(200, 1)[None], 'scores': softmaxed(200, 4, 3)},
     {'box_format': 'xyxy', 'normalized': True, 'background': 3}),
    ({'a': corners(200, 1)[None], 'b': RANDOM.uniform(0.01, 0.3, (1, 200, 1)).astype('f4')},
     {'box_format': 'xyxy', 'normalized': True, 'background': False}),
    ({'913': corners(200, SIZE)[None], '904': RANDOM.uniform(0.01, 0.3, (1, 200, 80)).astype(
        'f4')}, {'box_format': 'xyxy', 'normalized': False, 'background': False}),
    ({'a': centers(200, 1)[None], 'b': RANDOM.uniform(0.01, 0.3, (1, 200, 5)).astype('f4')},
     {'box_format': 'cxcywh', 'normalized': True, 'background': False})])
def test_boxes_and_scores(outputs: Any, options: Any) -> None:
    found = infer(outputs)
    assert found.output.decoder == 'boxes_scores'
    assert {key: value for key, value in found.output.options.items()
            if key != 'outputs'} == options


def test_offsets_to_priors_are_asked() -> None:
    offsets = RANDOM.normal(0, 1, (1, 200, 4)).astype('f4')
    text = refusal({'boxes': offsets, 'scores': softmaxed(200, 2, 0)})
    assert 'priors that are not in the file' in text and 'priors: FILE' in text
    # The rows of UltraFace for 320x240, of RetinaFace for 640x640 and of BlazeFace for 128x128.
    for size, rows, outputs, name in (
            ((320, 240), 4420, {'boxes': 4, 'scores': 2}, 'ultraface'),
            ((640, 640), 16800, {'loc': 4, 'conf': 2, 'landms': 10}, 'retinaface'),
            ((128, 128), 896, {'regressors': 16, 'classificators': 1}, 'blazeface')):
        arrays = {key: RANDOM.normal(0, 1, (1, rows, width)).astype('f4') if width != 2
                  else softmaxed(rows, 2, 0) for key, width in outputs.items()}
        specs = [tensor(key, array.shape) for key, array in arrays.items()]
        engine = FakeEngine([tensor('in', [1, 3, size[1], size[0]])], specs, arrays)
        with pytest.raises(DescriptorError, match=f'decoder: ssd, priors: {name}, outputs'):
            complete(BARE, engine)


def test_raw_maps_are_asked() -> None:
    maps = {f'out{side}': RANDOM.normal(0, 1, (1, 255, side, side)).astype('f4')
            for side in (16, 8, 4)}
    text = refusal(maps)
    assert 'anchors that are not in the file' in text and 'anchors: yolov5' in text
    maps = {f'out{side}': RANDOM.normal(0, 1, (1, 3, side, side, 85)).astype('f4')
            for side in (16, 8, 4)}
    assert 'anchors that are not in the file' in refusal(maps)
    maps = {f'{side}{channels}': RANDOM.normal(0, 1, (1, channels, side, side)).astype('f4')
            for side in (8, 4) for channels in (12, 3, 80)}
    assert 'decoder: yolo_fastestv2, anchors: coco' in refusal(maps)


@pytest.mark.parametrize('points', [True, False])
def test_scrfd(points: bool) -> None:
    outputs = {}
    for width in (1, 4, 10) if points else (1, 4):
        for stride in (8, 16, 32):
            rows = 2 * (SIZE // stride) ** 2
            outputs[f'{width}_{stride}'] = RANDOM.uniform(
                0.001, 0.2 if width == 1 else 2, (rows, width)).astype('f4')
    found = infer(outputs)
    assert (found.output.decoder, found.output.options) == ('scrfd', {})
    assert 'input.mean' in found.unverified


def test_centerface() -> None:
    outputs = {str(index): RANDOM.uniform(0.001, 0.2, (1, channels, 32, 32)).astype('f4')
               for index, channels in enumerate((1, 2, 2, 10))}
    assert infer(outputs).output.decoder == 'centerface'


def test_fastestdet() -> None:
    table = RANDOM.uniform(0, 0.2, (1, 85, 8, 8))
    table[:, 5:] /= table[:, 5:].sum(axis=1, keepdims=True)
    table[:, 3:5] -= 3  # boxes of a twentieth of the image
    found = infer({'out': table.astype('f4')})
    assert (found.output.decoder, found.output.options) == ('fastestdet', {'output': 'out'})
    assert 'anchors that are not in the file' in refusal(
        {'out': RANDOM.normal(0, 1, (1, 255, 8, 8)).astype('f4')})


@pytest.mark.parametrize('dtype', [np.float32, np.uint8])
def test_a_tensorflow_detector(dtype: Any) -> None:
    outputs = {'detection_boxes:0': UNIT[None], 'detection_scores:0': SCORES.T,
               'detection_classes:0': IDS.T + 1, 'num_detections:0': np.array([5], np.float32)}
    found = infer(outputs, layout='nhwc', dtype=dtype)
    assert found.output.decoder == 'tf_detection'
    assert found.output.options['outputs']['count'] == 'num_detections:0'
    assert bool(found.unverified) == (dtype is np.float32)


def test_a_tflite_detector() -> None:
    name = 'TFLite_Detection_PostProcess'
    found = infer({
        name: UNIT[None, :10], f'{name}:1': IDS.T[:, :10], f'{name}:2': SCORES.T[:, :10],
        f'{name}:3': np.array([10], np.float32)}, layout='nhwc', dtype=np.uint8)
    assert found.output.options['outputs'] == {
        'boxes': name, 'classes': f'{name}:1', 'scores': f'{name}:2', 'count': f'{name}:3'}


def test_selected_indices() -> None:
    found = infer({'a': corners(50, SIZE)[None], 'b': RANDOM.uniform(0, 0.3, (1, 80, 50)).astype(
        'f4'), 'c': np.zeros((1, 3, 3), np.int32)})
    assert found.output.decoder == 'selected_indices'
    assert found.output.options['outputs'] == {'boxes': 'a', 'scores': 'b', 'indices': 'c'}
    assert found.input.pad_value == 128


@pytest.mark.parametrize('metadata', [{}, {'names': NAMES}])
def test_nanodet_plus(metadata: dict[str, str]) -> None:
    rows = np.concatenate([RANDOM.uniform(0.001, 0.1, (1, 3598, 80)),
                           RANDOM.normal(0, 1, (1, 3598, 32))], axis=2).astype('f4')
    found = infer({'output': rows}, 416, **metadata)
    assert found.output.decoder == 'nanodet'
    assert found.output.options == {'strides': (8, 16, 32, 64)}
    assert found.input.mean == (103.53, 116.28, 123.675)


@pytest.mark.parametrize('classes', [80, 3])
def test_nanodet_of_several_outputs(classes: int) -> None:
    """The outputs of the model in OpenCV's model zoo, which say nothing by their names."""
    outputs = {str(index): RANDOM.uniform(0.001, 0.1, (1, rows, columns)).astype('f4')
               for index, (columns, rows) in enumerate(
                   (columns, rows) for columns in (classes, 32) for rows in (2704, 676, 169))}
    found = infer(outputs, 416)
    assert found.output.decoder == 'nanodet'
    assert found.output.options == {'strides': (8, 16, 32)}


def yunet(roles: tuple[str, ...] = ('cls', 'obj', 'bbox', 'kps')) -> dict[str, Any]:
    width = {'cls': 1, 'obj': 1, 'bbox': 4, 'kps': 10}
    return {f'{role}_{stride}': np.zeros((1, (SIZE // stride) ** 2, width[role]), np.float32)
            for role in roles for stride in (8, 16, 32)}


def test_yunet() -> None:
    found = infer(yunet())
    assert (found.output.decoder, found.output.options) == ('yunet', {})
    assert (found.input.color, found.input.anchor) == ('bgr', 'top_left')
    assert 'does not follow' in refusal(yunet(('cls', 'obj')))


@pytest.mark.parametrize('outputs', [
    {'boxes': np.zeros((1, 9, 5), 'f4'), 'labels': np.zeros((1, 9), 'f4')},
    {'out': np.zeros((1, 200, 85), 'f4')}, {'out': np.zeros((1, 8400, 84, 1), 'f4')},
    {'a': np.zeros((1, 9, 4), 'f4'), 'b': np.zeros((1, 8, 2), 'f4')},
    {'a': np.zeros((1, 9, 4), 'f4'), 'b': np.zeros((1, 9, 4), 'f4')}, {}])
def test_what_fits_nothing_is_shown(outputs: Any) -> None:
    text = refusal(outputs)
    assert text.startswith('/m/net.onnx: what the outputs mean does not follow from them: ')
    assert all(f"'{name}' float32" in text for name in outputs)
    assert 'docs/decoders.md' in text


def test_gray_models_are_fed_gray() -> None:
    rows = transposed(dense(SIZE, 80))
    engine = FakeEngine([tensor('in', [1, 1, SIZE, SIZE])], [tensor('output0', rows.shape)],
                        {'output0': rows})
    found = complete(BARE, engine)
    assert found.output.decoder == 'yolo'
    assert found.input.color == 'gray'
    assert len(found.input.mean) == len(found.input.std) == 1
