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

"""Measures of classes and rankings: equal to scikit-learn, the reference implementation."""

import numpy as np
import pytest
from ros2_classify_evaluation.metrics import classification, ranking
from ros2_classify_evaluation.metrics.bootstrap import interval
from sklearn import metrics


@pytest.fixture(params=range(4))
def predicted_scores(request):
    random = np.random.default_rng(request.param)
    count = 4
    truth = random.choice(count, 300, p=[0.7, 0.15, 0.1, 0.05])
    scores = random.dirichlet(np.ones(count), 300)
    scores[np.arange(300), truth] += random.random(300)
    scores = np.round(scores / scores.sum(axis=1, keepdims=True), 2)
    return truth, scores, scores.argmax(axis=1)


def test_confusion_precision_recall_and_f1(predicted_scores):
    truth, _, predicted = predicted_scores
    table = classification.confusion_matrix(truth, predicted, 4)
    assert (table == metrics.confusion_matrix(truth, predicted, labels=range(4))).all()
    found = classification.per_class(table)
    expected = metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(4), zero_division=0)
    for mine, theirs in zip(found, expected):
        assert mine == pytest.approx(theirs)
    for average, value in (('macro', classification.macro(found.f1)),
                           ('weighted', classification.weighted(found.f1, found.support))):
        assert value == pytest.approx(metrics.f1_score(truth, predicted, average=average))
    assert classification.balanced_accuracy(table) == pytest.approx(
        metrics.balanced_accuracy_score(truth, predicted))


def test_top_k(predicted_scores):
    truth, scores, _ = predicted_scores
    scores = scores + np.random.default_rng(0).uniform(0, 1e-6, scores.shape)
    ranked = np.argsort(-scores, axis=1)
    assert classification.top_k_accuracy(truth, ranked, 2) == pytest.approx(
        metrics.top_k_accuracy_score(truth, scores, k=2))


def test_areas_and_curves(predicted_scores):
    truth, scores, _ = predicted_scores
    for each in range(4):
        right, score = truth == each, scores[:, each]
        assert ranking.average_precision(right, score) == pytest.approx(
            metrics.average_precision_score(right, score))
        assert ranking.roc_area(right, score) == pytest.approx(
            metrics.roc_auc_score(right, score))
        mine, theirs = ranking.roc(right, score), metrics.roc_curve(
            right, score, drop_intermediate=False)
        assert mine.x == pytest.approx(theirs[0])
        assert mine.y == pytest.approx(theirs[1])


def test_several_labels():
    random = np.random.default_rng(5)
    truth = random.random((200, 5)) < 0.3
    scores = np.round(0.5 * truth + 0.5 * random.random((200, 5)), 2)
    found = classification.multi_label(truth, scores, np.full(5, 0.5))
    chosen = scores >= 0.5
    assert found.hamming_loss == pytest.approx(metrics.hamming_loss(truth, chosen))
    assert found.subset_accuracy == pytest.approx(metrics.accuracy_score(truth, chosen))
    assert found.micro_f1 == pytest.approx(metrics.f1_score(truth, chosen, average='micro'))
    assert found.classes.f1 == pytest.approx(metrics.f1_score(truth, chosen, average=None))
    assert found.average_precisions == pytest.approx(
        metrics.average_precision_score(truth, scores, average=None))


def test_mean_iou():
    random = np.random.default_rng(1)
    truth, predicted = random.integers(0, 3, 999), random.integers(0, 3, 999)
    ious, mean = classification.mean_iou(
        classification.confusion_matrix(truth, predicted, 4))
    expected = metrics.jaccard_score(truth, predicted, average=None)
    assert ious[:3] == pytest.approx(expected)
    assert np.isnan(ious[3])
    assert mean == pytest.approx(expected.mean())


def test_calibration_of_a_known_case():
    # Half of those with 0.9 are right, and all with 0.6: |0.5 - 0.9| and |1 - 0.6|.
    found = ranking.calibration(np.array([True, False, True, True]),
                                np.array([0.9, 0.9, 0.6, 0.6]), bins=10)
    assert found.error == pytest.approx(0.4)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 2, 0]


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(3).random(400) < 0.8
    low, high = interval(lambda weights: float((values * weights).sum() / weights.sum()), 400,
                         rounds=500)
    error = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert low == pytest.approx(values.mean() - error, abs=0.01)
    assert high == pytest.approx(values.mean() + error, abs=0.01)
    # Without a mistake in 60: what a rate that low shows in one of 40 such sets.
    assert interval(lambda _: 1.0, 60) == pytest.approx((0.025 ** (1 / 60), 1.0))
    assert interval(lambda _: 0.0, 60) == pytest.approx((0.0, 1 - 0.025 ** (1 / 60)))
    assert interval(lambda _: 0.0, 60, rate=False) == (0.0, 0.0)
    assert interval(lambda _: float('nan'), 10) == pytest.approx((np.nan, np.nan), nan_ok=True)
