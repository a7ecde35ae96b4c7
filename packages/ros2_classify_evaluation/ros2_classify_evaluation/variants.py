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


"""Whether a variant of a model is as good on labelled images; `models quantize` uses it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ros2_classify_evaluation.cli import measure
from ros2_classify_evaluation.compare import compare, Comparison
from ros2_classify_evaluation.datasets import open_dataset
from ros2_classify_evaluation.names import parse_map
from ros2_classify_evaluation.report import Report

_SHOWN = 2
_WORDS = {'map': 'AP', 'map50': 'AP50', 'balanced_accuracy': 'balanced accuracy',
          'macro_f1': 'macro F1', 'miou': 'mean IoU', 'pixel_accuracy': 'pixel accuracy',
          'subset_accuracy': 'subset accuracy'}


@dataclass(frozen=True)
class Measured:
    """Both reports, as a sentence and in numbers."""

    report: Report
    comparison: Comparison

    @property
    def measure(self) -> str:
        """The first measure's name."""
        return _word(self.comparison.headline[0])

    @property
    def drop(self) -> float:
        """How much the first measure is lower; nan if it is not defined."""
        return -self.comparison.headline[1].value

    @property
    def sentence(self) -> str:
        """What changes, and what may be chance."""
        parts = []
        for name, value in list(self.comparison.differences.items())[:_SHOWN]:
            before = self.report.measures[name].value
            after = self.comparison.other.measures[name].value
            chance = '' if value.low > 0 or value.high < 0 else ', may be chance'
            parts.append(f'{_word(name)} {before:.4f} becomes {after:.4f} ({value.value:+.4f}, '
                         f'95 %: {value.low:+.4f} to {value.high:+.4f}{chance})')
        return f'on {len(self.report.predictions)} labelled images {"; ".join(parts)}'

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        other = self.comparison.other
        return {'images': len(self.report.predictions), 'measures': {
            name: {'before': self.report.measures[name].value,
                   'after': other.measures[name].value, 'difference': value.to_dict()}
            for name, value in self.comparison.differences.items()}}


def labelled(data: str, kind: str, renamed: Sequence[str]) -> Callable[[str, str], Measured]:
    """Read labelled images; return what measures two models on them, the original first."""
    dataset = open_dataset(data, kind)
    parse_map(renamed)
    options = Namespace(map=list(renamed))

    def both(model: str, variant: str) -> Measured:
        one, other = (measure(each, dataset, options, 'cpu') for each in (model, variant))
        return Measured(one, compare(one, other))
    return both


def _word(name: str) -> str:
    return _WORDS.get(name, name.replace('_', ' '))
