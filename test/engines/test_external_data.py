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

"""Weights outside the ONNX file: through links, declared by sha256, verified and bundled."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
import shutil

import numpy as np
import pytest
from ros2_classify import Pipeline
from ros2_classify.bundle import import_bundle, write_bundle
from ros2_classify.cli import main
from ros2_classify.download.options import FetchOptions
from ros2_classify.engines import EngineSettings, open_engine
from ros2_classify.engines.external_data import verify
from ros2_classify.errors import (
    DescriptorError, EngineError, IntegrityError, ModelNotFoundError, NotAllowedError,
    UnsafeModelError)
from ros2_classify.inspection.describe import describe_model
from ros2_classify.model.descriptor import load_descriptor
from ros2_classify.paths import allowed_paths

onnx = pytest.importorskip('onnx', reason='the tiny models are written with the package onnx')

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4) / 10 - 0.5
PIXELS = np.linspace(-1, 1, 3 * 8 * 8, dtype=np.float32).reshape(1, 3, 8, 8)


def save(path: Path, location: str = 'net.onnx.data', batch: int | str = 1) -> Path:
    """Write a classifier (mean colour times weights) whose weights are in a second file."""
    from onnx import helper, TensorProto

    path.parent.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node('GlobalAveragePool', ['x'], ['pooled']),
         helper.make_node('Flatten', ['pooled'], ['mean']),
         helper.make_node('MatMul', ['mean', 'w'], ['logits']),
         helper.make_node('Softmax', ['logits'], ['probabilities'], axis=1)], 'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info('probabilities', TensorProto.FLOAT, [batch, 4])],
        [onnx.numpy_helper.from_array(WEIGHTS, 'w')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save_model(model, str(path), save_as_external_data=True, location=location,
                    size_threshold=0)
    return path


def expected(weights: np.ndarray = WEIGHTS) -> np.ndarray:
    """Return the probabilities, by the definition of the layers."""
    logits = PIXELS.mean(axis=(2, 3)) @ weights
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def run(path: Path, **settings: object) -> np.ndarray:
    engine = open_engine(path, settings=EngineSettings(provider='cpu', **settings))
    try:
        return engine.infer({engine.inputs[0].name: PIXELS})['probabilities']
    finally:
        engine.close()


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def link_each(source: Path, target: Path) -> Path:
    """Link every file, as colcon build --symlink-install does."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).symlink_to(file)
    return target


def hub(tmp_path: Path) -> Path:
    """Lay a model out as the caches of model hubs: named links to blobs named by their hash."""
    made = save(tmp_path / 'made/model.onnx', 'model.onnx_data')
    blobs, snapshot = tmp_path / 'cache/blobs', tmp_path / 'cache/snapshots/1a2b/onnx'
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in made.parent.iterdir():
        shutil.move(file, blobs / (name := sha(file)))
        (snapshot / file.name).symlink_to(Path('../../../blobs') / name)
    return snapshot / 'model.onnx'


@pytest.mark.parametrize('max_batch', [1, 4])
@pytest.mark.parametrize('layout', ['plain', 'colcon', 'hub', 'model only', 'chain', 'inside'])
def test_links_to_the_model_itself(tmp_path: Path, layout: str, max_batch: int) -> None:
    if layout == 'hub':
        path = hub(tmp_path)
    else:
        path = save(tmp_path / 'src/net.onnx')
    if layout in ('colcon', 'chain'):
        path = link_each(path.parent, tmp_path / 'install') / path.name
    if layout == 'chain':
        path = link_each(path.parent, tmp_path / 'second') / path.name
    if layout == 'model only':
        (tmp_path / 'other.onnx').symlink_to(path)
        path = tmp_path / 'other.onnx'
    if layout == 'inside':
        (path.parent / 'sub').mkdir()
        data = path.with_name('net.onnx.data').rename(path.parent / 'sub/data')
        path.with_name('net.onnx.data').symlink_to(data)
    settings = EngineSettings(
        provider='cpu', max_batch=max_batch, cache_directory=tmp_path / 'engines')
    engine = open_engine(path, settings=settings)
    assert engine.inputs[0].shape[0] == (1 if max_batch == 1 else 'batch')
    result = engine.infer({'x': PIXELS})['probabilities']
    np.testing.assert_allclose(result, expected(), rtol=1e-5)


