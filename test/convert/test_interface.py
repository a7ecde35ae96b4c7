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
from graphs import FLOAT, Type
import pytest

from ros2_classify.convert.graph import Graph, read_frozen_graph, read_saved_model, SavedModel
from ros2_classify.convert.interface import frozen_interface, saved_interface
from ros2_classify.errors import ConversionError

DETECTION = ('detection_boxes', 'detection_scores', 'detection_classes', 'num_detections')


@pytest.fixture
def read(tmp_path: Path):
    """Return a function that reads a GraphDef."""
    def reader(content: bytes) -> Graph:
        (tmp_path / 'g.pb').write_bytes(content)
        return read_frozen_graph(tmp_path / 'g.pb')
    return reader


@pytest.fixture
def saved(tmp_path: Path):
    """Return a function that makes a SavedModel from signatures."""
    def reader(**signatures: bytes) -> SavedModel:
        (tmp_path / 'saved_model.pb').write_bytes(
            graphs.saved_model(graphs.meta_graph(['serve'], signatures)))
        return read_saved_model(tmp_path)
    return reader


def several(*names: str) -> bytes:
    """Return a graph with an output for each name."""
    return graphs.graph(graphs.placeholder('image_tensor', 1, 4, 4, 3), *(
        graphs.identity(name, 'image_tensor') for name in names))


def test_the_tensors_of_a_classifier_are_found(read) -> None:
    found = frozen_interface(read(graphs.classifier()), (), (), 'm.pb')
    assert [str(tensor) for tensor in found.inputs] == ["'input:0' float32 [?, 8, 8, 3]"]
    assert found.outputs == ('softmax:0',)
    assert len(found.found) == 2


@pytest.mark.parametrize('name', [
    'MobilenetV1/Predictions/Reshape_1', 'predictions/Softmax', 'final_result', 'softmax_tensor',
    'SemanticPredictions', 'prob', 'model/output'])
def test_outputs_with_usual_names_are_preferred(read, name: str) -> None:
    found = frozen_interface(read(several('summary', name, 'embedding')), (), (), 'm.pb')
    assert found.outputs == (f'{name}:0',)


def test_the_outputs_of_object_detection_are_found(read) -> None:
    graph = read(several('raw_detection_boxes', *reversed(DETECTION), 'detection_masks', 'more'))
    found = frozen_interface(graph, (), (), 'm.pb')
    assert found.outputs == tuple(f'{name}:0' for name in (*DETECTION, 'detection_masks'))


def test_the_only_output_may_have_any_name(read) -> None:
    assert frozen_interface(read(several('xyz')), (), (), 'm.pb').outputs == ('xyz:0',)


def test_scores_are_preferred_to_the_best_class(read) -> None:
    graph = read(graphs.classifier(
        graphs.node('best', 'ArgMax', 'softmax_tensor', T=Type(FLOAT)), output='softmax_tensor'))
    assert frozen_interface(graph, (), (), 'm.pb').outputs == ('softmax_tensor:0',)


def test_ambiguous_outputs_are_listed(read) -> None:
    with pytest.raises(ConversionError, match="'left' Identity, 'right' Identity; name the right"):
        frozen_interface(read(several('left', 'right')), (), (), 'm.pb')


@pytest.mark.parametrize('suffix', ['', ':0'])
def test_declared_names_may_lack_the_number(read, suffix: str) -> None:
    found = frozen_interface(
        read(graphs.classifier()), [f'input{suffix}'], [f'logits{suffix}'], 'm.pb')
    assert found.inputs[0].name == 'input:0'
    assert found.outputs == ('logits:0',)
    assert found.found == ()


def test_any_output_of_a_node_can_be_declared(read) -> None:
    graph = read(several('split'))
    assert frozen_interface(graph, (), ['split:1'], 'm.pb').outputs == ('split:1',)


def test_a_wrong_output_gets_a_suggestion(read) -> None:
    with pytest.raises(ConversionError) as caught:
        frozen_interface(read(several(*DETECTION)), (), ['detection_box'], 'm.pb')
    message = str(caught.value)
    assert "no output 'detection_box' (did you mean 'detection_boxes'" in message
    assert all(name in message for name in DETECTION)
    assert 'convert.outputs' in message


