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

"""What ``models tune`` asks of labelled data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ros2_classify import Pipeline
from ros2_classify_evaluation.datasets import open_dataset
from ros2_classify_evaluation.datasets.base import Sample
from ros2_classify_evaluation.predict import predict
from ros2_classify_evaluation.report import make_report


def labelled_samples(source: str) -> Sequence[Sample]:
    """Return the samples of a dataset; InputError if it is none."""
    return open_dataset(source).samples


def accuracy(pipeline: Pipeline[Any], source: str, limit: int) -> tuple[str, float, int]:
    """Return the headline measure on a dataset, its value, and on how many images."""
    dataset = open_dataset(source)
    step = max(1, len(dataset.samples) // limit)
    # Datasets are often sorted by class: every n-th, not the first ones.
    dataset = replace(dataset, samples=dataset.samples[::step][:limit])
    report = make_report(predict(pipeline, dataset), dataset)
    name, value = next(iter(report.measures.items()))
    return name, float(value.value), len(dataset.samples)
