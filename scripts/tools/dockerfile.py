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

"""Read Dockerfiles: instructions, with their flags, as far as this repository uses them."""

from __future__ import annotations

from dataclasses import dataclass
import json
import re


@dataclass(frozen=True)
class Instruction:
    """
    One instruction.

    Attributes
    ----------
    name:
        In capitals, such as ``RUN``.
    flags:
        What ``--name=value`` sets, by name; empty for a flag without a value.
    value:
        The rest, on one line: continued lines are joined and comments between them left out.

    """

    name: str
    flags: dict[str, str]
    value: str

    def words(self) -> list[str]:
        """Return the words of a value in JSON form, as of ``CMD ["python", "-m"]``."""
        words = json.loads(self.value)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f'{self.name} {self.value}: not a list of words')
        return words


@dataclass(frozen=True)
class Stage:
    """
    One stage: what stands between a ``FROM`` and the next.

    Attributes
    ----------
    name:
        After ``AS``; its number as text where it has none.
    base:
        The image or the earlier stage that it starts from.
    steps:
        Its instructions.

    """

    name: str
    base: str
    steps: tuple[Instruction, ...]


def instructions(text: str) -> list[Instruction]:
    """
    Split a Dockerfile into its instructions.

    Raises
    ------
    ValueError
        For a line that is none.

    """
    found = []
    joined = ''
    for line in text.splitlines():
        if line.lstrip().startswith('#') or (not line.strip() and joined):
            continue
        if line.endswith('\\'):
            joined += line[:-1]
            continue
        joined += line
        if joined.strip():
            found.append(_instruction(joined.strip()))
        joined = ''
    if joined.strip():
        raise ValueError(f'the last instruction is not complete: {joined.strip()}')
    return found


def _instruction(line: str) -> Instruction:
    match = re.fullmatch(r'([A-Z]+)\s+(.*)', line, re.DOTALL)
    if not match:
        raise ValueError(f'not an instruction: {line}')
    name, value = match.groups()
    flags = {}
    while flag := re.match(r'--([a-z-]+)(?:=(\S*))?\s+', value):
        flags[flag.group(1)] = flag.group(2) or ''
        value = value[flag.end():]
    return Instruction(name, flags, value)


def stages(text: str) -> list[Stage]:
    """
    Split a Dockerfile into its stages; ``ARG`` before the first one is left out.

    Raises
    ------
    ValueError
        Where another instruction stands before the first ``FROM``.

    """
    found: list[tuple[str, str, list[Instruction]]] = []
    for each in instructions(text):
        if each.name == 'FROM':
            base, _, name = each.value.partition(' AS ')
            found.append((name.strip() or str(len(found)), base.strip(), []))
        elif found:
            found[-1][2].append(each)
        elif each.name != 'ARG':
            raise ValueError(f'{each.name} stands before the first FROM')
    return [Stage(name, base, tuple(steps)) for name, base, steps in found]
