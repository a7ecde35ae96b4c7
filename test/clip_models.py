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

"""Tiny models that see time, one for each of the five ways, and with float and integer states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from ros2_classify.testing import save_color_classifier

SIZE = 8
CLASSES = ('shown', 'hidden', 'turned')
_random = np.random.default_rng(3)
WEIGHTS = {count: _random.normal(0, 2, (count, 3)).astype(np.float32) for count in (4, 12)}
IN_RNN, RNN = (_random.normal(0, 1, (3, 3)).astype(np.float32) for _ in range(2))


def save_graph(path: Path, nodes: Sequence[Any], inputs: Sequence[tuple[str, Any, Sequence[Any]]],
               outputs: Sequence[tuple[str, Any, Sequence[Any]]], **constants: Any) -> Path:
    """Write a model; inputs and outputs are names, types and shapes."""
    def info(name: str, dtype: Any, shape: Sequence[Any]) -> Any:
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    graph = helper.make_graph(
        list(nodes), 'tiny', [info(*each) for each in inputs], [info(*each) for each in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def save_descriptor(directory: Path, name: str, rest: str, *, activation: str = 'softmax') -> Path:
    """Write the descriptor of a model in the same directory."""
    path = directory / f'{name}.yaml'
    path.write_text(
        f'name: {name}\nsource: {{path: {name}.onnx}}\nlabels: [{", ".join(CLASSES)}]\n'
        f'output: {{decoder: classification, activation: {activation}}}\n{rest}\n')
    return path


def save_window(directory: Path, clip: str = 'rate: 10', *, layout: str = 'nthwc',
                frames: int | str = 4, name: str = 'window', declared: bool = True) -> Path:
    """Write a model of the frames' mean brightness: way 3 (both in one) or way 5 (3D)."""
    sizes = {'n': 1, 't': frames, 'h': SIZE, 'w': SIZE, 'c': 3}
    axes = [layout.index(letter) for letter in 'hwc']
    save_graph(
        directory / f'{name}.onnx',
        [helper.make_node('ReduceMean', ['clip'], ['means'], axes=axes, keepdims=0),
         helper.make_node('MatMul', ['means', 'weights'], ['logits'])],
        [('clip', np.float32, [sizes[letter] for letter in layout])],
        [('logits', np.float32, [1, 3])], weights=WEIGHTS[4])
    layouts = f'layout: {layout}, ' if declared else ''
    size = f'size: [{SIZE}, {SIZE}], '
    return save_descriptor(
        directory, name, f'input: {{{size}{layouts}scale: 1/255}}\nclip: {{{clip}}}')


def save_faulty_window(directory: Path) -> Path:
    """Write a model of windows that fails if all frames are white."""
    save_graph(
        directory / 'window.onnx',
        [helper.make_node('ReduceMean', ['clip'], ['mean'], axes=[1, 2, 3, 4], keepdims=0),
         helper.make_node('Mul', ['mean', 'four'], ['scaled']),
         helper.make_node('Cast', ['scaled'], ['row'], to=onnx.TensorProto.INT64),
         helper.make_node('Gather', ['rows', 'row'], ['logits'], axis=0)],
        [('clip', np.float32, [1, 4, SIZE, SIZE, 3])], [('logits', np.float32, [1, 3])],
        rows=np.eye(4, 3, dtype=np.float32), four=np.float32(4))
    return save_descriptor(
        directory, 'window', f'input: {{size: [{SIZE}, {SIZE}], layout: nthwc, scale: 1/255}}\n'
        'clip: {rate: 10}')


