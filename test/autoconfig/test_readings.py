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

"""Readings of bare files that the numbers cannot tell apart: not verified, or asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper, numpy_helper, save, TensorProto
from published_outputs import centers, corners, dense, falling, ids, RANDOM, stack
import pytest
from ros2_classify.autoconfig.complete import complete
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.testing import FakeEngine, tensor
from test_detectors import BARE, infer, refusal, SIZE, transposed

COUNT = 100
SCORES, IDS, PIXELS = falling(COUNT), ids(COUNT), corners(COUNT, SIZE)
SIDES = np.concatenate([PIXELS[:, :2], PIXELS[:, 2:] - PIXELS[:, :2]], axis=1)
PROBABILITIES = RANDOM.uniform(0.001, 0.1, (1, COUNT, 7)).astype('f4')
ORDER = 'output.box_format'


def heads(
    path: Path, outputs: dict[str, tuple[list[int], str]], labels: list[str] | None = None,
) -> ModelDescriptor:
    """Return the descriptor of a bare model with outputs that end in these operators."""
    nodes = [helper.make_node('ReduceMean', ['images'], ['mean'], keepdims=0)]
    constants = []
    for name, (shape, end) in outputs.items():
        constants.append(numpy_helper.from_array(
            RANDOM.normal(0, 2, shape).astype(np.float32), f'{name}_base'))
        nodes += [helper.make_node('Add', ['mean', f'{name}_base'], [f'{name}_linear']),
                  helper.make_node(end or 'Identity', [f'{name}_linear'], [name])]
    graph = helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info('images', TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
         for name, (shape, _) in outputs.items()], constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), path)
    if labels:
        path.with_suffix('.txt').write_text('\n'.join(labels))
    with Pipeline.load(path, provider='cpu') as pipeline:
        return pipeline.descriptor


@pytest.mark.parametrize('name', ['bbox', 'BoundingBox', 'landmarks'])
def test_sigmoids_that_are_named_as_values_are_no_scores(tmp_path: Path, name: str) -> None:
    with pytest.raises(DescriptorError, match='such as a box, not as scores.*multi_label: true'):
        heads(tmp_path / 'm.onnx', {name: ([1, 4], 'Sigmoid')})


def test_names_say_that_sigmoids_are_classes(tmp_path: Path) -> None:
    found = heads(tmp_path / 'm.onnx', {'out': ([1, 4], 'Sigmoid')}, ['a', 'b', 'c', 'd'])
    assert found.output.options['multi_label'] and 'output.decoder' not in found.unverified
    (tmp_path / 'm.txt').unlink()
    found = heads(tmp_path / 'm.onnx', {'out': ([1, 4], 'Sigmoid')})
    assert found.output.options['multi_label'] and 'output.decoder' in found.unverified


@pytest.mark.parametrize('other', [([1, 84, 84], ''), ([1, 1], 'Sigmoid'), ([1, 2, 64, 64], '')])
def test_scores_beside_another_result_are_not_all(
    tmp_path: Path, other: tuple[list[int], str],
) -> None:
    """A detector's boxes, or another question, must not be dropped without a word."""
    with pytest.raises(DescriptorError) as caught:
        heads(tmp_path / 'm.onnx', {'place': ([1, 5], 'Softmax'), 'more': other})
    assert 'declare each under heads' in str(caught.value) or 'more' in str(caught.value)


@pytest.mark.parametrize('name, shape', [
    ('hidden_state', [1, 50, 64]), ('feature_map', [1, 64, 8, 8]), ('logits', [1, 5])])
def test_scores_beside_their_by_products_are_read(
    tmp_path: Path, name: str, shape: list[int],
) -> None:
    found = heads(tmp_path / 'm.onnx', {name: (shape, ''), 'scores': ([1, 5], 'Softmax')})
    assert found.output.options['output'] == 'scores'


