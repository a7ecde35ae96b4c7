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
No regular expression takes a time that grows with the square of what it reads.

One that does holds Python's lock meanwhile: nothing else in the process runs, and nothing can
interrupt it.
"""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
import pkgutil
import re
import time
from typing import Any

import pytest
import ros2_classify
from ros2_classify.errors import LabelsError
from ros2_classify.model.labels import parse_labels

LONG = 6000
# 100 times what the slowest one takes, and a tenth of what a quadratic one does.
SECONDS = 0.15
# Of the nodes' own, which read no file of others.
SKIPPED = ('ros2_classify.ros.', 'ros2_classify.cli.complete')


def patterns() -> dict[str, re.Pattern[Any]]:
    """Return all patterns that modules of the core have."""
    found = {}
    for module in pkgutil.walk_packages(ros2_classify.__path__, 'ros2_classify.'):
        if module.name.startswith(SKIPPED) or module.name.endswith('__main__'):
            continue
        source = Path(module.module_finder.path) / f'{module.name.rpartition(".")[2]}.py'
        if not source.exists() or 're.compile(' not in source.read_text():
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            for place, each in enumerate(value if isinstance(value, tuple) else (value,)):
                if isinstance(each, re.Pattern):
                    found[f'{module.name}.{name}[{place}]'] = each
    return found


PATTERNS = patterns()
STARTS = ('', 'a', '1', 'a:', "'", '"', '[', 'item', '%s')
UNITS = (' ', '\t', 'a', '0', ':', ': ', ', ', '#\n', '\n', 'a ', "'", '"', '{', '[', '=', '-',
         '.', 'a=', '%s')
ENDS = ('', '!', ' x', '\n')


def literal(pattern: str) -> str:
    """Return the letters that a pattern begins with."""
    return re.split(r'[\\(\[{.*+?|^$]', pattern, maxsplit=1)[0] or 'a'


@pytest.mark.parametrize('name', PATTERNS)
def test_the_time_of_a_pattern_grows_with_the_text(name: str) -> None:
    pattern = PATTERNS[name]
    is_bytes = isinstance(pattern.pattern, bytes)
    text = pattern.pattern.decode('latin-1') if is_bytes else pattern.pattern
    word = literal(text)
    for start, unit, end in itertools.product(STARTS, UNITS, ENDS):
        start, unit = start.replace('%s', word), unit.replace('%s', word)
        made: Any = start + unit * (LONG // len(unit)) + end
        made = made.encode('latin-1') if is_bytes else made
        for use in (pattern.fullmatch, pattern.match):
            began = time.process_time()
            use(made)
            assert time.process_time() - began < SECONDS, (text, use, start, unit, end)


def test_there_are_patterns() -> None:
    assert len(PATTERNS) > 30


@pytest.mark.parametrize('text', [
    'a:\n b\nx' + ' ' * 300_000 + 'y', 'names:\n- ' + ' ' * 300_000 + 'y\n- z',
    ('a' + ' ' * 990 + 'x\n') * 300, '"a"' + ' ' * 300_000 + 'x: 1\n b'],
    ids=['a pair', 'an item', 'an opening', 'a quoted key'])
def test_a_label_file_of_blanks_takes_no_time(text: str) -> None:
    """100 kB of the first took more than a minute."""
    began = time.process_time()
    try:
        parse_labels(text)
    except LabelsError:
        pass
    assert time.process_time() - began < 5.0
