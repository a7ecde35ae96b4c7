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

"""Models that ask for files of others or hold machine code are not opened."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_classify.engines import EngineSettings, open_engine
from ros2_classify.engines.onnx_file import read_onnx
from ros2_classify.errors import EngineError, NotAllowedError, UnsafeModelError
from ros2_classify.paths import allowed_paths
from ros2_classify.protobuf import written
from ros2_classify.testing import save_color_classifier

onnx = pytest.importorskip('onnx', reason='the tiny models are written with the package onnx')


def external(tensor: Any, location: str) -> Any:
    """Say of a tensor that its numbers lie in a file."""
    tensor.ClearField('raw_data')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (('location', location), ('offset', '0'), ('length', '16')):
        tensor.external_data.add(key=key, value=value)
    return tensor


def tensor(name: str = 'w') -> Any:
    return onnx.numpy_helper.from_array(np.ones(4, np.float32), name)


def save(path: Path, nodes: list[Any], weights: list[Any], **more: Any) -> Path:
    from onnx import helper, TensorProto

    graph = helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [4])], weights)
    model = helper.make_model(graph, opset_imports=[
        helper.make_opsetid('', 17), helper.make_opsetid('com.microsoft', 1)],
        ir_version=8, **more)
    path.write_bytes(model.SerializeToString())
    return path


def add(weight: str = 'w') -> Any:
    return onnx.helper.make_node('Add', ['x', weight], ['y'])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a model's directory, beside which lie weights of somebody else."""
    (tmp_path / 'secret.bin').write_bytes(np.full(4, 7, np.float32).tobytes())
    (tmp_path / 'home/sub').mkdir(parents=True)
    (tmp_path / 'home/sub/own.bin').write_bytes(np.full(4, 2, np.float32).tobytes())
    return tmp_path / 'home'


def test_weights_in_the_models_own_directory(home: Path) -> None:
    path = save(home / 'm.onnx', [add()], [external(tensor(), 'sub/own.bin')])
    assert open_engine(path).infer({'x': np.zeros(4, np.float32)})['y'].tolist() == [2] * 4


@pytest.mark.parametrize('location', ['../secret.bin', 'sub/../../secret.bin', '/etc/hostname'])
def test_weights_elsewhere(home: Path, location: str) -> None:
    path = save(home / 'm.onnx', [add()], [external(tensor(), location)])
    with pytest.raises(UnsafeModelError, match='outside of its directory') as caught:
        open_engine(path)
    assert location in str(caught.value) and 'external_data' in str(caught.value)


def test_a_link_counts_for_where_it_leads(home: Path) -> None:
    (home / 'inside.bin').symlink_to(home.parent / 'secret.bin')
    path = save(home / 'm.onnx', [add()], [external(tensor(), 'inside.bin')])
    with pytest.raises(UnsafeModelError, match=r'inside.bin \(.*secret.bin\)'):
        open_engine(path)


@pytest.mark.parametrize('absolute', [False, True])
def test_a_directory_that_is_allowed(home: Path, absolute: bool) -> None:
    location = str(home.parent / 'secret.bin') if absolute else '../secret.bin'
    path = save(home / 'm.onnx', [add(), onnx.helper.make_node('Identity', ['v'], ['z'])],
                [external(tensor(), location), external(tensor('v'), 'sub/own.bin')])
    settings = EngineSettings(external_data=(str(home.parent),))
    result = open_engine(path, settings=settings).infer({'x': np.zeros(4, np.float32)})
    assert result['y'].tolist() == [7] * 4
    with pytest.raises(UnsafeModelError):
        open_engine(path, settings=settings.replace(external_data=(str(home / 'sub'),)))
    (home.parent / 'secret.bin').unlink()
    with pytest.raises(EngineError, match='secret.bin back'):
        open_engine(path, settings=settings)


def test_a_directory_that_is_allowed_must_lie_below_the_roots(home: Path) -> None:
    path = save(home / 'm.onnx', [add()], [external(tensor(), '../secret.bin')])
    settings = EngineSettings(external_data=(str(home.parent),))
    with allowed_paths(str(home.parent)):
        open_engine(path, settings=settings)
    with allowed_paths(str(home)), pytest.raises(
            NotAllowedError, match='m.onnx: the weights file'):
        open_engine(path, settings=settings)


PLACES = ('constant', 'list', 'branch', 'graphs', 'function', 'function attribute',
          'function attribute graph', 'sparse', 'sparse indices', 'sparse attribute',
          'training')


def hide(home: Path, place: str, location: str) -> Path:
    """Write a model that adds 1 and has weights in a file of this name at a place in it."""
    from onnx import helper, TensorProto

    hidden = external(tensor('hidden'), location)
    constant = helper.make_node('Constant', [], ['w'])
    constant.attribute.append(helper.make_attribute('value', hidden))
    inner = helper.make_graph([constant], 'inner', [], [
        helper.make_tensor_value_info('w', TensorProto.FLOAT, [4])])
    sparse = onnx.SparseTensorProto(dims=[4])
    (sparse.indices if place == 'sparse indices' else sparse.values).CopyFrom(hidden)
    if place == 'sparse indices':
        sparse.values.CopyFrom(tensor())
    more: dict[str, Any] = {}
    nodes, weights = [add()], [tensor()]
    if place == 'constant':
        nodes, weights = [constant, add()], []
    elif place == 'list':
        nodes[0].attribute.append(helper.make_attribute('tensors', [hidden]))
    elif place == 'sparse attribute':
        nodes[0].attribute.append(helper.make_attribute('sparse', sparse))
    elif place == 'graphs':
        nodes[0].attribute.append(helper.make_attribute('graphs', [inner]))
    elif place == 'branch':
        nodes = [helper.make_node('If', ['c'], ['w'], then_branch=inner, else_branch=inner), add()]
        weights = [onnx.numpy_helper.from_array(np.array(True), 'c')]
    elif place.startswith('function'):
        body = [constant]
        if place != 'function':
            body = [helper.make_node('Constant', [], ['w'])]
            body[0].attribute.add(name='value', ref_attr_name='weights',
                                  type=onnx.AttributeProto.TENSOR)
        function = helper.make_function('mine', 'f', [], ['w'], body,
                                        [helper.make_opsetid('', 17)])
        if place == 'function attribute':
            function.attribute_proto.append(helper.make_attribute('weights', hidden))
        elif place == 'function attribute graph':
            function.attribute_proto.append(helper.make_attribute('weights', inner))
        more['functions'] = [function]
        nodes, weights = [helper.make_node('f', [], ['w'], domain='mine'), add()], []
    path = save(home / 'm.onnx', nodes, weights, **more)
    model = onnx.load(str(path), load_external_data=False)
    model.opset_import.append(helper.make_opsetid('mine', 1))
    if place in ('sparse', 'sparse indices'):
        model.graph.sparse_initializer.append(sparse)
    elif place == 'training':
        model.training_info.add().algorithm.CopyFrom(inner)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize('place', PLACES)