@pytest.mark.parametrize('rows', [
    stack(PIXELS, SCORES, IDS), stack(corners(COUNT, 1), SCORES, IDS),
    stack(PIXELS, IDS, SCORES)])
def test_nothing_tells_x_from_y_in_rows(rows: Any) -> None:
    assert ORDER in infer({'out': rows}).unverified


@pytest.mark.parametrize('batch', [True, False])
@pytest.mark.parametrize('counted', [True, False])
def test_rows_of_paddledetection(batch: bool, counted: bool) -> None:
    """Class, score, box; the number of rows may be beside them."""
    rows = stack(IDS, SCORES, PIXELS)
    outputs = {'multiclass_nms3_0.tmp_0': rows if batch else rows[0]}
    if counted:
        outputs['multiclass_nms3_0.tmp_2'] = np.array([COUNT], np.int32)
    found = infer(outputs)
    assert found.output.options['columns'] == ('class', 'score', 'box')
    specs = [tensor(name, array.shape, array.dtype) for name, array in outputs.items()]
    engine = FakeEngine([tensor('images', [1, 3, SIZE, SIZE])], specs, outputs)
    pipeline: Pipeline[Any] = Pipeline(complete(BARE, engine), engine)
    result = pipeline(
        np.zeros((SIZE, SIZE, 3), np.uint8),
        options=pipeline.options.replace(score_threshold=0.1, max_detections=1000))
    kept = (SCORES[:, 0] >= 0.1).sum()
    assert len(result) == kept > 5
    np.testing.assert_allclose(result.boxes, PIXELS[:kept], atol=1e-3)
    assert result.class_ids.tolist() == IDS[:kept, 0].astype(int).tolist()


def test_cells_tell_x_from_y_in_boxes_and_layout_does_not() -> None:
    boxes = {'boxes': PIXELS[None] / SIZE, 'scores': PROBABILITIES}
    assert ORDER in infer(boxes).unverified
    assert ORDER in infer(boxes, layout='nhwc').unverified
    centered = {'boxes': centers(COUNT, 1)[None], 'scores': PROBABILITIES}
    assert ORDER not in infer(centered).unverified
    rows = dense(SIZE, 1)
    cells = np.concatenate(
        [rows[..., :2] - rows[..., 2:4] / 2, rows[..., :2] + rows[..., 2:4] / 2], axis=-1)
    assert ORDER not in infer({'boxes': cells, 'scores': rows[..., 4:]}).unverified


def test_exporters_that_are_known_have_x_first() -> None:
    outputs = {'boxes': PIXELS[None], 'scores': SCORES.T, 'labels': IDS.T.astype(np.int64)}
    assert ORDER in infer(outputs).unverified
    counted = {'num_dets': np.array([[COUNT]], np.int32), 'det_boxes': PIXELS[None],
               'det_scores': SCORES.T, 'det_classes': IDS.T.astype(np.int32)}
    assert ORDER not in infer(counted).unverified


def test_left_top_width_and_height_are_no_centers() -> None:
    said = refusal({'boxes': SIDES[None], 'scores': PROBABILITIES})
    assert 'read as left, top, width and height' in said
    rows = dense(SIZE, 2)
    rows[..., :2] -= rows[..., 2:4] / 2
    assert 'left and above of their cells' in refusal({'out': transposed(rows)})


def test_triples_may_select_from_centers() -> None:
    scores = np.transpose(PROBABILITIES, (0, 2, 1)).copy()
    scores[0, 3, 0] = 0.9
    triples = np.array([[0, 3, 0], [0, 1, 4]], np.int64)
    outputs = {'boxes': centers(COUNT, SIZE)[None], 'scores': scores, 'selected': triples}
    found = infer(outputs)
    assert found.output.options['box_format'] == 'cxcywh'
    outputs['boxes'] = PIXELS[None]
    found = infer(outputs)
    assert 'box_format' not in found.output.options and ORDER in found.unverified
