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

"""What the doctor finds: how bad it is, what it is, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal['ok', 'warning', 'error']


@dataclass(frozen=True)
class Finding:
    """
    One finding.

    Parameters
    ----------
    check : str
        What was looked at: a key of `ros2_classify.doctor.CHECKS`.
    level : str
        ``ok``; ``warning`` where something works less well than it could, or for some only;
        ``error`` where something does not work.
    text : str
        What is so, in one sentence.
    cure : str
        What to do; never empty for a warning or an error.

    Raises
    ------
    ValueError
        If a warning or an error has no cure.

    """

    check: str
    level: Level
    text: str
    cure: str = ''

    def __post_init__(self) -> None:
        if self.level != 'ok' and not self.cure:
            raise ValueError(f'{self.check}: a {self.level} needs a cure: {self.text}')

    def to_dict(self) -> dict[str, str]:
        """Return the four fields by name."""
        return asdict(self)