def test_links_elsewhere_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / 'src/net.onnx')
    (tmp_path / 'far').mkdir()
    data = path.with_name('net.onnx.data').rename(tmp_path / 'far/net.onnx.data')
    path.with_name('net.onnx.data').symlink_to(data)
    (tmp_path / 'install').mkdir()
    for file in path.parent.iterdir():
        (tmp_path / 'install' / file.name).symlink_to(file)
    for model in (path, tmp_path / 'install/net.onnx'):
        with pytest.raises(UnsafeModelError, match='outside of its directory'):
            run(model)
        result = run(model, external_data=(str(tmp_path / 'far'),))
        np.testing.assert_allclose(result, expected(), rtol=1e-5)


def test_a_linked_model_reaches_no_further_than_its_own_directory(tmp_path: Path) -> None:
    """The model's words are not the user's: only links that the user holds lead elsewhere."""
    path = save(tmp_path / 'src/deep/net.onnx')
    loaded = onnx.load(str(path), load_external_data=False)
    path.with_name('net.onnx.data').rename(tmp_path / 'src/net.onnx.data')
    loaded.graph.initializer[0].external_data[0].value = '../net.onnx.data'
    path.write_bytes(loaded.SerializeToString())
    (tmp_path / 'install').mkdir()
    (tmp_path / 'install/net.onnx').symlink_to(path)
    with pytest.raises(UnsafeModelError, match=r'in ../net.onnx.data'):
        run(tmp_path / 'install/net.onnx')


def test_links_below_the_roots(tmp_path: Path) -> None:
    path = link_each(save(tmp_path / 'src/net.onnx').parent, tmp_path / 'install') / 'net.onnx'
    with allowed_paths(f'{tmp_path}/install:{tmp_path}/src'):
        run(path)
    with allowed_paths(f'{tmp_path}/install'), pytest.raises(NotAllowedError, match='weights'):
        run(path)


def test_two_files_of_weights(tmp_path: Path) -> None:
    """A copy from before beside the link, and another one beside the file."""
    path = save(tmp_path / 'src/net.onnx')
    (tmp_path / 'install').mkdir()
    (tmp_path / 'install/net.onnx').symlink_to(path)
    (tmp_path / 'install/net.onnx.data').write_bytes(np.zeros(12, np.float32).tobytes())
    with pytest.raises(EngineError, match='both in .*install.*src'):
        run(tmp_path / 'install/net.onnx')
    (tmp_path / 'install/net.onnx.data').unlink()
    os.link(path.with_name('net.onnx.data'), tmp_path / 'install/net.onnx.data')
    np.testing.assert_allclose(run(tmp_path / 'install/net.onnx'), expected(), rtol=1e-5)


def test_missing_and_short_weights(tmp_path: Path) -> None:
    path = link_each(save(tmp_path / 'src/net.onnx').parent, tmp_path / 'install') / 'net.onnx'
    for size in (7, 0):
        (tmp_path / 'src/net.onnx.data').write_bytes(bytes(size))
        with pytest.raises(EngineError):
            run(path, max_batch=4, cache_directory=tmp_path / 'engines')
    (tmp_path / 'src/net.onnx.data').unlink()
    with pytest.raises(EngineError, match='net.onnx.data back'):
        run(path)


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """Return a descriptor that declares the sha256 of the model, but not of its weights."""
    path = save(tmp_path / 'models/net.onnx')
    descriptor = path.with_name('named.yaml')
    descriptor.write_text(
        f'source: {{path: net.onnx, sha256: {sha(path)}}}\n'
        'output: {decoder: classification}\n')
    return descriptor


def with_weights(descriptor: Path, name: str = 'net.onnx.data') -> Path:
    data = descriptor.with_name('net.onnx.data')
    descriptor.write_text(descriptor.read_text().replace(
        '}\n', f', weights: {{{name}: {sha(data)}}}}}\n', 1))
    return descriptor


def roll(descriptor: Path) -> None:
    """Roll the weights by one number: the same size, other results."""
    data = descriptor.with_name('net.onnx.data')
    data.write_bytes(np.roll(np.frombuffer(data.read_bytes(), np.float32), 1).tobytes())


