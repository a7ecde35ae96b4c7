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
from graphs import FLOAT, QUINT8, Type
import pytest

from ros2_classify.convert.graph import Graph, read_frozen_graph
from ros2_classify.convert.process import explain, shorten, unsupported_operators

# As tf2onnx 1.17 words them.
UNSUPPORTED = """\
2026-01-01 12:00:00,000 - ERROR - Tensorflow op [a/MatrixInverse: MatrixInverse] is not supported
2026-01-01 12:00:00,000 - ERROR - Tensorflow op [b: BesselI0e] is not supported
2026-01-01 12:00:00,000 - ERROR - Tensorflow op [c: BesselI0e] is not supported
2026-01-01 12:00:00,000 - ERROR - Unsupported ops: Counter({'BesselI0e': 2, 'MatrixInverse': 1})
"""
REJECTED = """\
2026-01-01 12:00:00,000 - ERROR - pass1 convert failed for name: "loop/%s"
op: "%s"
input: "x"
, ex='unknown_rank: true
"""


@pytest.fixture
def read(tmp_path: Path):
    """Return a function that makes a Graph of nodes."""
    def reader(*nodes: bytes) -> Graph:
        (tmp_path / 'g.pb').write_bytes(graphs.graph(graphs.placeholder('x', 1), *nodes))
        return read_frozen_graph(tmp_path / 'g.pb')
    return reader


def test_operators_without_counterpart(read) -> None:
    assert unsupported_operators(UNSUPPORTED) == ['BesselI0e', 'MatrixInverse']
    sentence = explain('', UNSUPPORTED, read(), [])
    assert 'no counterpart for its operators BesselI0e, MatrixInverse;' in sentence
    assert 'export' in sentence


def test_an_operator_that_tensorflow_lacks(read) -> None:
    sentence = explain("ValueError: Op type not registered 'FusedThing' in binary running on x",
                       '', read(), [])
    assert 'does not know its operator FusedThing' in sentence


def test_quantized_weights(read) -> None:
    graph = read(graphs.node('w', 'Const', dtype=Type(QUINT8)),
                 graphs.node('y', 'Dequantize', 'w', T=Type(QUINT8)))
    sentence = explain('ValueError: quint8', '', graph, ['y:0'])
    assert 'no data type quint8' in sentence
    assert 'floating-point version' in sentence
    # Only what the outputs need counts.
    assert 'quint8' not in explain('ValueError: strange', '', graph, ['x:0'])


def test_the_arrays_of_old_loops(read) -> None:
    sentence = explain("TypeError: '' is not an accepted attribute value",
                       REJECTED % ('TensorArrayConcatV3', 'TensorArrayConcatV3'), read(), [])
    assert "TensorFlow 1's TensorArrayConcatV3 ('loop/TensorArrayConcatV3')" in sentence


def test_any_operator_that_fails(read) -> None:
    sentence = explain('ValueError: no', REJECTED % ('pool', 'Odd'), read(), [])
    assert "fails at its operator Odd ('loop/pool'): ValueError: no;" in sentence


def test_old_loops(read) -> None:
    graph = read(graphs.node('enter', 'Enter', 'x', T=Type(FLOAT)),
                 graphs.identity('y', 'enter'))
    assert 'operator Enter in a way' in explain('ValueError: no', '', graph, ['y'])


def test_types_without_kernels(read) -> None:
    graph = read(graphs.node('y', 'Cast', 'x', DstT=Type(8)))
    sentence = explain('ValueError: complex64 is odd', '', graph, ['y'])
    assert "data type complex64 of its operator Cast ('y')" in sentence


def test_what_nobody_understands_is_said_as_it_is(read) -> None:
    assert explain('KeyError: 7', '', read(), ['x']) == 'KeyError: 7'


def test_stack_traces_are_left_out() -> None:
    text = ("InvalidArgumentError: Graph execution error:\n\nDetected at node 'a' defined at "
            "(most recent call last):\nNode: 'a'\nbad shape\n\t [[{{node a}}]]\n\n"
            "Original stack trace for 'a':\n  File x\n")
    assert shorten(text) == "InvalidArgumentError: Graph execution error: Node: 'a' bad shape"
    assert len(shorten('x' * 1000)) == 300
