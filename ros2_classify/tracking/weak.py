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

"""What a tracker must see and what is published: weak boxes help, but are no results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ros2_classify.filters import class_filter
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options
from ros2_classify.results.detections import Detections


def lowered(options: Options, low: float) -> Options:
    """Return the options of a call whose detections are for a tracker."""
    thresholds = {name: min(score, low) for name, score in options.class_thresholds.items()}
    return options.replace(
        score_threshold=min(options.score_threshold, low), class_thresholds=thresholds)


def results(found: Detections, options: Options, labels: Labels | None) -> Detections:
    """Return the detections that the options of the caller ask for."""
    classes = class_filter(options, labels)
    rows: NDArray[np.bool_] = (
        found.scores >= np.float32(options.score_threshold) if classes is None
        else classes.passes(found.class_ids, found.scores))
    return found if rows.all() else found.select(rows)