def test_weights_that_nobody_declared(
        declared: Path, caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str]) -> None:
    verified = verify(load_descriptor(declared))
    line = f'weights: {{net.onnx.data: {sha(declared.with_name("net.onnx.data"))}}}'
    assert verified.state == 'no sha256' and line in verified.error
    assert main(['models', 'verify', str(declared)]) == 0
    assert line in capsys.readouterr().out
    with caplog.at_level(logging.WARNING):
        Pipeline.load(declared, provider='cpu').close()
    assert any(line in text for text in caplog.messages)


def test_rolled_weights_are_found(declared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_weights(declared)
    assert verify(load_descriptor(declared)).state == 'ok'
    Pipeline.load(declared, provider='cpu').close()
    roll(declared)
    assert verify(load_descriptor(declared)).state == 'damaged'
    assert main(['models', 'verify', str(declared)]) == 1
    assert 'net.onnx.data: the sha256 is' in capsys.readouterr().out
    with pytest.raises(IntegrityError, match='net.onnx.data: the sha256 is'):
        Pipeline.load(declared, provider='cpu')
    declared.with_name('net.onnx.data').unlink()
    assert verify(load_descriptor(declared)).state == 'damaged'
    with pytest.raises(IntegrityError, match='net.onnx.data back'):
        Pipeline.load(declared, provider='cpu')


def test_names_that_the_model_does_not_have(declared: Path) -> None:
    with_weights(declared, 'other.data')
    assert verify(load_descriptor(declared)).state == 'unusable'
    with pytest.raises(DescriptorError, match='names other.data.*are in net.onnx.data'):
        Pipeline.load(declared, provider='cpu')


@pytest.mark.parametrize('source, words', [
    ('path: a.onnx, weights: [x]', 'key: value'), ('path: a.onnx, weights: {x: ab}', '64 hex'),
    ('path: a.onnx, weights: {x: 12}', 'quotes'),
    (f'path: a.tar, member: a.onnx, weights: {{x: {"a" * 64}}}', 'archive or directory'),
    (f'url: "https://e.org/a.onnx", sha256: {"a" * 64}, weights: {{x: {"a" * 64}}}',
     'model file at path')])
def test_bad_declarations(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / 'a.yaml').write_text(f'source: {{{source}}}\noutput: {{decoder: yolo}}\n')
    with pytest.raises(DescriptorError, match=f'source.weights.*{words}'):
        load_descriptor(tmp_path / 'a.yaml')


def test_describe_declares_them(tmp_path: Path) -> None:
    path = save(tmp_path / 'net.onnx')
    text, _ = describe_model(path, tmp_path)
    (tmp_path / 'described.yaml').write_text(text)
    descriptor = load_descriptor(tmp_path / 'described.yaml')
    assert dict(descriptor.source.weights) == {'net.onnx.data': sha(tmp_path / 'net.onnx.data')}
    assert verify(descriptor).state == 'ok'


def test_a_bundle_brings_the_weights(declared: Path, tmp_path: Path) -> None:
    with_weights(declared)
    links = link_each(declared.parent, tmp_path / 'install')
    bundle = tmp_path / 'models.tar'
    members = write_bundle([load_descriptor(links / 'named.yaml')], bundle)
    assert 'models/net.onnx.data' in members
    imported = import_bundle(bundle, tmp_path / 'robot', FetchOptions(cache=tmp_path / 'cache'))
    descriptor = load_descriptor(imported.models[0])
    assert verify(descriptor).state == 'ok' and descriptor.directory == tmp_path / 'robot'
    np.testing.assert_allclose(run(tmp_path / 'robot/net.onnx'), expected(), rtol=1e-5)
    roll(declared)
    with pytest.raises(IntegrityError, match='sha256'):
        write_bundle([load_descriptor(declared)], bundle)
    declared.with_name('net.onnx.data').unlink()
    with pytest.raises(ModelNotFoundError, match='net.onnx.data back'):
        write_bundle([load_descriptor(declared)], bundle)


def test_check_tells_of_linked_and_missing_weights(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = link_each(save(tmp_path / 'src/net.onnx').parent, tmp_path / 'install') / 'net.onnx'
    main(['models', 'check', str(path), '--json'])
    assert not json.loads(capsys.readouterr().out)['problems']
    (tmp_path / 'src/net.onnx.data').unlink()
    main(['models', 'check', str(path), '--json'])
    assert 'net.onnx.data is missing' in str(json.loads(capsys.readouterr().out)['problems'])
