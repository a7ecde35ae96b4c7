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

"""Embeddings: the decoder, the result, the command line and the server's refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
from known_results import problems_with
import numpy as np
import pytest
from ros2_classify import draw, Embedding, Pipeline, Timing
from ros2_classify.cli import main
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, InputError, OutputError
from ros2_classify.inspection.check import check_model
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
from ros2_classify.testing import save_color_classifier, save_constant_model

DECODER = DECODERS['embedding']
NO_TIME = Timing(0.0, 0.0, 0.0)


def decode(outputs: dict[str, Any], **options: Any) -> np.ndarray:
    decoded: Any = DECODER.decode(
        outputs, DECODER.parse_options(options), DecodeContext((8, 8), 0.0))
    assert decoded.values.dtype == np.float32
    return decoded.values


def embedding(*values: float) -> Embedding:
    return Embedding(np.array(values), (64, 48), NO_TIME)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine by its definition, in whole sums."""
    dot = sum(float(a) * float(b) for a, b in zip(one, other))
    return dot / (sum(float(a) ** 2 for a in one) * sum(float(b) ** 2 for b in other)) ** 0.5


@pytest.mark.parametrize('shape', [(1, 6), (1, 6, 1, 1), (6,), (1, 1, 6)])
@pytest.mark.parametrize('dtype', [np.float32, np.float16, np.float64])
def test_shapes_and_types(shape: tuple[int, ...], dtype: Any) -> None:
    values = np.random.default_rng(1).normal(size=6).astype(dtype)
    given = values.reshape(shape)
    got = decode({'e': given})
    assert np.array_equal(got, values.astype(np.float32))
    given[...] = 0  # the memory of an engine
    assert got.any()


@pytest.mark.parametrize('outputs, options, words', [
    ({'a': np.ones((1, 4)), 'b': np.ones((1, 4))}, {}, 'several outputs.*output.output'),
    ({'a': np.ones((1, 4))}, {'output': 'b'}, "no output 'b'"),
    ({'a': np.ones((1, 4, 4))}, {}, r'\[1, 4, 4\].*like \[1, N\]'),
    ({'a': np.ones((1, 1))}, {}, r'like \[1, N\]'),
    ({'a': np.ones((1, 4), np.uint8)}, {}, 'quantized'),
    ({'a': np.array([['a', 'b']])}, {}, 'must hold numbers')])
