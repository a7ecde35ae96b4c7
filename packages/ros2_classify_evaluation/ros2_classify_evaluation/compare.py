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


"""Two models, providers or variants on the same images: what changes, and what may be chance."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify import InputError
from ros2_classify_evaluation.metrics.bootstrap import interval
from ros2_classify_evaluation.report import Report, Value


@dataclass(frozen=True, eq=False)
class Comparison:
    """The other report, and how much each measure is greater in it."""

    other: Report
    differences: dict[str, Value]

    @property
    def headline(self) -> tuple[str, Value]:
        """The first measure and its difference."""
        return next(iter(self.differences.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {'other': self.other.to_dict(),
                'differences': {name: value.to_dict() for name, value in self.differences.items()}}

    def __str__(self) -> str:
        """Return a line for each measure."""
        lines = []
        for name, value in self.differences.items():
            if math.isnan(value.low):
                lines.append(f'{name}: {value.value:+.4f} (too few images for an interval)')
                continue
            clear = value.low > 0 or value.high < 0
            lines.append(
                f'{name}: {value.value:+.4f} ({value.low:+.4f} to {value.high:+.4f}'
                f'{"" if clear else ", may be chance"})')
        return '\n'.join(lines)


def compare(report: Report, other: Report) -> Comparison:
    """
    Compare two reports over the same images.

    Parameters
    ----------
    report, other : Report
        The reference, and what replaces it.

    Returns
    -------
    Comparison
        With paired intervals: both get the same resamples.

    Raises
    ------
    InputError
        If they are not of the same images.

    """
    if report.predictions.names != other.predictions.names:
        raise InputError('the two reports are of different images and cannot be compared')
    images = len(report.predictions)
    differences = {}
    for name, measure in report.resampled.items():
        if name not in other.resampled:
            continue
        theirs = other.resampled[name]

        def more(weights: NDArray[np.float64], measure: Any = measure,
                 theirs: Any = theirs) -> float:
            return float(theirs(weights) - measure(weights))

        differences[name] = Value(more(np.ones(images)), *interval(
            more, images, rate=False, blocks=report.blocks.get(name)))
    return Comparison(other, differences)
