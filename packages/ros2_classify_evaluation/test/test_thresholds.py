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


"""Thresholds: what a goal asks for, and what overfits."""

import json

import numpy as np
import pytest
from ros2_classify import cli, load_descriptor, OptionsError
from ros2_classify_evaluation.names import match_names
from ros2_classify_evaluation.predict import Predictions
from ros2_classify_evaluation.thresholds import (
    best_threshold, choose, class_thresholds, parse_goal, Ranked, rare)
import yaml


def ranked(scores, right, total=None):
    order = np.argsort(-np.array(scores), kind='stable')
    right = np.array(right, bool)
    positives = np.zeros(len(scores), np.int64)
    positives[0] = int(right.sum()) if total is None else total
    return Ranked(np.array(scores, float)[order], right[order], order, positives)


SOME = ranked([0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False])


@pytest.mark.parametrize('goal, expected', [
    # F1 of the first one to five: 0.5, 0.8, 0.67, 0.86, 0.75.
    ('f1', 0.55),
    ('precision=1', 0.75),
    ('precision=0.75', 0.55),
    ('recall=0.6', 0.75),
    ('recall=1', 0.55),
    ('cost=1:0', 1.0),
    ('cost=10:1', 0.75),
    ('cost=1:10', 0.55),
])
def test_the_threshold_of_a_goal(goal, expected):
    found = best_threshold([SOME], parse_goal(goal))
    if goal == 'cost=1:0':
        # No alarm is false above the first mistake.
        assert 0.7 < found <= 1.0
    else:
        assert found == pytest.approx(expected)


@pytest.mark.parametrize('goal', ['f2', 'precision', 'precision=2', 'cost=1', 'cost=-1:2',
                                  'recall=0'])
def test_unknown_goals_are_refused(goal):
    with pytest.raises(OptionsError, match='--for is'):
        parse_goal(goal)


def test_few_examples_stay_near_the_common_threshold():
    few = ranked([0.31, 0.2], [True, False])
    high = ranked(np.linspace(0.9, 0.6, 400), np.arange(400) < 300)
    low = ranked(np.linspace(0.5, 0.2, 400), np.arange(400) < 300)
    common, own, shrunk = class_thresholds([few, high, low], parse_goal('f1'))
    assert own[1] > 0.6 > 0.4 > own[2]
    assert abs(shrunk[0] - common) <= 0.05 * abs(own[0] - common)
    # Many examples keep most of their own.
    for number in (1, 2):
        assert abs(shrunk[number] - own[number]) == pytest.approx(
            0.25 * abs(common - own[number]))


def predictions(images=400, classes=12, seed=0):
    """Return images with several labels, whose scores say as much for each class."""
    random = np.random.default_rng(seed)
    names = [f'class {number}' for number in range(classes)]
    truth = random.random((images, classes)) < 0.15
    scores = 1 / (1 + np.exp(-(2.2 * truth - 1.1 + random.normal(0, 1.2, truth.shape))))
    return Predictions(
        'classification', match_names(names, dict(enumerate(names)), {}),
        [str(number) for number in range(images)], 0.5, multi_label=True, truth=truth,
        scores=scores)


def test_thresholds_of_classes_look_better_than_they_are():
    rows = {row.way: row for row in choose(predictions(), parse_goal('f1'))}
    assert list(rows) == ['default', 'common', 'per class', 'shrunk']
    assert rows['per class'].chosen > rows['common'].chosen
    assert rows['per class'].chosen - rows['per class'].others > 0.02
    assert rows['shrunk'].others > rows['per class'].others
    assert rows['default'].chosen == pytest.approx(rows['default'].others)
    assert all(row.low < row.others < row.high for row in rows.values())


def test_rare_classes_are_named():
    found = predictions()
    found.truth[:, 3] = False
    found.truth[:7, 3] = True
    assert ('class 3', 7) in rare(found)


def test_too_few_images_are_refused():
    with pytest.raises(OptionsError, match='9 images are too few'):
        choose(predictions(9), parse_goal('f1'))


def run(capsys, *words):
    code = cli.main(['models', 'threshold', *map(str, words)])
    return code, *capsys.readouterr()


def test_a_descriptor_is_written_that_loads(capsys, sets, tmp_path):
    path = tmp_path / 'my.yaml'
    code, out, err = run(capsys, 'cards_detector', sets['coco'], '--write', path, '--json')
    assert code == 0
    common = json.loads(out)['ways']['common']['thresholds']['stop']
    assert load_descriptor(path).defaults.score_threshold == pytest.approx(common)
    assert f'24 images of {sets["coco"]}' in path.read_text()
    assert yaml.safe_load(path.read_text())['name'] == 'cards_detector'


def test_rare_classes_have_no_threshold_of_their_own(capsys, sets):
    code, _, err = run(capsys, 'cards_detector', sets['coco'], '--per-class')
    assert code == 2 and 'too few examples for a threshold of their own' in err
