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

"""
The families of detectors: what their outputs look like, and how they are fed.

Each function states the hypotheses of one form of outputs. They are generous: what a model's own
numbers contradict is taken away afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

from ros2_classify.autoconfig import (
    dense_detectors, more_than_boxes, named_detectors, paired_detectors, prior_detectors,
    row_detectors)
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis

_FAMILIES = (named_detectors, dense_detectors, row_detectors, paired_detectors, prior_detectors,
             more_than_boxes)


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a detector with these outputs may be."""
    if not evidence.outputs or evidence.exporter_task in ('classify', 'semantic'):
        return
    for family in _FAMILIES:
        yield from family.hypotheses(evidence)
