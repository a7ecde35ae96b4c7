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


"""How much two results disagree, from 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from ros2_classify_evaluation.metrics.detection import ious

_IOU = 0.5


def disagreement(result: Any, other: Any, threshold: float) -> float:
    """Return 1 less the F1 of one result against the other; of classes, how much they differ."""
    if result.task == 'classification':
        best = {name: float(score) for name, score in zip(result.labels, result.scores)}
        theirs = {name: float(score) for name, score in zip(other.labels, other.scores)}
        return float(np.clip(sum(abs(best.get(name, 0.0) - theirs.get(name, 0.0))
                                 for name in best.keys() | theirs.keys()) / 2, 0, 1))
    one, two = (each.select(each.scores >= threshold) for each in (result, other))
    if not len(one) and not len(two):
        return 0.0
    if not len(one) or not len(two):
        return 1.0
    same = (ious(one.boxes.astype(float), two.boxes.astype(float)) >= _IOU) & (
        one.labels[:, None] == two.labels[None, :])
    matched = min(int(same.any(axis=0).sum()), int(same.any(axis=1).sum()))
    return 1 - 2 * matched / (len(one) + len(two))