def test_wherever_a_tensor_may_hide(home: Path, place: str) -> None:
    path = hide(home, place, '../secret.bin')
    assert read_onnx(path).external == ('../secret.bin',)
    with pytest.raises(UnsafeModelError, match='outside of its directory'):
        open_engine(path)


def test_an_outside_file_is_never_opened(home: Path) -> None:
    """By nobody in this process, as inotify(7) tells."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    secret = home.parent / 'secret.bin'
    assert libc.inotify_add_watch(watch, os.fsencode(secret), 0x20) > 0, ctypes.get_errno()
    with os.fdopen(watch, 'rb', buffering=0) as events:
        for place in PLACES:
            with pytest.raises(UnsafeModelError):
                open_engine(hide(home, place, '../secret.bin'))
            assert events.read(4096) is None, place
        secret.read_bytes()
        assert events.read(4096)


def test_a_memory_address_is_no_file(home: Path) -> None:
    """ONNX Runtime reads its own memory, at the offset, for a file of this name."""
    for location in ('*/_ORT_MEM_ADDR_/*', './_ORT_MEM_ADDR_/x'):
        path = save(home / 'm.onnx', [add()], [external(tensor(), location)])
        with pytest.raises(UnsafeModelError, match='at a memory address'):
            open_engine(path)


def test_weights_in_a_pipe(home: Path) -> None:
    """Nobody writes to it: who opens it waits for ever."""
    os.mkfifo(home / 'pipe')
    path = save(home / 'm.onnx', [add()], [external(tensor(), 'pipe')])
    with pytest.raises(UnsafeModelError, match='pipe, which is not a plain file'):
        open_engine(path)


def test_a_field_whose_number_is_too_large(home: Path) -> None:
    """Protocol buffers keep 32 bits of a key, so that a sixth byte hides a graph from others."""
    path = save(home / 'm.onnx', [add()], [tensor()])
    graph = onnx.load(str(path)).graph
    graph.initializer[0].CopyFrom(external(tensor(), '../secret.bin'))
    piece = graph.SerializeToString()
    path.write_bytes(path.read_bytes() + written(1 << 29 | 7, piece))
    with pytest.raises(EngineError, match='not an ONNX model'):
        open_engine(path)


def test_machine_code(home: Path) -> None:
    node = onnx.helper.make_node('EPContext', ['x'], ['y'], domain='com.microsoft', embed_mode=1,
                                 ep_cache_context=b'\x7fELF')
    with pytest.raises(UnsafeModelError, match='machine code of a provider .the operator EPCon'):
        open_engine(save(home / 'm.onnx', [node], []))


def test_operators_of_ones_own_are_loaded_by_name_only(tmp_path: Path) -> None:
    """The file's own words never load a library; the setting does, and says why it can't."""
    path = save_color_classifier(tmp_path / 'tiny.onnx')
    library = tmp_path / 'operators.so'
    with pytest.raises(EngineError, match='operators.so is not a file'):
        open_engine(path, settings=EngineSettings(custom_operators=(str(library),)))
    library.write_bytes(b'no library')
    with pytest.raises(EngineError, match='operators.so cannot be loaded'):
        open_engine(path, settings=EngineSettings(custom_operators=(str(library),)))


def test_operators_of_ones_own_must_lie_below_the_roots(tmp_path: Path) -> None:
    """The library isn't opened, and whether it is there is not told."""
    (tmp_path / 'home').mkdir()
    path = save_color_classifier(tmp_path / 'home/tiny.onnx')
    (tmp_path / 'operators.so').write_bytes(b'no library')
    (tmp_path / 'home/link.so').symlink_to(tmp_path / 'operators.so')
    for name in ('operators.so', 'missing.so', 'home/link.so'):
        settings = EngineSettings(custom_operators=(str(tmp_path / name),))
        with allowed_paths(str(tmp_path / 'home')), pytest.raises(
                NotAllowedError, match=f'the library of operators .*{name} is not below'):
            open_engine(path, settings=settings)
    with allowed_paths(str(tmp_path)), pytest.raises(
            EngineError, match='operators.so cannot be loaded'):
        open_engine(path, settings=EngineSettings(
            custom_operators=(str(tmp_path / 'operators.so'),)))


def test_a_model_of_two_graphs(tmp_path: Path) -> None:
    """Protocol buffers would join them, so that nobody sees what is in the second."""
    path = save_color_classifier(tmp_path / 'tiny.onnx')
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(EngineError, match='not an ONNX model'):
        open_engine(path)
