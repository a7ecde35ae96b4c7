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
D-FINE, as its exporter writes it, against a decoder in plain NumPy.

https://github.com/Peterande/D-FINE: inputs ``images`` and ``orig_target_sizes`` (width, height),
outputs ``labels``, ``boxes`` and ``scores``; exports of the model alone have ``logits`` and
``pred_boxes``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import checker, helper, numpy_helper, save, TensorProto
import pytest

from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Detections

SIDE, QUERIES, CLASSES = 64, 300, 80
RANDOM = np.random.default_rng(12)
# Most queries see nothing; three of them follow the mean of red, green and blue.
LOGITS = RANDOM.normal(-6.0, 0.8, (QUERIES, CLASSES)).astype(np.float32)
GAIN = np.zeros((3, QUERIES, CLASSES), np.float32)
GAIN[0, 7, 16], GAIN[1, 120, 2], GAIN[2, 299, 79] = 9.0, 12.0, 14.0
BOXES = np.concatenate([RANDOM.uniform(0.3, 0.7, (QUERIES, 2)), RANDOM.uniform(
    0.05, 0.5, (QUERIES, 2))], axis=1).astype(np.float32)
IMAGE = np.full((48, 96, 3), (200, 150, 100), np.uint8)


def save_model(path: Path, *, post_processed: bool) -> Path:
    """Write logits that follow the image's mean color, with the exporter's last steps or not."""
    nodes = [
        helper.make_node('GlobalAveragePool', ['images'], ['pooled']),
        helper.make_node('Flatten', ['pooled'], ['mean']),
        helper.make_node('MatMul', ['mean', 'gain'], ['raised']),
        helper.make_node('Add', ['raised', 'base'], ['flat_logits'])]
    constants = {'gain': GAIN.reshape(3, -1), 'base': LOGITS.reshape(1, -1),
                 'all_boxes': BOXES[None]}
    inputs: list[tuple[str, int, list[Any]]] = [('images', TensorProto.FLOAT, [1, 3, SIDE, SIDE])]
    if post_processed:
        constants.update({
            'k': np.array([QUERIES]), 'classes': np.array(CLASSES), 'half': np.array(
                [[0.5, 0.0], [0.0, 0.5]], np.float32), 'one': np.array([1]), 'sizes_at': np.array(
                [0, 1, 0, 1]), 'first': np.array([0, 1]), 'last': np.array([2, 3])})
        inputs.append(('orig_target_sizes', TensorProto.INT64, [1, 2]))
        nodes += [
            helper.make_node('Sigmoid', ['flat_logits'], ['probabilities']),
            helper.make_node('TopK', ['probabilities', 'k'], ['scores', 'index'], axis=1),
            helper.make_node('Mod', ['index', 'classes'], ['labels']),
            helper.make_node('Div', ['index', 'classes'], ['query']),
            helper.make_node('Squeeze', ['query'], ['rows']),
            helper.make_node('Gather', ['all_boxes', 'rows'], ['chosen'], axis=1),
            helper.make_node('Gather', ['chosen', 'first'], ['center'], axis=2),
            helper.make_node('Gather', ['chosen', 'last'], ['sides'], axis=2),
            helper.make_node('MatMul', ['sides', 'half'], ['reach']),
            helper.make_node('Sub', ['center', 'reach'], ['from']),
            helper.make_node('Add', ['center', 'reach'], ['to']),
            helper.make_node('Concat', ['from', 'to'], ['corners'], axis=2),
            helper.make_node('Gather', ['orig_target_sizes', 'sizes_at'], ['whole'], axis=1),
            helper.make_node('Cast', ['whole'], ['sizes'], to=TensorProto.FLOAT),
            helper.make_node('Mul', ['corners', 'sizes'], ['boxes'])]
        outputs = [('labels', TensorProto.INT64, [1, QUERIES]),
                   ('boxes', TensorProto.FLOAT, [1, QUERIES, 4]),
                   ('scores', TensorProto.FLOAT, [1, QUERIES])]
    else:
        constants['shape'] = np.array([1, QUERIES, CLASSES])
        nodes += [helper.make_node('Reshape', ['flat_logits', 'shape'], ['logits']),
                  helper.make_node('Identity', ['all_boxes'], ['pred_boxes'])]
        outputs = [('logits', TensorProto.FLOAT, [1, QUERIES, CLASSES]),
                   ('pred_boxes', TensorProto.FLOAT, [1, QUERIES, 4])]
    graph = helper.make_graph(
        nodes, 'dfine', [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 16)], ir_version=8)
    checker.check_model(model)
    save(model, path)
    return path


def reference(image: NDArray[np.uint8], threshold: float) -> list[tuple[int, float, Any]]:
    """Return class, score and corners in the image of all above a threshold, best first."""
    height, width = image.shape[:2]
    mean = image.reshape(-1, 3).mean(0) / 255
    scores = 1 / (1 + np.exp(-(LOGITS + np.tensordot(mean, GAIN, 1))))
    found = []
    for query, class_id in zip(*np.nonzero(scores >= threshold)):
        x, y, w, h = BOXES[query]
        corners = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * [
            width, height, width, height]
        found.append((int(class_id), float(scores[query, class_id]),
                      np.clip(corners, 0, [width, height, width, height])))
    return sorted(found, key=lambda each: -each[1])


@pytest.mark.parametrize('post_processed, decoder', [(True, 'end_to_end'), (False, 'detr')])
def test_the_bare_file_gives_the_boxes_of_the_reference(
    tmp_path: Path, post_processed: bool, decoder: str,
) -> None:
    path = save_model(tmp_path / 'dfine.onnx', post_processed=post_processed)
    with Pipeline.load(path, provider='cpu') as pipeline:
        descriptor = pipeline.descriptor
        found = pipeline(IMAGE, options=pipeline.options.replace(score_threshold=0.4))
    assert isinstance(found, Detections)
    assert descriptor.output.decoder == decoder
    assert descriptor.input.resize == 'stretch' and 'input.mean' in descriptor.unverified
    expected = reference(IMAGE, 0.4)
    assert len(expected) == 3
    assert found.class_ids.tolist() == [each[0] for each in expected]
    np.testing.assert_allclose(found.scores, [each[1] for each in expected], atol=1e-4)
    np.testing.assert_allclose(found.boxes, [each[2] for each in expected], atol=1e-2)


def test_sizes_of_the_source_image_may_be_declared(tmp_path: Path) -> None:
    path = save_model(tmp_path / 'dfine.onnx', post_processed=True)
    (tmp_path / 'dfine.yaml').write_text(
        'source: {path: dfine.onnx}\n'
        'input: {scale: 1/255, extra: {orig_target_sizes: source_size_wh}}\n'
        'output: {decoder: end_to_end, units: source}\n')
    assert path.is_file()
    with Pipeline.load(tmp_path / 'dfine.yaml', provider='cpu') as pipeline:
        found = pipeline(IMAGE, options=pipeline.options.replace(score_threshold=0.4))
    expected = reference(IMAGE, 0.4)
    assert isinstance(found, Detections) and len(found) == 3
    np.testing.assert_allclose(found.boxes, [each[2] for each in expected], atol=1e-2)
