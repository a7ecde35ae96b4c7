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

from __future__ import annotations

from pathlib import Path

import graphs
from graphs import FLOAT, Shape, Type, UINT8
import pytest

from ros2_classify.convert.graph import (
    Graph, node_of, read_frozen_graph, read_saved_model, TensorInfo)
from ros2_classify.errors import ConversionError


def frozen(directory: Path, content: bytes) -> Graph:
    path = directory / 'graph.pb'
    path.write_bytes(content)
    return read_frozen_graph(path)


def test_nodes_placeholders_and_leaves(tmp_path: Path) -> None:
    graph = frozen(tmp_path, graphs.classifier())
    assert list(graph.nodes) == ['input', 'mean/axes', 'mean', 'weights', 'logits', 'softmax']
    assert [node.tensor() for node in graph.placeholders] == [
        TensorInfo('input:0', 'float32', (None, 8, 8, 3))]
    assert [node.name for node in graph.leaves] == ['softmax']


def test_the_nodes_that_a_tensor_needs(tmp_path: Path) -> None:
    graph = frozen(tmp_path, graphs.graph(
        graphs.placeholder('a', 1), graphs.placeholder('b', 1), graphs.identity('left', 'a:0'),
        graphs.node('right', 'Identity', 'b', '^left'), graphs.identity('alone', 'a')))
    assert set(graph.needed(['left:0'])) == {'a', 'left'}
    assert set(graph.needed(['right'])) == {'b', 'right', 'a', 'left'}


@pytest.mark.parametrize(('name', 'node'), [
    ('image_tensor:0', 'image_tensor'), ('split:2', 'split'), ('^init', 'init'),
    ('a/b', 'a/b'), ('a:b', 'a:b')])
def test_node_of_a_tensor(name: str, node: str) -> None:
    assert node_of(name) == node


def test_shapes_and_types_from_attributes(tmp_path: Path) -> None:
    graph = frozen(tmp_path, graphs.graph(
        graphs.node('any', 'Placeholder', dtype=Type(UINT8), shape=Shape(None)),
        graphs.node('reference', 'Placeholder', dtype=Type(101), shape=Shape((2, None))),
        graphs.node('plain', 'Relu', 'any', T=Type(FLOAT)),
        graphs.node('new', 'Placeholder', dtype=Type(77))))
    assert str(graph.nodes['any'].tensor()) == "'any:0' uint8 [...]"
    assert str(graph.nodes['reference'].tensor()) == "'reference:0' float32 [2, ?]"
    assert graph.nodes['plain'].tensor().dtype == 'float32'
    assert graph.nodes['new'].tensor() == TensorInfo('new:0', 'type 77', None)


def test_nodes_of_functions(tmp_path: Path) -> None:
    graph = frozen(tmp_path, graphs.graph(
        graphs.placeholder('a', 1), functions=[[graphs.identity('inside', 'a')]]))
    assert [node.name for node in graph.library] == ['inside']


@pytest.mark.parametrize(('content', 'reason'), [
    (b'', 'it is empty'),
    (b'\x0a\x7fcut', 'not a TensorFlow frozen graph;'),
    (b'just some text', 'not a TensorFlow frozen graph;'),
    (b'node {\n  name: "input"\n}\n', 'text form'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'git lfs pull'),
    (graphs.saved_model(graphs.meta_graph(['serve'], {})), 'use format: saved_model'),
    (graphs.graph(graphs.piece(1, 'no operator')), 'not a TensorFlow frozen graph;'),
])
def test_other_files_are_not_frozen_graphs(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason) as caught:
        frozen(tmp_path, content)
    assert str(tmp_path / 'graph.pb') in str(caught.value)


def test_an_unfrozen_graph_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="not frozen, its 1 variables .'w' VariableV2"):
        frozen(tmp_path, graphs.classifier(graphs.node('w', 'VariableV2')))


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match='cannot be read: No such file'):
        read_frozen_graph(tmp_path / 'none.pb')


def test_a_saved_model_gives_its_graph_for_serving(tmp_path: Path) -> None:
    image = {'image': (UINT8, (None, 96, 96, 3))}
    scores = {'scores': (FLOAT, (None, 2)), 'boxes': (FLOAT, None)}
    (tmp_path / 'saved_model.pb').write_bytes(graphs.saved_model(
        graphs.meta_graph(['train'], {'other': graphs.signature(image, image)}),
        graphs.meta_graph(['serve', 'tpu'], {'other': graphs.signature(image, image)}),
        graphs.meta_graph(['serve'], {'serving_default': graphs.signature(image, scores)},
                          graphs.classifier())))
    model = read_saved_model(tmp_path)
    assert model.tag == 'serve'
    signature, = model.signatures
    assert signature.name == 'serving_default'
    assert [str(tensor) for tensor in signature.inputs] == ["'image' uint8 [?, 96, 96, 3]"]
    assert [str(tensor) for tensor in signature.outputs] == [
        "'boxes' float32 [...]", "'scores' float32 [?, 2]"]
    assert 'softmax' in model.graph.nodes


def test_other_directories_are_not_saved_models(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match='it has no saved_model.pb'):
        read_saved_model(tmp_path)
    (tmp_path / 'saved_model.pbtxt').write_text('x')
    with pytest.raises(ConversionError, match='binary form'):
        read_saved_model(tmp_path)
    (tmp_path / 'saved_model.pb').write_bytes(b'\x12\x7fcut')
    with pytest.raises(ConversionError, match='cut off'):
        read_saved_model(tmp_path)
    (tmp_path / 'saved_model.pb').write_bytes(graphs.saved_model())
    with pytest.raises(ConversionError, match='is empty'):
        read_saved_model(tmp_path)


def test_published_models_are_read(data: Path) -> None:
    models = data / 'models'
    detector = read_frozen_graph(models / 'ssd_mobilenet_v1_0.75_coco/frozen_inference_graph.pb')
    assert len(detector.nodes) == 7146
    assert [str(node.tensor()) for node in detector.placeholders] == [
        "'image_tensor:0' uint8 [?, ?, ?, 3]"]
    saved = read_saved_model(models / 'vww_96_saved_model')
    signature = next(item for item in saved.signatures if item.name == 'serving_default')
    assert [str(tensor) for tensor in (*signature.inputs, *signature.outputs)] == [
        "'input_1' float32 [?, 96, 96, 3]", "'dense' float32 [?, 2]"]
