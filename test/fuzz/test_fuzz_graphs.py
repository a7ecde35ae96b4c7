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

"""TensorFlow graphs and ONNX headers from anywhere, as our own readers see them."""

from __future__ import annotations

from pathlib import Path

from fuzzing import fuzz, spoilt
import graphs
from hypothesis import strategies as st
import pytest

from ros2_classify.convert.graph import read_frozen_graph, read_saved_model
from ros2_classify.convert.interface import frozen_interface, saved_interface
from ros2_classify.engines.onnx_file import read_onnx
from ros2_classify.errors import ConversionError, EngineError
from ros2_classify.testing import save_color_classifier

FROZEN = graphs.classifier()
SAVED = graphs.saved_model(graphs.meta_graph(['serve'], {'serving_default': graphs.signature(
    {'image': (graphs.FLOAT, (None, 8, 8, 3))}, {'scores': (graphs.FLOAT, (None, 4))})}, FROZEN))
# Many levels of a field within a field of the same number.
DEEP = 20_000


def nested(number: int, inner: bytes = b'') -> bytes:
    """Return a field in a field in a field."""
    for _ in range(DEEP):
        inner = graphs.piece(number, inner)
    return inner


def read_frozen(data: bytes, directory: Path) -> None:
    """Read a frozen graph and what goes into it; errors are ours."""
    path = directory / 'graph.pb'
    path.write_bytes(data)
    try:
        graph = read_frozen_graph(path)
        for node in graph.nodes.values():
            node.data_types()
        frozen_interface(graph, (), (), str(path))
    except ConversionError as error:
        assert str(error)


def read_saved(data: bytes, directory: Path) -> None:
    """Read a SavedModel and what goes into it; errors are ours."""
    (directory / 'saved_model.pb').write_bytes(data)
    try:
        model = read_saved_model(directory)
        saved_interface(model, '', str(directory))
    except ConversionError as error:
        assert str(error)


@fuzz(data=st.one_of(st.binary(max_size=200), spoilt(st.just(FROZEN))))
def test_frozen_graphs(data: bytes, tmp_path: Path) -> None:
    """Frozen graphs that were damaged."""
    read_frozen(data, tmp_path)


@fuzz(data=st.one_of(st.binary(max_size=200), spoilt(st.just(SAVED))))
def test_saved_models(data: bytes, tmp_path: Path) -> None:
    """Saved models that were damaged."""
    read_saved(data, tmp_path)


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a small ONNX model."""
    path = save_color_classifier(
        tmp_path_factory.mktemp('model') / 'net.onnx', metadata={'names': "{0: 'a'}"})
    return path.read_bytes()


@fuzz(data=st.data())
def test_onnx_headers(data: st.DataObject, model: bytes, tmp_path: Path) -> None:
    """ONNX files that were damaged, as `models check` reads them."""
    path = tmp_path / 'net.onnx'
    path.write_bytes(data.draw(spoilt(st.just(model))))
    try:
        assert read_onnx(path).nodes >= 0
    except EngineError as error:
        assert 'net.onnx' in str(error)


def test_nesting_without_an_end(tmp_path: Path) -> None:
    """Lists of lists of types, and graphs in graphs, are refused before they fill the stack."""
    attribute = graphs.piece(5, graphs.piece(1, 'dtype') + graphs.piece(2, nested(1)))
    placeholder = graphs.piece(1, 'input') + graphs.piece(2, 'Placeholder') + attribute
    read_frozen(graphs.piece(1, placeholder), tmp_path)
    read_frozen(nested(1), tmp_path)
    read_saved(nested(2), tmp_path)
    path = tmp_path / 'net.onnx'
    path.write_bytes(graphs.number(1, 8) + graphs.piece(7, nested(1)))
    assert read_onnx(path).nodes == 1
    inner = b''
    for _ in range(DEEP):
        inner = graphs.piece(1, graphs.piece(5, graphs.piece(6, inner)))
    path.write_bytes(graphs.number(1, 8) + graphs.piece(7, inner))
    with pytest.raises(EngineError, match='nested'):
        read_onnx(path)
