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

"""What a run has come to, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ros2_classify_benchmark.report import markdown
from ros2_classify_benchmark.stress.growth import Growth


@dataclass
class Report:
    """
    A run.

    Parameters
    ----------
    title : str
        What was done.
    numbers : dict of str to number or str
        What was counted.
    growths : dict of str to Growth
        What the server held.
    complaints : list of str
        What should not have been, a sentence each.
    say : callable
        Told of each complaint when it comes up.

    """

    title: str
    numbers: dict[str, Any] = field(default_factory=dict)
    growths: dict[str, Growth] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    say: Callable[[str], None] = lambda _: None

    def demand(self, holds: bool, complaint: str) -> None:
        """Note a complaint where something doesn't hold, and say it at once."""
        if not holds:
            self.complaints.append(complaint)
            self.say(complaint)

    def add_growths(self, growths: dict[str, Growth]) -> None:
        """Note what the server held, and complain of what has grown."""
        self.growths = growths
        for name, each in growths.items():
            gain = max(each.gain, each.last - each.first)
            self.demand(each.flat, f'{name} grew by {gain:.1f}, more than {each.limit:g}')

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {'title': self.title, 'passed': not self.complaints, 'numbers': self.numbers,
                'growth': {name: asdict(each) for name, each in self.growths.items()},
                'complaints': self.complaints}

    def __str__(self) -> str:
        """Return tables for people."""
        parts = [markdown((self.title, ''), self.numbers.items())]
        if self.growths:
            parts.append(markdown(
                ('held by the server', 'settled', 'at the end', 'slope per hour',
                 'gain of the fit'),
                [(name.replace('_', ' '), f'{each.first:.1f}', f'{each.last:.1f}',
                  f'{each.slope:+.2f}', f'{each.gain:+.2f}')
                 for name, each in self.growths.items()]))
        parts += [f'NOT AS IT SHOULD BE: {each}' for each in self.complaints] or [
            'All as it should be.']
        return '\n\n'.join(parts)
