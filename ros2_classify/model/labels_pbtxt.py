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
A reader for TensorFlow Object Detection label maps (``.pbtxt``).

The format is protobuf's text format of the message ``StringIntLabelMap``; the grammar followed is
https://protobuf.dev/reference/protobuf/textformat-spec/ as far as label maps use it. Fields that
are not needed (``frequency``, ``keypoints`` ...) are read over, whatever they nest.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ros2_classify.errors import LabelsError

_TOKEN = re.compile(r"""
    (?P<space>   [ \t\r\n\f\v]+ | \#[^\n]* )
  | (?P<string>  "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
  | (?P<word>    [A-Za-z0-9_.+-]+ )
  | (?P<mark>    [{}<>\[\]:;,/] )
""", re.VERBOSE)
# One space at a time: "\s+" in a repeated group would take exponential time on blank files.
_ITEM = re.compile(r'(?:\s|#[^\n]*\n)*item\s*(?::\s*)?[{<]')
_ESCAPE = re.compile(rb'\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))', re.DOTALL)
_NAMED_ESCAPES = {b'a': b'\a', b'b': b'\b', b'f': b'\f', b'n': b'\n', b'r': b'\r', b't': b'\t',
                  b'v': b'\v'}
_CLOSING = {'{': '}', '<': '>'}


MAX_DEPTH = 32


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def looks_like_label_map(text: str) -> bool:
    """Tell whether a text begins, after comments, with ``item {``."""
    return _ITEM.match(text) is not None


def parse_label_map(text: str) -> dict[int, str]:
    """
    Read a label map.

    Parameters
    ----------
    text : str
        Items with ``id`` and ``name`` or ``display_name``, in any order, with comments and both
        kinds of quotes. ``display_name`` counts where it is given.

    Returns
    -------
    dict of int to str
        Names by id, in the file's order.

    Raises
    ------
    LabelsError
        If the text is malformed, an item lacks its id or name, or an id comes twice.

    """
    return _Parser(text).label_map()


class _Parser:

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def label_map(self) -> dict[int, str]:
        names: dict[int, str] = {}
        while self._peek().kind != 'end':
            token = self._take('word')
            if token.text != 'item':
                raise LabelsError(
                    f'line {token.line}: found {token.text!r} where an item {{ ... }} must start')
            fields = self._message()
            class_id = self._id(fields, token.line)
            name = fields.get('display_name') or fields.get('name')
            if not name:
                raise LabelsError(
                    f'line {token.line}: the item with id {class_id} has neither display_name '
                    'nor name')
            if class_id in names:
                raise LabelsError(f'line {token.line}: the id {class_id} comes twice')
            names[class_id] = name
            self._skip_separator()
        return names

    @staticmethod
    def _id(fields: dict[str, str], line: int) -> int:
        text = fields.get('id')
        if text is None:
            raise LabelsError(f'line {line}: the item has no id')
        try:
            return int(text, 0)
        except ValueError:
            raise LabelsError(
                f'line {line}: the id {text!r} must be a whole number') from None

    def _message(self) -> dict[str, str]:
        """Read ``{ field: value ... }`` and return the scalar fields' texts."""
        self._skip_mark(':')
        opening = self._take('mark')
        if opening.text not in _CLOSING:
            raise LabelsError(f'line {opening.line}: found {opening.text!r} instead of {{')
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise LabelsError(
                f'line {opening.line}: nested more than {MAX_DEPTH} levels deep')
        fields: dict[str, str] = {}
        while self._peek().text != _CLOSING[opening.text] or self._peek().kind != 'mark':
            if self._peek().kind == 'end':
                raise LabelsError(
                    f'line {opening.line}: the {opening.text} is never closed; is the file cut '
                    'off?')
            name = self._take('word').text
            if self._peek().text in _CLOSING:
                self._message()
            else:
                self._expect(':')
                self._value(name, fields)
            self._skip_separator()
        self._next += 1
        self._depth -= 1
        return fields

    def _value(self, name: str, fields: dict[str, str]) -> None:
        token = self._peek()
        if token.kind == 'string':
            # Adjacent strings are one string, as in C.
            parts = []
            while self._peek().kind == 'string':
                parts.append(_unquote(self._take('string')))
            fields[name] = ''.join(parts)
        elif token.kind == 'mark' and token.text in _CLOSING:
            self._message()
        elif token.kind == 'mark' and token.text == '[':
            self._list()
        else:
            fields[name] = self._take('word').text

    def _list(self) -> None:
        """Read over ``[ ... ]``."""
        opening = self._take('mark')
        while self._peek().text != ']':
            if self._peek().kind == 'end':
                raise LabelsError(f'line {opening.line}: the [ is never closed')
            if self._peek().text == '[':
                raise LabelsError(f'line {opening.line}: a [ ... ] must not hold another')
            self._value('', {})
            self._skip_separator()
        self._next += 1

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, kind: str) -> _Token:
        token = self._peek()
        if token.kind != kind:
            what = {'word': 'a name or number', 'mark': 'a { or :', 'string': 'a string'}[kind]
            found = 'the end of the file' if token.kind == 'end' else repr(token.text)
            raise LabelsError(f'line {token.line}: found {found} instead of {what}')
        self._next += 1
        return token

    def _expect(self, mark: str) -> None:
        token = self._take('mark')
        if token.text != mark:
            raise LabelsError(f'line {token.line}: found {token.text!r} instead of {mark!r}')

    def _skip_mark(self, mark: str) -> None:
        if self._peek().kind == 'mark' and self._peek().text == mark:
            self._next += 1

    def _skip_separator(self) -> None:
        if self._peek().kind == 'mark' and self._peek().text in ',;':
            self._next += 1


def _tokens(text: str) -> list[_Token]:
    tokens = []
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            what = ('the string is never closed' if text[position] in '"\''
                    else f'unexpected character {text[position]!r}')
            raise LabelsError(f'line {line}: {what}')
        if match.lastgroup != 'space':
            tokens.append(_Token(str(match.lastgroup), match.group(), line))
        line += match.group().count('\n')
        position = match.end()
    tokens.append(_Token('end', '', line))
    return tokens


def _unquote(token: _Token) -> str:
    """Undo the quotes and escapes; octal and hexadecimal ones give bytes of UTF-8."""

    def replace(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, other = match.groups()
        if octal:
            return bytes([int(octal, 8) & 0xff])
        if hexadecimal:
            return bytes([int(hexadecimal, 16)])
        return _NAMED_ESCAPES.get(other, other)

    try:
        return _ESCAPE.sub(replace, token.text[1:-1].encode()).decode()
    except UnicodeDecodeError as error:
        raise LabelsError(f'line {token.line}: {token.text} is not UTF-8 text') from error
