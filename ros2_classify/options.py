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

"""Thresholds and limits, which may change from call to call."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass
import math
from typing import Any

import numpy as np

from ros2_classify.errors import OptionsError

# If neither the caller nor the descriptor sets a threshold.
_SCORE_THRESHOLD = {'detection': 0.3, 'classification': 0.0, 'segmentation': 0.0, 'embedding': 0.0}
_MULTI_LABEL_THRESHOLD = 0.5
_MAX_COUNT = 10**6
_MOST_CANDIDATES = 100_000
# Non-maximum suppression takes time with the square of the boxes. A frame with more boxes than
# this over the threshold has no information; only the best ones are compared.
MAX_CANDIDATES = 4096
_WHOLE = (int, np.integer)
_REAL = (float, np.floating, *_WHOLE)


@dataclass(frozen=True)
class Options:
    """
    Thresholds and limits, which may change from call to call.

    Parameters
    ----------
    score_threshold : float
        From 0 to 1: results below it are dropped. For segmentation: classes that cover a smaller
        part of the image are not listed.
    top_k : int
        For classification: maximum number of classes.
    nms_iou : float
        From 0 to 1: of two boxes of a class whose intersection over union is greater, the one
        with the lower score is dropped. Only for decoders that need NMS.
    ioa_threshold : float
        From 0 to 1: of two boxes of a class whose intersection is a greater part of the smaller
        one, the one with the lower score is dropped; 0 disables this filter.
    max_detections : int
        For detection: maximum number of boxes.
    multi_label : bool
        For classification: all classes over the threshold, regardless of ``top_k``.
    max_candidates : int
        For detection: maximum number of boxes that are compared, best first; time grows with
        its square.

    Raises
    ------
    OptionsError
        If a value is out of range.

    Examples
    --------
    >>> from ros2_classify import Options
    >>> Options(score_threshold=0.5).replace(max_detections=1).max_detections
    1

    """

    score_threshold: float = 0.3
    top_k: int = 5
    nms_iou: float = 0.45
    ioa_threshold: float = 0.0
    max_detections: int = 100
    multi_label: bool = False
    max_candidates: int = MAX_CANDIDATES

    def __post_init__(self) -> None:
        """Check all ranges."""
        for name in ('score_threshold', 'nms_iou', 'ioa_threshold'):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, _REAL) or not (
                    math.isfinite(value) and 0.0 <= value <= 1.0):
                raise OptionsError(f'{name} is {value!r} but must be a number from 0 to 1')
        for name in ('top_k', 'max_detections', 'max_candidates'):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, _WHOLE) or not (
                    1 <= value <= _MAX_COUNT):
                raise OptionsError(
                    f'{name} is {value!r} but must be a whole number from 1 to {_MAX_COUNT}')
        if self.max_candidates > _MOST_CANDIDATES:
            raise OptionsError(
                f'max_candidates is {self.max_candidates} but must be a whole number from 1 to '
                f'{_MOST_CANDIDATES}')
        if not isinstance(self.multi_label, bool):
            raise OptionsError(f'multi_label is {self.multi_label!r} but must be true or false')

    def replace(self, **changes: Any) -> Options:
        """Return a copy with some values changed; OptionsError if a name is unknown."""
        known = [field.name for field in dataclasses.fields(self)]
        unknown = [name for name in changes if name not in known]
        if unknown:
            raise OptionsError(
                f'the option {unknown[0]!r} is unknown; known are {", ".join(known)}')
        return dataclasses.replace(self, **changes)


def default_options(
    declared: Mapping[str, Any], task: str, *, multi_label: bool,
) -> Options:
    """Return the options of a call that sets none: as declared, or else by the task."""
    values: dict[str, Any] = {
        'score_threshold': _MULTI_LABEL_THRESHOLD if multi_label else _SCORE_THRESHOLD[task],
        'multi_label': multi_label}
    values.update((key, value) for key, value in declared.items() if value is not None)
    return Options(**values)
