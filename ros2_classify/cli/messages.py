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

"""Messages on standard error (``error:``, ``warning:``, ``hint:``) and names of last release."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import logging
import shutil
import sys
import textwrap
from typing import Any, NoReturn

from ros2_classify.limits import shown

# Characters: an error may list many files, or a catalogue.
_LONGEST = 8000
_KINDS = ((logging.ERROR, 'error'), (logging.WARNING, 'warning'))


# Keys of JSON output, and the old names that stay beside them for one release.
_OLD_KEYS = {
    'model_file': 'network', 'onnx_file': 'network',  # words: old
    'inferred': 'guesses', 'result': 'answer', 'images': 'pictures'}  # words: old


def show(text: object = '', **options: Any) -> None:
    """Print lines on standard output, with names from files made printable."""
    print('\n'.join(shown(line, _LONGEST) for line in str(text).split('\n')), **options)


def say(kind: str, text: object) -> None:
    """Print ``kind: text``; only a terminal gets wrapped lines, so that scripts can grep."""
    line = shown(f'{kind}: {text}' if kind else str(text), _LONGEST)
    if sys.stderr.isatty():
        width = max(shutil.get_terminal_size().columns, 40)
        # Paths and commands stay whole: users copy them.
        line = textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False,
                             subsequent_indent='  ')
    print(line, file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        self.print_usage(sys.stderr)
        say('error', message)
        self.exit(2)


def add_old_name(parser: argparse._ActionsContainer, old: str, new: str, dest: str,
                 **kwargs: Any) -> None:
    """Accept an option under its old name for one release: hidden, and with a warning."""
    class Renamed(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                     values: str | Sequence[Any] | None, option: str | None = None) -> None:
            say('warning', f'{old} is now {new}; the old name goes with the next release')
            setattr(namespace, dest, values)

    parser.add_argument(
        old, action=Renamed, dest=argparse.SUPPRESS, help=argparse.SUPPRESS,
        default=argparse.SUPPRESS, **kwargs)


def with_old_keys(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object for JSON output with its renamed keys under their old names too."""
    return {**data, **{old: data[new] for new, old in _OLD_KEYS.items() if new in data}}


class _Handler(logging.Handler):
    """Prints records on what standard error is now, not on what it was at the start."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; information has no prefix."""
        kind = next((kind for level, kind in _KINDS if record.levelno >= level), '')
        say(kind, record.getMessage())


def show_log() -> None:
    """Show the package's log on standard error, from information up."""
    log = logging.getLogger('ros2_classify')
    if not any(isinstance(handler, _Handler) for handler in log.handlers):
        log.addHandler(_Handler())
    log.setLevel(logging.INFO)