def save_streaming(directory: Path, clip: str = '', *, name: str = 'streaming',
                   initial: float = 0) -> Path:
    """Write a model with a float and an integer state: a decaying mean, and a count."""
    save_graph(
        directory / f'{name}.onnx',
        [helper.make_node('ReduceMean', ['frame'], ['mean'], axes=[1, 2, 3, 4], keepdims=0),
         helper.make_node('Mul', ['mean', 'gains'], ['new']),
         helper.make_node('Mul', ['memory', 'half'], ['old']),
         helper.make_node('Add', ['new', 'old'], ['memory_out']),
         helper.make_node('Add', ['count', 'one'], ['count_out']),
         helper.make_node('Cast', ['count_out'], ['counted'], to=onnx.TensorProto.FLOAT),
         helper.make_node('Sin', ['counted'], ['turning']),
         helper.make_node('Concat', ['memory_out', 'turning'], ['logits'], axis=1)],
        [('frame', np.float32, [1, 1, SIZE, SIZE, 3]), ('memory', np.float32, ['batch', 2]),
         ('count', np.int64, [1, 1])],
        [('count_out', np.int64, [1, 1]), ('logits', np.float32, [1, 3]),
         ('memory_out', np.float32, ['batch', 2])],
        gains=np.array([[1, -2]], np.float32), half=np.float32(0.5),
        one=np.array([[1]], np.int64))
    return save_descriptor(
        directory, name, 'input: {layout: nthwc, scale: 1/255}\nstate:\n'
        f'- {{input: memory, output: memory_out, initial: {initial}}}\n'
        '- {input: count, output: count_out}\n' + (f'clip: {{{clip}}}' if clip else ''))


def save_encoder(directory: Path) -> Path:
    """Write a model whose vector is the mean of each colour."""
    save_color_classifier(directory / 'encoder.onnx', size=(SIZE, SIZE))
    path = directory / 'encoder.yaml'
    path.write_text('source: {path: encoder.onnx}\ninput: {scale: 1/255}\n'
                    'output: {decoder: embedding}\n')
    return path


def save_mlp(directory: Path, clip: str = 'rate: 10') -> Path:
    """Write way 4: an encoder, and a layer over the vectors of four frames."""
    save_encoder(directory)
    save_graph(
        directory / 'mlp.onnx',
        [helper.make_node('Reshape', ['vectors', 'flat'], ['row']),
         helper.make_node('MatMul', ['row', 'weights'], ['logits'])],
        [('vectors', np.float32, [1, 4, 3])], [('logits', np.float32, [1, 3])],
        flat=np.array([1, 12]), weights=WEIGHTS[12])
    return save_descriptor(directory, 'mlp', f'clip: {{{clip}, encoder: encoder.yaml}}')


def save_rnn(directory: Path, clip: str = 'rate: 10') -> Path:
    """Write way 2: an encoder, and a recurrent layer that gets one vector at a time."""
    save_encoder(directory)
    save_graph(
        directory / 'rnn.onnx',
        [helper.make_node('Reshape', ['vector', 'flat'], ['row']),
         helper.make_node('MatMul', ['row', 'in_weights'], ['new']),
         helper.make_node('MatMul', ['hidden', 'weights'], ['old']),
         helper.make_node('Add', ['new', 'old'], ['sum']),
         helper.make_node('Tanh', ['sum'], ['hidden_out']),
         helper.make_node('Identity', ['hidden_out'], ['logits'])],
        [('vector', np.float32, [1, 1, 3]), ('hidden', np.float32, [1, 3])],
        [('logits', np.float32, [1, 3]), ('hidden_out', np.float32, [1, 3])],
        flat=np.array([1, 3]), in_weights=IN_RNN, weights=RNN)
    return save_descriptor(
        directory, 'rnn', 'input: {name: vector}\nstate: [{input: hidden, output: hidden_out}]\n'
        f'clip: {{{clip}, encoder: encoder.yaml}}')


def save_votes(directory: Path, clip: str = 'frames: 4, vote: mean') -> Path:
    """Write way 1: a model of single images whose results are averaged."""
    save_color_classifier(directory / 'votes.onnx', size=(SIZE, SIZE))
    return save_descriptor(directory, 'votes', f'input: {{scale: 1/64}}\nclip: {{{clip}}}')


def softmax(logits: Any) -> Any:
    """Return the probabilities."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
