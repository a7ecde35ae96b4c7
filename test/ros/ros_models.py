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

"""Tiny models whose results are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ros2_classify.testing import save_color_classifier, save_constant_model

# In parts of the image: x1, y1, x2, y2; and the score of each.
BOXES = np.array([[0.25, 0.5, 0.75, 0.75], [0.0, 0.0, 0.5, 0.25]], np.float32)
SCORES = (0.9, 0.6)
NAMES = ('cup', 'ball')


def save_classifier(directory: Path) -> Path:
    """Write a model that tells the strongest colour: red, green or blue."""
    save_color_classifier(directory / 'colors.onnx')
    path = directory / 'colors.yaml'
    path.write_text(
        'name: colors\ntask: classification\nsource: {path: colors.onnx}\n'
        'labels: [red, green, blue]\n'
        'input: {color: rgb, scale: 1/255, resize: stretch}\n'
        'output: {decoder: classification, activation: none}\n'
        'defaults: {score_threshold: 0.2, top_k: 3}\n')
    return path


def save_bare(directory: Path) -> Path:
    """Write a classifier without a descriptor; nothing in it tells what pixels it takes."""
    import onnx
    from onnx import helper, TensorProto

    graph = helper.make_graph(
        [helper.make_node('ReduceMean', ['image'], ['means'], axes=[2, 3], keepdims=0),
         helper.make_node('Softmax', ['means'], ['probabilities'], axis=1)],
        'bare', [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info('probabilities', TensorProto.FLOAT, [1, 3])])
    onnx.save(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), directory / 'bare.onnx')
    return directory / 'bare.onnx'


def save_brightness(directory: Path, name: str = 'brightness') -> Path:
    """
    Write a detector whose numbers follow the image's brightness, from 0 to 1.

    The score is 2 below 0.3 and else 0.9. The box is inverted from 0.3 to 0.5, the class beyond
    the labels from 0.5 to 0.7; from 0.7 on, all is well, and the same.
    """
    import onnx
    from onnx import helper, numpy_helper, TensorProto

    # One row for each tenth of the brightness.
    table = np.array([(0.1, 0.1, 0.5, 0.5, 0.9, 0)] * 11, np.float32)
    table[:3, 4], table[3:5, :4], table[5:7, 5] = 2, (0.5, 0.5, 0.1, 0.1), 9
    graph = helper.make_graph(
        [helper.make_node('ReduceMean', ['image'], ['mean'], keepdims=0),
         helper.make_node('Mul', ['mean', 'ten'], ['tenths']),
         helper.make_node('Cast', ['tenths'], ['index'], to=TensorProto.INT64),
         helper.make_node('Gather', ['table', 'index'], ['row'], axis=0),
         helper.make_node('Reshape', ['row', 'shape'], ['rows'])],
        'brightness', [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info('rows', TensorProto.FLOAT, [1, 1, 6])],
        [numpy_helper.from_array(np.float32(10.001), 'ten'),
         numpy_helper.from_array(table, 'table'),
         numpy_helper.from_array(np.array([1, 1, 6]), 'shape')])
    onnx.save(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8),
        directory / f'{name}.onnx')
    path = directory / f'{name}.yaml'
    path.write_text(
        f'name: {name}\ntask: detection\nsource: {{path: {name}.onnx}}\nlabels: [cup, ball]\n'
        'input: {color: rgb, scale: 1/255, resize: stretch}\n'
        'output: {decoder: end_to_end, units: normalized}\n')
    return path


def save_batch_classifier(directory: Path) -> Path:
    """Write a model that tells the strongest colour of as many images as it gets at once."""
    import onnx
    from onnx import helper, TensorProto

    graph = helper.make_graph(
        [helper.make_node('ReduceMean', ['image'], ['scores'], axes=[2, 3], keepdims=0)],
        'colors', [helper.make_tensor_value_info('image', TensorProto.FLOAT, ['n', 3, 8, 8])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, ['n', 3])])
    onnx.save(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8),
        directory / 'batch.onnx')
    path = directory / 'batch.yaml'
    path.write_text(
        'name: batch\nsource: {path: batch.onnx}\nlabels: [red, green, blue]\n'
        'input: {color: rgb, scale: 1/255, resize: stretch}\n'
        'output: {decoder: classification, activation: none}\n')
    return path


def save_detector(directory: Path) -> Path:
    """Write a model that finds the same two boxes in every image."""
    scores = np.zeros((1, 2, 3), np.float32)
    scores[0, 0, 1], scores[0, 1, 2] = SCORES
    save_constant_model(directory / 'boxes.onnx', {'boxes': BOXES[None], 'scores': scores})
    path = directory / 'boxes.yaml'
    path.write_text(
        'name: boxes\ntask: detection\nsource: {path: boxes.onnx}\n'
        f'labels: {{1: {NAMES[0]}, 2: {NAMES[1]}}}\n'
        'input: {color: rgb, resize: stretch}\n'
        'output: {decoder: boxes_scores, outputs: {boxes: boxes, scores: scores}, '
        'box_format: xyxy, normalized: true, background: 0}\n'
        'defaults: {score_threshold: 0.5, nms_iou: 0.45}\n')
    return path


def save_sleeper(directory: Path, turns: int = 10**12) -> Path:
    """Write a classifier that goes round so often (or for ever) on an image with white in it."""
    import onnx
    from onnx import helper, numpy_helper, TensorProto

    def constant(name, value):
        return numpy_helper.from_array(np.asarray(value), name)

    body = helper.make_graph(
        [helper.make_node('Identity', ['go_in'], ['go_out']),
         helper.make_node('Sin', ['value_in'], ['value_out'])],
        'body',
        [helper.make_tensor_value_info('i', TensorProto.INT64, []),
         helper.make_tensor_value_info('go_in', TensorProto.BOOL, []),
         helper.make_tensor_value_info('value_in', TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info('go_out', TensorProto.BOOL, []),
         helper.make_tensor_value_info('value_out', TensorProto.FLOAT, [1, 3])])
    nodes = [
        helper.make_node('ReduceMax', ['image'], ['brightest'], keepdims=0),
        helper.make_node('Greater', ['brightest', 'limit'], ['white']),
        helper.make_node('Cast', ['white'], ['white_number'], to=TensorProto.INT64),
        helper.make_node('Mul', ['white_number', 'many'], ['turns']),
        helper.make_node('Loop', ['turns', 'yes', 'start'], ['scores'], body=body),
    ]
    graph = helper.make_graph(
        nodes, 'sleeper',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, 3])],
        initializer=[
            constant('limit', np.float32(254.0)), constant('many', np.int64(turns)),
            constant('yes', True), constant('start', np.full((1, 3), 0.9, np.float32))])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    (directory / 'sleeper.onnx').write_bytes(model.SerializeToString())
    path = directory / 'sleeper.yaml'
    path.write_text(
        'name: sleeper\ntask: classification\nsource: {path: sleeper.onnx}\n'
        'labels: [red, green, blue]\n'
        'input: {color: rgb, resize: stretch}\n'
        'output: {decoder: classification, activation: none}\n')
    return path


def save_faulty(directory: Path) -> Path:
    """Write a classifier that tells the strongest colour, and fails on an image with white."""
    import onnx
    from onnx import helper, numpy_helper, TensorProto

    nodes = [
        helper.make_node('ReduceMax', ['image'], ['brightest'], keepdims=0),
        helper.make_node('Greater', ['brightest', 'limit'], ['white']),
        helper.make_node('Cast', ['white'], ['number'], to=TensorProto.INT64),
        helper.make_node('Mul', ['number', 'far'], ['row']),
        helper.make_node('ReduceMean', ['image'], ['means'], axes=[2, 3], keepdims=0),
        # There is but one row: the index of a white image is out of bounds.
        helper.make_node('Gather', ['means', 'row'], ['first'], axis=0),
        helper.make_node('Unsqueeze', ['first', 'axis'], ['scores']),
    ]
    graph = helper.make_graph(
        nodes, 'faulty', [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, 3])],
        initializer=[
            numpy_helper.from_array(np.float32(0.999), 'limit'),
            numpy_helper.from_array(np.int64(1000), 'far'),
            numpy_helper.from_array(np.array([0]), 'axis')])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    (directory / 'faulty.onnx').write_bytes(model.SerializeToString())
    path = directory / 'faulty.yaml'
    path.write_text(
        'name: faulty\ntask: classification\nsource: {path: faulty.onnx}\n'
        'labels: [red, green, blue]\n'
        'input: {color: rgb, scale: 1/255, resize: stretch}\n'
        'output: {decoder: classification, activation: none}\n')
    return path


def save_masks(directory: Path) -> Path:
    """Write a detector whose two boxes have masks: the left half, and all of it."""
    masks = np.ones((1, 2, 1, 2), np.float32)
    masks[0, 0, 0, 1] = 0
    save_constant_model(directory / 'masks.onnx', {
        'detection_boxes': BOXES[None][..., [1, 0, 3, 2]],
        'detection_classes': np.array([[1, 2]], np.float32),
        'detection_scores': np.array([SCORES], np.float32),
        'num_detections': np.array([2], np.float32),
        'detection_masks': masks})
    path = directory / 'masks.yaml'
    path.write_text(
        'name: masks\nsource: {path: masks.onnx}\n'
        f'labels: {{1: {NAMES[0]}, 2: {NAMES[1]}}}\noutput: {{decoder: tf_detection}}\n')
    return path


def save_pose(directory: Path) -> Path:
    """Write a detector of two objects with two key points, 3 pixels to the right and the left."""
    rows = np.zeros((1, 11, 84), np.float32)
    for column, (x, score) in enumerate(((20, 0.9), (44, 0.8))):
        rows[0, :, column] = (x, 24, 10, 12, score, x + 3, 24, 0.9, x - 3, 24, 0.7)
    save_constant_model(directory / 'pose.onnx', {'output0': rows}, input_shape=(1, 3, 48, 64))
    path = directory / 'pose.yaml'
    path.write_text(
        'name: pose\nsource: {path: pose.onnx}\nlabels: [fish]\n'
        'output: {decoder: yolo, axes: channels_first, objectness: false, keypoints: [2, 3], '
        'keypoint_names: [head, tail], skeleton: [[0, 1]]}\n')
    return path


def save_segmenter(directory: Path, classes: int = 3) -> Path:
    """Write a model whose last class is the right half of every image, class 0 the rest."""
    scores = np.zeros((1, classes, 2, 4), np.float32)
    scores[0, -1, :, 2:] = 1
    save_constant_model(
        directory / 'halves.onnx', {'out': scores}, input_shape=(1, 3, 8, 16))
    names = ', '.join(['background', *(f'class {each}' for each in range(1, classes))])
    path = directory / 'halves.yaml'
    path.write_text(
        f'name: halves\nsource: {{path: halves.onnx}}\nlabels: [{names}]\n'
        'output: {decoder: segmentation, background: 0}\n')
    return path