def test_outputs_that_do_not_fit(
        outputs: dict[str, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(OutputError, match=words):
        decode(outputs, **options)


def test_one_of_several_outputs() -> None:
    outputs = {'hidden': np.ones((1, 5, 4)), 'pooled': np.arange(4.0).reshape(1, 4)}
    assert decode(outputs, output='pooled').tolist() == [0, 1, 2, 3]


def test_the_cosine() -> None:
    rng = np.random.default_rng(3)
    for scale in (1.0, 1e-30, 1e30):
        one, other = rng.normal(size=(2, 512)).astype(np.float32) * np.float32(scale)
        a, b = embedding(*one), embedding(*other)
        assert a.cosine_similarity(b) == pytest.approx(cosine(one, other), abs=1e-6)
        assert a.cosine_similarity(a) == pytest.approx(1, abs=1e-12)
        assert a.cosine_similarity(embedding(*-one)) == pytest.approx(-1, abs=1e-12)
    assert embedding(1, 0).cosine_similarity(embedding(0, 5)) == 0
    with pytest.raises(OutputError, match='2 and 3 numbers'):
        embedding(1, 0).cosine_similarity(embedding(1, 0, 0))


@pytest.mark.parametrize('vector, size, words', [
    ([[1.0]], (1, 1), 'shape'), ([], (1, 1), 'shape'), ([1, np.nan], (1, 1), 'nan'),
    ([1, np.inf], (1, 1), 'inf'), ([0, 0], (1, 1), 'no direction'), ([1, 2], (0, 1), 'at least')])
def test_bad_vectors(vector: Any, size: tuple[int, int], words: str) -> None:
    with pytest.raises(OutputError, match=words):
        Embedding(np.array(vector, float), size, NO_TIME)


def test_the_result() -> None:
    found = embedding(3, 4)
    assert (found.task, len(found)) == ('embedding', 2)
    assert found.to_dict()['results'] == [{'vector': [3.0, 4.0]}]
    assert str(found) == 'embedding of 2 numbers, norm 5: 3, 4'
    with pytest.raises(ValueError, match='read-only'):
        found.vector[0] = 1
    with pytest.raises(InputError, match='is Embedding but'):
        draw(np.zeros((8, 8, 3), np.uint8), found)  # type: ignore[arg-type]


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the descriptor of a model whose vector is the mean colour, and save two images."""
    save_color_classifier(tmp_path / 'colors.onnx')
    (tmp_path / 'encoder.yaml').write_text(
        'task: embedding\nsource: {path: colors.onnx}\ninput: {scale: 1/255}\n'
        'output: {decoder: embedding}\n')
    (tmp_path / 'colors.yaml').write_text(
        'source: {path: colors.onnx}\ninput: {scale: 1/255}\noutput: {decoder: classification}\n')
    for name, color in (('one', (10, 60, 200)), ('other', (200, 60, 10))):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.full((20, 40, 3), color, np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'encoder.yaml'


def infer(*more: str, model: str = 'encoder.yaml') -> int:
    return main(['infer', '--model', model, '--image', 'one.png', '--provider', 'cpu', *more])


def test_images_are_compared(encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    want = cosine(np.array([200, 60, 10]), np.array([10, 60, 200]))
    assert infer('--against', 'other.png', '--json') == 0
    found = json.loads(capsys.readouterr().out)
    assert found['task'] == 'embedding'
    np.testing.assert_allclose(
        found['results'][0]['vector'], np.array([200, 60, 10]) / 255, atol=1e-3)
    assert found['against'] == {
        'image': 'other.png', 'cosine_similarity': pytest.approx(want, abs=1e-3),
        'cosine_distance': pytest.approx(1 - want, abs=1e-3)}
    assert infer('--against', 'other.png') == 0
    printed = capsys.readouterr().out
    assert f'cosine similarity {want:.2f}' in printed and 'embedding of 3 numbers' in printed
    assert infer('--json') == 0
    assert 'against' not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize('more, model, words', [
    (('--against', 'other.png'), 'colors.yaml', '--against compares embeddings'),
    (('--against', 'missing.png'), 'encoder.yaml', 'missing.png'),
    (('--output', 'drawn.png'), 'encoder.yaml', 'cannot be drawn')])
def test_options_that_do_not_fit(
        encoder: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], model: str,
        words: str) -> None:
    assert infer(*more, model=model) != 0
    assert words in capsys.readouterr().err


def test_a_model_file_is_an_embedding_only_if_somebody_says_so(encoder: Path) -> None:
    directory = encoder.parent
    save_constant_model(
        directory / 'm.onnx', {'vector': np.linspace(-2, 3, 512, dtype=np.float32)[np.newaxis]})
    with pytest.raises(DescriptorError, match='or an embedding'):
        Pipeline.load(directory / 'm.onnx', provider='cpu')
    declared = ModelDescriptor.from_mapping(
        {'source': {'path': str(directory / 'm.onnx')}, 'task': 'embedding'})
    with Pipeline.load(declared, provider='cpu', task='embedding') as pipeline:
        assert len(pipeline(np.zeros((8, 8, 3), np.uint8), 'rgb')) == 512
        assert 'input.mean' in pipeline.descriptor.unverified
    with pytest.raises(DescriptorError, match='the task is embedding, but detection'):
        Pipeline.load(encoder, provider='cpu', task='detection')


def test_check_and_known_results(encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not check_model(encoder).problems
    assert main(['models', 'check', str(encoder)]) == 0
    assert main(['models', 'describe', str(encoder)]) == 0
    assert 'decoder: embedding' in capsys.readouterr().out
    encoder.write_text(
        f'{encoder.read_text()}expected:\n'
        f'  image: {{name: one.png, sha256: {"a" * 64}, source: here}}\n'
        '  results: [{label: a, score: 0.5}]\n  basis: none\n')
    expected = load_descriptor(encoder).expected
    assert expected is not None
    assert 'no classes or boxes' in problems_with(expected, embedding(1, 2))[0]


def test_the_server_refuses_them(encoder: Path) -> None:
    pytest.importorskip('rclpy')
    from types import SimpleNamespace

    from ros2_classify.ros.server.model import load_model
    from ros2_classify.ros.server.specs import PARAMETERS

    settings = {spec.name: spec.default for spec in PARAMETERS}
    log = SimpleNamespace(**dict.fromkeys(('info', 'warning', 'error', 'debug'), print))
    with pytest.raises(DescriptorError, match='ROS has no message.*infer --against'):
        load_model(str(encoder), settings, log)
