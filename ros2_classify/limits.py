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
Bounds on what comes from outside, shared by all who read it.

A reader asks here before it allocates, loops or opens, so that a few bytes can't ask for
gigabytes, minutes, or something that is not a file.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
import re
import stat
from typing import Any, BinaryIO, cast, IO

# A class name, in characters; the longest of ImageNet has 121.
MAX_NAME = 1000
# Values in one YAML text: PyYAML takes about 1 kB for each.
MAX_YAML_NODES = 200_000
# Characters of a number in YAML: base 60 and hexadecimal ones take quadratic time.
MAX_NUMBER = 100
# Scans of one JPEG, each of which passes over the whole image: at most, and of the largest image.
# Encoders write about 10.
MAX_JPEG_SCANS = 64
MIN_JPEG_SCANS = 20
# Bytes of headers before one member of a tar archive, and of all its global headers.
MAX_TAR_HEADERS = 1 << 20
# Cells of all grids of a detector: 8 input pixels for each, at 3840x2160.
MAX_CELLS = 1 << 20
# Numbers in one input of a model: 64 Mpixel in colour, four bytes each, take 800 MB.
MAX_INPUT = 3 << 26
# Nodes, weights and inputs of an ONNX file, and nodes of a TensorFlow graph; published models have
# up to 10,000. Empty ones take two bytes in the file, and hundreds in memory.
MAX_GRAPH_PARTS = MAX_TENSORFLOW_NODES = 200_000
# Different operators of an ONNX file, its functions, operator sets and files of weights, and
# fields of a node: the objects of many names leave holes in the heap, which are never returned.
MAX_GRAPH_NAMES = 5_000
# Bytes of one text in a protocol buffer: a name.
MAX_TEXT = 1 << 16
# Graphs of one SavedModel: for serving, training, evaluation, a TPU.
MAX_META_GRAPHS = 4
# Characters of one line for a log or a terminal.
MAX_LINE = 2000

_SURROGATE = re.compile('[\ud800-\udfff]')
# Joiners of letters and emoji, and blanks of other widths, are part of texts.
_HARMLESS = frozenset('\n\t\u200c\u200d\xa0\u202f\u3000')


def open_plain(path: str | Path, most: int | None = None) -> BinaryIO:
    """
    Open a file for reading; OSError if it is a directory, a pipe, a device, or too large.

    A pipe isn't waited for. The checks are made on the open file, which can't be replaced.
    """
    # Other programs' locks make a file busy, but never this.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(number)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, 'not a regular file', str(path))
        if most is not None and found.st_size > most:
            raise OSError(
                errno.EFBIG, f'{found.st_size} bytes are more than the {most} that are allowed',
                str(path))
        return cast(BinaryIO, open(number, 'rb'))
    except BaseException:
        os.close(number)
        raise


def open_to_write(path: str | Path, mode: str = 'w') -> IO[Any]:
    """Open a file for writing, text as UTF-8; a pipe that nobody reads isn't waited for."""
    def opener(name: str, flags: int) -> int:
        try:
            number = os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise OSError(error.errno, f'it is {kind_of(name)}, and nobody reads from it',
                              name) from error
            raise
        os.set_blocking(number, True)
        return number
    return open(path, mode, encoding=None if 'b' in mode else 'utf-8', opener=opener)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file like `open_to_write`."""
    with open_to_write(path) as file:
        file.write(text)


def check_replaceable(path: Path) -> None:
    """Raise OSError if a file that is moved to a path would replace what is no file there."""
    if kind := kind_of(path):
        raise OSError(errno.EINVAL, f'it is {kind}, not a file', str(path))


def kind_of(path: str | Path) -> str:
    """Return what is at a path, such as "a pipe"; nothing if that is a file, or nothing."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return ''
    return next((text for is_kind, text in _KINDS if is_kind(mode)), '')


_KINDS = ((stat.S_ISDIR, 'a directory'), (stat.S_ISFIFO, 'a pipe'), (stat.S_ISSOCK, 'a socket'),
          (stat.S_ISCHR, 'a device'), (stat.S_ISBLK, 'a device'))


def text_problem(text: str, most: int = MAX_NAME) -> str:
    """Return why a text can't be a name or a label, to end a sentence with; empty if it can."""
    if len(text) > most:
        return f'has {len(text)} characters, more than the {most} that are allowed'
    if found := _SURROGATE.search(text):
        return (f'has half a character ({ascii(found[0])}), which is not text; '
                'write the character itself')
    return ''


# Python prints no decimal number of more than 4300 digits, but reads longer ones in hexadecimal.
_HUGE = re.compile(r'0[xXoObB][0-9a-fA-F_]{100}')


def read_literal(text: str, most: int) -> object:
    """Return a Python literal; ValueError for all else, and for what can't be printed again."""
    import ast

    if len(text) > most or _HUGE.search(text):
        raise ValueError('not a literal, or too long')
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError('not a literal') from error


def shown(text: str, most: int = MAX_LINE) -> str:
    r"""
    Return a text for a log or a terminal: printable, and not longer than a limit.

    Control and escape characters, and those that reverse the direction, are written as ``\x1b``;
    further lines are indented, so that none looks like a line of its own.
    """
    if len(text) > most:
        text = f'{text[:most * 3 // 4]} […{len(text) - most} characters…] {text[-most // 4:]}'
    if text.isprintable():
        return text
    text = ''.join(
        char if char.isprintable() or char in _HARMLESS else ascii(char)[1:-1] for char in text)
    return re.sub(r'\n(?=\S)', '\n  ', text)


# Bytes of address space below which NumPy or ONNX Runtime crash when they are imported.
_LEAST_SPACE = 640 << 20


def address_space_problem() -> str:
    """Return why no model can run in this address space (ulimit -v); empty if one can."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY or most >= _LEAST_SPACE:
        return ''
    return (f'not enough memory: its address space is limited to {most >> 20} MiB (ulimit -v), '
            f'and a model needs {_LEAST_SPACE >> 20} MiB or more; give it at least 1 GiB')


_NO_MEMORY = ('failed to map segment', 'cannot allocate memory', 'bad_alloc', 'start new thread',
              'unable to allocate', 'insufficient memory')


def machine_limit(error: BaseException) -> str:
    """Return which limit of the process or its environment caused an error; '' if none did."""
    import resource

    seen = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        text = str(found)
        low = text.lower()
        if isinstance(found, OSError) and found.errno in (errno.EMFILE, errno.ENFILE) or (
                'too many open files' in low):
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return (f'too many open files: this process may open {most} (ulimit -n); allow it '
                    'more, such as with ulimit -n 1024')
        if isinstance(found, MemoryError) or isinstance(found, OSError) and (
                found.errno == errno.ENOMEM) or any(word in low for word in _NO_MEMORY):
            most = resource.getrlimit(resource.RLIMIT_AS)[0]
            allowed = 'the machine or its container has no more' if (
                most == resource.RLIM_INFINITY) else (
                    f'its address space is limited to {most >> 20} MiB (ulimit -v)')
            return (f'not enough memory ({text.splitlines()[0] if text else "MemoryError"}): '
                    f'{allowed}; give it at least 1 GiB')
        if isinstance(found, Warning):
            return (f'a {type(found).__name__} was raised as an error, as PYTHONWARNINGS or -W '
                    f'says: {text}; run without it, as packages that are used here warn')
        found = found.__cause__ or found.__context__
    return ''