def test_the_end_of_a_name_gets_a_suggestion(read) -> None:
    with pytest.raises(ConversionError, match="did you mean 'MobilenetV1/Predictions/Reshape_1'"):
        frozen_interface(read(several('MobilenetV1/Predictions/Reshape_1')), (), ['Reshape_1'],
                         'm.pb')


def test_a_wrong_input_lists_the_placeholders(read) -> None:
    with pytest.raises(ConversionError, match="no input 'inputs' .did you mean 'input'.*its "
                                              "placeholders are 'input:0' float32"):
        frozen_interface(read(graphs.classifier()), ['inputs'], (), 'm.pb')


def test_all_needed_placeholders_must_be_declared(read) -> None:
    graph = read(graphs.graph(
        graphs.placeholder('image', 1), graphs.placeholder('is_training', dtype=graphs.BOOL),
        graphs.node('both', 'Switch', 'image', 'is_training')))
    with pytest.raises(ConversionError, match="also need the placeholder 'is_training:0' bool"):
        frozen_interface(graph, ['image'], (), 'm.pb')
    found = frozen_interface(graph, (), (), 'm.pb')
    assert [tensor.name for tensor in found.inputs] == ['image:0', 'is_training:0']


def test_an_input_inside_the_graph_replaces_the_nodes_before_it(read) -> None:
    graph = read(graphs.graph(
        graphs.placeholder('jpeg', dtype=graphs.STRING),
        graphs.node('decoded', 'DecodeJpeg', 'jpeg', dtype=Type(graphs.UINT8)),
        graphs.identity('scores', 'decoded')))
    found = frozen_interface(graph, ['decoded'], (), 'm.pb')
    assert found.inputs[0].name == 'decoded:0'


def test_a_graph_without_placeholders_is_rejected(read) -> None:
    with pytest.raises(ConversionError, match='need no placeholder.*it has no placeholders'):
        frozen_interface(read(graphs.graph(graphs.identity('a', 'b'))), (), (), 'm.pb')


def test_long_lists_are_cut(read) -> None:
    with pytest.raises(ConversionError, match='and 8 more'):
        frozen_interface(read(several(*(f'n{place}' for place in range(20)))), (), (), 'm.pb')


IMAGE = {'image': (FLOAT, (None, 8, 8, 3))}
SCORES = {'b_scores': (FLOAT, (None, 4)), 'a_boxes': (FLOAT, (None, 4, 4))}


def test_the_default_signature_is_used(saved) -> None:
    model = saved(serving_default=graphs.signature(IMAGE, SCORES),
                  other=graphs.signature(IMAGE, IMAGE),
                  __saved_model_init_op=graphs.signature({}, IMAGE))
    found = saved_interface(model, '', 'saved')
    assert (found.signature, found.tag) == ('serving_default', 'serve')
    assert [tensor.name for tensor in found.inputs] == ['image']
    assert found.outputs == ('a_boxes', 'b_scores')


def test_the_only_signature_is_used(saved) -> None:
    found = saved_interface(saved(detect=graphs.signature(IMAGE, SCORES)), '', 'saved')
    assert found.signature == 'detect'


def test_a_declared_signature_is_used(saved) -> None:
    model = saved(one=graphs.signature(IMAGE, SCORES), two=graphs.signature(IMAGE, IMAGE))
    assert saved_interface(model, 'two', 'saved').outputs == ('image',)
    with pytest.raises(ConversionError, match=r"no signature 'tow' .did you mean 'two'.*one \("):
        saved_interface(model, 'tow', 'saved')
    with pytest.raises(ConversionError, match='several signatures'):
        saved_interface(model, '', 'saved')


def test_a_model_without_signatures_is_rejected(saved) -> None:
    with pytest.raises(ConversionError, match='no signature with inputs and outputs'):
        saved_interface(saved(), '', 'saved')
