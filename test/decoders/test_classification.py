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

"""The classification decoder against sorting by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import pipeline_of
import numpy as np
import pytest

from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError
from ros2_classify.testing import save_constant_model

DECODER = DECODERS['classification']


def decode(
    given: Any, threshold: float = 0.0, top_k: int = 5, multi_label: bool = False, **options: Any,
) -> list[tuple[int, float]]:
    """Return (class id, score) pairs."""
    outputs = given if isinstance(given, dict) else {'scores': np.asarray(given)}
    decoded: Any = DECODER.decode(outputs, DECODER.parse_options(options), DecodeContext(
        (8, 8), threshold, top_k, multi_label))
    assert decoded.class_ids.dtype == np.int64
    assert decoded.scores.dtype == np.float32
    return list(zip(decoded.class_ids.tolist(), decoded.scores.tolist()))


def by_hand(scores: Any, threshold: float, top_k: int) -> list[int]:
    """Return the ids over a threshold, best first, the lower id first among equals."""
    rows = [i for i, score in enumerate(scores) if score >= threshold]
    return sorted(rows, key=lambda i: (-scores[i], i))[:top_k]


@pytest.mark.parametrize('shape', [(1, 50), (1, 50, 1, 1), (50,), (1, 1, 1, 50), (50, 1)])
@pytest.mark.parametrize('dtype', [np.float32, np.float16, np.float64])
def test_shapes_and_types(shape: tuple[int, ...], dtype: Any) -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(50)).astype(dtype)
    got = decode(values.reshape(shape), threshold=0.01, top_k=7)
    assert [class_id for class_id, _ in got] == by_hand(values, dtype(0.01), 7)
    assert [score for _, score in got] == pytest.approx(
        [float(values[class_id]) for class_id, _ in got])


def test_softmax_and_sigmoid() -> None:
    logits = np.random.default_rng(1).normal(0, 4, 30).astype(np.float32)
    powers = [math.exp(value) for value in logits.tolist()]
    for class_id, score in decode(logits, activation='softmax', top_k=30):
        assert score == pytest.approx(powers[class_id] / sum(powers), rel=1e-5)
    for class_id, score in decode(logits, activation='sigmoid', top_k=30):
        assert score == pytest.approx(1 / (1 + math.exp(-logits[class_id])), rel=1e-5)


def test_logits_of_any_size() -> None:
    """Neither overflows, and nothing is warned of."""
    logits = np.array([-3e38, -200.0, 0.0, 500.0, 3e38], np.float32)
    with np.errstate(all='raise', under='ignore'):
        assert decode(logits, activation='softmax')[0] == (4, 1.0)
        assert decode(logits, activation='sigmoid', top_k=2) == [(3, 1.0), (4, 1.0)]


def test_the_threshold_itself_is_over_it() -> None:
    assert decode([0.25, 0.5, 0.125], threshold=0.25) == [(1, 0.5), (0, 0.25)]
    assert decode([0.25, 0.5], threshold=0.75) == []


@pytest.mark.parametrize('top_k', [1, 2, 3, 5, 8, 20])
def test_equal_scores_are_ordered_by_id(top_k: int) -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        values = rng.integers(0, 4, 12) / 4
        got = decode(values.astype(np.float32), top_k=top_k)
        assert [class_id for class_id, _ in got] == by_hand(values, 0.0, top_k)


@pytest.mark.parametrize('shape', [(1, 1), (1,), (1, 1, 1, 1), ()])
@pytest.mark.parametrize(('value', 'activation', 'second'), [
    (0.881, 'none', 0.881), (0.25, 'none', 0.25), (2.0, 'sigmoid', 1 / (1 + math.exp(-2))),
    (-1.0, 'sigmoid', 1 / (1 + math.exp(1)))])
def test_one_number_for_two_labels(
        tmp_path: Path, shape: tuple[int, ...], value: float, activation: str, second: float,
) -> None:
    """It is the probability of the second label, or its logit."""
    output = {'decoder': 'classification', 'binary': True, 'activation': activation}
    path = save_constant_model(
        tmp_path / 'net.onnx', {'dense': np.full(shape, value, np.float32)},
        input_shape=(1, 3, 8, 8))
    with pipeline_of(path, output, labels=['cat', 'dog'], threshold=0.0) as pipeline:
        result: Any = pipeline(np.zeros((8, 8, 3), np.uint8))
    expected = sorted([('dog', second), ('cat', 1 - second)], key=lambda pair: -pair[1])
    assert list(result.labels) == [name for name, _ in expected]
    assert result.scores.tolist() == pytest.approx([score for _, score in expected], abs=1e-6)


def test_one_number_for_two_labels_that_cannot_be(tmp_path: Path) -> None:
    for given, words in ((3.0, 'activation: sigmoid'), (-0.1, 'activation: sigmoid'),
                         ([0.2, 0.8], 'probability of the second class')):
        with pytest.raises(OutputError, match=words):
            decode(given, binary=True)
    assert decode(np.nan, binary=True) == decode(-np.inf, binary=True, activation='sigmoid') == []
    with pytest.raises(DescriptorError, match='softmax of one number'):
        decode(0.5, binary=True, activation='softmax')
    path = save_constant_model(
        tmp_path / 'net.onnx', {'dense': np.full((1, 1), 0.7, np.float32)},
        input_shape=(1, 3, 8, 8))
    with pytest.raises(OutputError, match=r'labels 2, outputs 1.*output.binary: true'):
        with pipeline_of(path, {'decoder': 'classification'}, labels=['cat', 'dog']) as pipeline:
            pipeline.warm_up()


def test_one_of_several_heads(tmp_path: Path) -> None:
    heads = {'age': np.float32([[0.1, 0.2, 0.7]]), 'gender': np.float32([[0.9, 0.1]]),
             'embedding': np.zeros((1, 512), np.float32)}
    path = save_constant_model(tmp_path / 'net.onnx', heads, input_shape=(1, 3, 8, 8))
    for head, labels, best in (('age', ['child', 'adult', 'old'], 'old'),
                               ('gender', ['female', 'male'], 'female')):
        output = {'decoder': 'classification', 'output': head}
        with pipeline_of(path, output, labels=labels, threshold=0.0) as pipeline:
            result: Any = pipeline(np.zeros((8, 8, 3), np.uint8))
        assert result.labels[0] == best
        assert result.scores.tolist() == sorted(heads[head][0].tolist(), reverse=True)


def test_every_label_over_the_threshold() -> None:
    values = np.linspace(0, 1, 41).astype(np.float32)
    got = decode(values, threshold=0.5, top_k=3, multi_label=True)
    assert [class_id for class_id, _ in got] == list(range(40, 19, -1))


def test_the_background_is_never_reported() -> None:
    got = decode([0.9, 0.06, 0.04], background=0)
    assert got == [(1, pytest.approx(0.06)), (2, pytest.approx(0.04))]
    # It still takes its part of the softmax.
    got = decode(np.log([0.9, 0.06, 0.04]), background=0, activation='softmax', top_k=1)
    assert got == [(1, pytest.approx(0.06, rel=1e-4))]
    assert decode([0.9, 0.1], background=0, multi_label=True, threshold=0.5) == []


@pytest.mark.parametrize('activation', ['none', 'softmax', 'sigmoid'])
def test_what_is_not_finite_is_dropped(activation: str) -> None:
    values = np.array([np.nan, 0.2, np.inf, 0.7, -np.inf], np.float32)
    got = decode(values, activation=activation)
    assert [class_id for class_id, _ in got] == [3, 1]
    assert all(math.isfinite(score) for _, score in got)
    assert decode(np.full(4, np.nan, np.float32), activation=activation) == []


def test_a_named_output() -> None:
    outputs = {'features': np.zeros((1, 4)), 'head:0': np.array([[0.1, 0.9]])}
    assert decode(outputs, output='head')[0] == (1, pytest.approx(0.9))
    assert decode(outputs, output='head:0')[0] == (1, pytest.approx(0.9))
    with pytest.raises(OutputError, match=r"no output 'tail'.*'features' float64 \[1, 4\]"):
        decode(outputs, output='tail')
    with pytest.raises(OutputError, match='several outputs.*output.output'):
        decode(outputs)


@pytest.mark.parametrize('shape', [(1, 50, 2), (2, 50), (1, 0), (1, 7, 7, 50)])
def test_outputs_of_no_classifier(shape: tuple[int, ...]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(np.zeros(shape, np.float32))
    assert str(list(shape)) in str(caught.value)
    assert '[1, N]' in str(caught.value)
    assert "'scores'" in str(caught.value)


def test_text_is_no_score() -> None:
    with pytest.raises(OutputError, match='must hold numbers'):
        decode(np.array([['cat', 'dog']], dtype=object))


def test_the_number_of_classes() -> None:
    outputs = {'scores': np.zeros((1, 1001, 1, 1), np.float32)}
    assert DECODER.class_count(outputs, DECODER.parse_options({})) == 1001


@pytest.mark.parametrize(('options', 'words'), [
    ({'activation': 'relu'}, ['activation', 'relu', 'none, softmax, sigmoid']),
    ({'multi_label': 1}, ['multi_label', 'true or false']),
    ({'background': -1}, ['background', '-1']),
    ({'backgrond': 0}, ['backgrond', 'background']),
])
def test_wrong_options(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize('value', [False, 'none'])
def test_no_background_in_words(value: Any) -> None:
    assert DECODER.parse_options({'background': value}).background is None
