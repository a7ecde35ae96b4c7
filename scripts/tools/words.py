#!/usr/bin/env python3
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
Find words that must not come back: test/words.txt lists them.

usage: scripts/tools/words.py [FILE…], with names from the top of the repository; else all files.
Prints FILE:LINE: WORD -> REPLACEMENT for names, text, comments, strings and identifiers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
import re
import subprocess
import sys

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / 'test' / 'words.txt'
MARK = 'words: old'

# White space in a phrase: also what stands between two lines of a comment or of a string.
_GAP = r"""[\s#*>'"]+"""


class Words:
    """The list: what is searched, what is skipped, which files are not read."""

    def __init__(self, text: str) -> None:
        patterns, exceptions = [], []
        self.replacements: list[str] = []
        self._ignored: list[str] = []
        for line in text.splitlines():
            if line.startswith('- '):
                self._ignored.append(line[2:])
            elif line.startswith('+ '):
                exceptions.append(_pattern(line[2:]))
            elif line and not line.startswith('#'):
                pattern, _, replacement = line.partition(' -> ')
                patterns.append(_pattern(pattern))
                self.replacements.append(replacement)
        self._search = _whole_words(f'(?P<w{number}>{each})'
                                    for number, each in enumerate(patterns))
        self._skip = _whole_words(exceptions)

    def ignores(self, name: str) -> bool:
        """Tell whether a file is not read."""
        return any(fnmatch(name, pattern) for pattern in self._ignored)

    def find(self, text: str) -> Iterator[tuple[int, str, str]]:
        """Yield line, word and replacement."""
        lines = [' ' if MARK in line else line for line in text.split('\n')]
        # Identifiers become words; line ends stay where they are.
        plain = re.sub(r'_|(?<=[a-z0-9])(?=[A-Z])', ' ', '\n'.join(lines))
        plain = self._skip.sub(lambda match: re.sub(r'[^\n]', '.', match[0]), plain)
        for match in self._search.finditer(plain):
            line = plain.count('\n', 0, match.start()) + 1
            number = int((match.lastgroup or 'w0')[1:])
            yield line, ' '.join(match[0].split()), self.replacements[number]


def _pattern(text: str) -> str:
    # Groups don't capture, so that the last group names the pattern.
    return re.sub(r'(?<!\\)\((?!\?)', '(?:', text).replace(' ', _GAP)


def _whole_words(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf'\b(?:{"|".join(patterns) or "(?!)"})\b', re.IGNORECASE)


def files() -> list[str]:
    """Return the names of the files that git has or would take."""
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split('\0') if name and (ROOT / name).is_file()})


def problems(names: Sequence[str], words: Words | None = None) -> list[str]:
    """Return a line for each word found in the files and in their names."""
    words = words or Words(LIST.read_text())
    found = []
    for name in names:
        if words.ignores(name):
            continue
        try:
            text = (ROOT / name).read_text(encoding='utf-8')
        except UnicodeDecodeError:
            text = ''
        found += [f'{name}: the name: {word} -> {better}' for _, word, better in words.find(name)]
        found += [f'{name}:{line}: {word} -> {better}' for line, word, better in words.find(text)]
    return found


if __name__ == '__main__':
    found_words = problems(sys.argv[1:] or files())
    print(*found_words, sep='\n', end='\n' if found_words else '')
    sys.exit(1 if found_words else 0)
