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

"""Several results of one inference: descriptor, Python, command line, bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import head_models
import numpy as np
from numpy.typing import NDArray
import pytest

from ros2_classify.autoconfig.complete import complete
from ros2_classify.bundle import local_files
from ros2_classify.cli import main
from ros2_classify.engines import open_engine, Tensors
from ros2_classify.errors import DescriptorError, OutputError
from ros2_classify.inspection.check import check_model
from ros2_classify.inspection.describe import describe_model
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Classification, Detections
from ros2_classify.testing import FakeEngine, tensor

PINK = np.full((20, 30, 3), (250, 10, 120), np.uint8)
TEAL = np.full((16, 16, 3), (5, 140, 150), np.uint8)
TWO = {
    'sex': {'decoder': 'classification', 'output': 'sex', 'activation': 'softmax',
            'labels': ['female', 'male']},
    'age': {'decoder': 'classification', 'output': 'age', 'labels': ['0', '10', '20', '30'],
            'defaults': {'top_k': 2}}}
MIXED = {
    'objects': {'decoder': 'boxes_scores', 'outputs': {'boxes': 'boxes', 'scores': 'scores'},
                'activation': 'sigmoid', 'normalized': False, 'labels': ['cup', 'pen'],
                'nms': 'none', 'defaults': {'score_threshold': 0.6}},
    'age': {'decoder': 'classification', 'output': 'age', 'activation': 'softmax',
            'defaults': {'top_k': 4}}}


def described(path: Path, heads: dict[str, Any]) -> ModelDescriptor:
    return ModelDescriptor.from_mapping({
        'name': 'heads', 'source': {'path': str(path)}, 'input': head_models.FEED,
        'heads': heads})


def as_expected(found: Classification, scores: NDArray[np.float64], names: list[str]) -> None:
    order = np.argsort(-scores)[:len(found)]
    assert found.class_ids.tolist() == order.tolist()
    assert found.labels.tolist() == [names[each] for each in order]
    np.testing.assert_allclose(found.scores, scores[order], atol=1e-5)


@pytest.mark.parametrize('image', [PINK, TEAL])
def test_two_classifiers_in_one_model(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    path = head_models.save_two_classifiers(tmp_path / 'two.onnx')
    with Pipeline.load(described(path, TWO), task='classification', provider='cpu') as pipeline:
        found = pipeline(image)
    as_expected(found, head_models.sexes(image), ['female', 'male'])
    assert list(found.others) == ['age']
    age = found.others['age']
    assert isinstance(age, Classification) and len(age) == 2
    as_expected(age, head_models.ages(image), ['0', '10', '20', '30'])
    assert age.timing.inference == found.timing.inference


@pytest.mark.parametrize('image', [PINK, TEAL])
def test_a_detector_and_a_classifier_in_one_model(
    tmp_path: Path, image: NDArray[np.uint8],
) -> None:
    path = head_models.save_detector_and_classifier(tmp_path / 'mixed.onnx')
    with Pipeline.load(described(path, MIXED), provider='cpu') as pipeline:
        found = pipeline(image)
        assert pipeline.task == 'detection'
        assert {name: head.task for name, head in pipeline.others.items()} == {
            'age': 'classification'}
    assert isinstance(found, Detections)
    expected = head_models.objects(image, 0.6)
    assert expected and len(found) == len(expected)
    assert found.class_ids.tolist() == [each[0] for each in expected]
    np.testing.assert_allclose(found.scores, [each[1] for each in expected], atol=1e-5)
    np.testing.assert_allclose(found.boxes, [each[2] for each in expected], atol=1e-3)
    age = found.others['age']
    assert isinstance(age, Classification) and len(age) == 4
    as_expected(age, head_models.ages(image), ['0', '1', '2', '3'])


def test_all_heads_are_of_one_run(tmp_path: Path) -> None:
    path = head_models.save_two_classifiers(tmp_path / 'two.onnx')
    real = open_engine(path, 'onnx', provider='cpu')
    engine = FakeEngine(real.inputs, real.outputs, real.infer)
    descriptor = described(path, TWO)
    pipeline: Pipeline[Any] = Pipeline(
        complete(descriptor, real), engine, descriptor.load_labels())
    assert pipeline(PINK).others and len(engine.calls) == 1
    assert [each.others['age'].labels[0] for each in pipeline.many([PINK, TEAL])] == ['0', '20']
    assert len(engine.calls) == 3
    pipeline.close()
    real.close()


def test_in_json_others_are_below_their_names(tmp_path: Path) -> None:
    path = head_models.save_two_classifiers(tmp_path / 'two.onnx')
    with Pipeline.load(described(path, TWO), provider='cpu') as pipeline:
        data = pipeline(PINK).to_dict()
    assert data['others']['age']['task'] == 'classification'
    assert data['others']['age']['results'][0]['label'] == '0'
    assert json.loads(json.dumps(data)) == data


def test_infer_prints_each_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / 'two.yaml'
    head_models.save_two_classifiers(tmp_path / 'two.onnx')
    model.write_text(json.dumps({
        'source': {'path': 'two.onnx'}, 'input': head_models.FEED, 'heads': TWO}))
    image = tmp_path / 'pink.png'
    cv2.imwrite(str(image), PINK[..., ::-1])
    arguments = ['infer', '--model', str(model), '--image', str(image)]
    assert main([*arguments, '--json']) == 0
    data = json.loads(capsys.readouterr().out)
    assert data['head'] == 'sex' and data['results'][0]['label'] == 'female'
    assert [row['label'] for row in data['others']['age']['results']] == ['0', '30']
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.index('sex:') < lines.index('age (classification):')
    assert any(line.startswith('0 ') for line in lines[lines.index('age (classification):'):])


def test_a_descriptor_with_heads_is_written_as_it_was(tmp_path: Path) -> None:
    path = head_models.save_detector_and_classifier(tmp_path / 'mixed.onnx')
    data = mapping_of(described(path, MIXED))
    assert data['heads'] == MIXED
    assert not {'output', 'labels', 'defaults', 'task'} & data.keys()
    assert ModelDescriptor.from_mapping(data).heads == described(path, MIXED).heads


def test_described_heads_are_a_valid_descriptor(tmp_path: Path) -> None:
    path = head_models.save_detector_and_classifier(tmp_path / 'mixed.onnx')
    text, report = describe_model(described(path, MIXED), tmp_path)
    assert not report.problems
    written = tmp_path / 'written.yaml'
    written.write_text(text)
    assert [head.name for head in load_descriptor(written).heads] == ['objects', 'age']


def test_each_head_is_checked(tmp_path: Path) -> None:
    path = head_models.save_two_classifiers(tmp_path / 'two.onnx')
    assert not check_model(described(path, TWO)).problems
    wrong = {**TWO, 'age': {**TWO['age'], 'activation': 'softmax'}}
    problems = check_model(described(path, wrong)).problems
    assert len(problems) == 1
    assert problems[0].startswith('head age: these are probabilities already')


def test_a_bundle_has_the_labels_of_each_head(tmp_path: Path) -> None:
    head_models.save_two_classifiers(tmp_path / 'two.onnx')
    heads = {name: {**head, 'labels': f'{name}.txt'} for name, head in TWO.items()}
    for name, head in TWO.items():
        (tmp_path / f'{name}.txt').write_text('\n'.join(head['labels']))
    (tmp_path / 'two.yaml').write_text(json.dumps({
        'source': {'path': 'two.onnx'}, 'input': head_models.FEED, 'heads': heads}))
    found = dict(local_files(load_descriptor(tmp_path / 'two.yaml')))
    assert {'models/sex.txt', 'models/age.txt'} <= found.keys()


def test_labels_of_a_head_must_fit_it(tmp_path: Path) -> None:
    path = head_models.save_two_classifiers(tmp_path / 'two.onnx')
    heads = {**TWO, 'age': {**TWO['age'], 'labels': ['young', 'old']}}
    with Pipeline.load(described(path, heads), provider='cpu') as pipeline:
        with pytest.raises(OutputError, match=r'heads\.age: labels 2, outputs 4'):
            pipeline.warm_up()


def test_names_in_the_file_are_given_to_no_head(tmp_path: Path) -> None:
    engine = FakeEngine(
        [tensor('image', (1, 3, 8, 8))], [tensor('a', (1, 2)), tensor('b', (1, 2))],
        {name: np.array([[0.4, 0.6]], np.float32) for name in 'ab'},
        metadata={'names': "{0: 'left', 1: 'right'}"})
    done = complete(described(tmp_path / 'x.onnx', {
        name: {'decoder': 'classification', 'output': name} for name in 'ab'}), engine)
    assert done.labels is None and all(head.labels is None for head in done.heads)
    assert all(head.input == done.input for head in done.heads)


def test_whole_numbers_are_scaled_as_each_head_says(tmp_path: Path) -> None:
    def outputs(inputs: Tensors) -> Tensors:
        return {'a': np.array([[10, 90]], np.uint8), 'b': np.array([[50, 250]], np.uint8)}

    heads = {'first': {'decoder': 'classification', 'output': 'a', 'scale': 0.01},
             'second': {'decoder': 'classification', 'output': 'b', 'scale': 0.002,
                        'zero_point': 50}}
    engine = FakeEngine(
        [tensor('image', (1, 3, 8, 8))],
        [tensor('a', (1, 2), np.uint8), tensor('b', (1, 2), np.uint8)], outputs)
    pipeline: Pipeline[Any] = Pipeline(
        complete(described(tmp_path / 'x.onnx', heads), engine), engine)
    found = pipeline(PINK)
    np.testing.assert_allclose(found.scores, [0.9, 0.1], atol=1e-6)
    np.testing.assert_allclose(found.others['second'].scores, [0.4, 0.0], atol=1e-6)


HEAD = {'decoder': 'classification', 'output': 'a'}


@pytest.mark.parametrize('changes, message', [
    ({'heads': {}}, 'heads: is empty'),
    ({'heads': {'a b': HEAD}}, "'a b' must be 1 to 50 letters"),
    ({'heads': {'a__b': HEAD}}, "'a__b' must be"),
    ({'heads': {'a': {'decoder': 'classification'}}},
     r'heads\.a: names no model output; set output,'),
    ({'heads': {'a': {'decoder': 'ssd'}}}, 'set outputs, so that no two heads'),
    ({'heads': {'a': {'output': 'a'}}}, 'decoder is missing'),
    ({'heads': {'a': {}}}, 'decoder is missing'),
    ({'heads': {'a': {**HEAD, 'lables': ['x']}}}, "unknown key 'lables'"),
    ({'heads': {'a': HEAD}, 'labels': ['x']}, 'labels: is for a model with one result'),
    ({'heads': {'a': HEAD}, 'output': HEAD}, 'output: is for a model with one result'),
    ({'heads': {'a': HEAD}, 'defaults': {'top_k': 1}}, 'defaults: is for a model with one'),
    ({'heads': {'a': HEAD}, 'task': 'detection'}, 'task: detection does not fit the decoder'),
])
def test_what_heads_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        ModelDescriptor.from_mapping({'source': {'path': 'x.onnx'}, **changes})
