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

"""What verbs print: text, JSON, tables, and messages whose kind has a colour on terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
import json
import os
import shutil
import signal
import sys
import textwrap
import threading
from typing import Any, TextIO

from ros2_classify.limits import shown

# Characters: an error may list many files, or a catalogue.
_LONGEST = 8000
# Parameters of the escape sequence SGR (ECMA-48, 8.3.117).
_STYLES = {'error': '1;31', 'warning': '33', 'hint': '36', 'ok': '32', 'heading': '1'}

# Keys of JSON output, and the old names that stay beside them for one release.
_OLD_KEYS = {
    'model_file': 'network', 'onnx_file': 'network',  # words: old
    'inferred': 'guesses', 'result': 'answer', 'images': 'pictures'}  # words: old


def has_colour(stream: TextIO | None) -> bool:
    """Return whether text on a stream is coloured; NO_COLOR and FORCE_COLOR decide first."""
    if os.environ.get('NO_COLOR'):
        return False
    if os.environ.get('FORCE_COLOR', '0') not in ('', '0'):
        return True
    return stream is not None and stream.isatty() and os.environ.get('TERM') != 'dumb'


def paint(text: str, style: str, stream: TextIO | None) -> str:
    """Return a text in the colour of a style, if the stream has colours."""
    if style not in _STYLES or not has_colour(stream):
        return text
    return f'\x1b[{_STYLES[style]}m{text}\x1b[0m'


def show(text: object = '', *, style: str = '', **options: Any) -> None:
    """
    Print lines on standard output, with names from files made printable.

    `style` colours the first word, or the whole line for a heading.
    """
    lines = [shown(line, _LONGEST) for line in str(text).split('\n')]
    if style:
        word, space, rest = lines[0].partition(' ') if style != 'heading' else (lines[0], '', '')
        lines[0] = paint(word, style, options.get('file', sys.stdout)) + space + rest
    print('\n'.join(lines), **options)


def show_json(data: object) -> None:
    """Print data as JSON on one line of standard output."""
    print(json.dumps(data), flush=True)


def with_old_keys(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object for JSON output with its renamed keys under their old names too."""
    return {**data, **{old: data[new] for new, old in _OLD_KEYS.items() if new in data}}


def say(kind: str, text: object) -> None:
    """Print ``kind: text``; only a terminal gets wrapped lines, so that scripts can grep."""
    line = shown(f'{kind}: {text}' if kind else str(text), _LONGEST)
    if sys.stderr.isatty():
        width = max(shutil.get_terminal_size().columns, 40)
        # Paths and commands stay whole: users copy them.
        line = textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False,
                             subsequent_indent='  ')
    if kind:
        line = paint(f'{kind}:', kind, sys.stderr) + line[len(kind) + 1:]
    print(line, file=sys.stderr, flush=True)


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells below each other; the first one is the heading, numbers go right."""
    cells = [[shown(cell, _LONGEST) for cell in row] for row in rows]
    # The last cell may be a sentence; it widens nothing.
    widths = [max(map(len, column)) for column in list(zip(*cells))[:-1]]
    for row in cells:
        line = ''.join(
            f'{cell:>{width}}  ' if cell[:1].isdigit() else f'{cell:{width}}  '
            for cell, width in zip(row, widths)) + row[-1]
        show(line.rstrip(), style='heading' if row is cells[0] else '')


# Seconds that Python code has to notice the signal; then it is C++ code that does not return.
_PATIENCE = 0.5


@contextmanager
def interruptible(give_up: Callable[[], Any]) -> Iterator[None]:
    """Call `give_up`, in another thread, if Ctrl-C has not raised KeyboardInterrupt soon."""
    if (threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler):
        # Somebody else decides what Ctrl-C does, or it is ignored.
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    noticed = threading.Event()

    def on_signal(number: int, frame: Any) -> None:
        noticed.set()
        signal.default_int_handler(number, frame)

    def watch() -> None:
        try:
            while byte := os.read(reading, 1):
                if byte[0] == signal.SIGINT and not noticed.wait(_PATIENCE):
                    give_up()
        finally:
            os.close(reading)

    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, on_signal)
    threading.Thread(target=watch, name='interrupt', daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(before)
        os.close(writing)
