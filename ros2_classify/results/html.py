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

"""Results and descriptors as tables of a notebook; every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from html import escape
from typing import Any

from ros2_classify.results.overlay_colors import colors_of

_MOST_ROWS = 25
_LONGEST = 300
_CELL = '<td style="text-align:left">'


def result_html(result: Any) -> str:
    """Return a result as a table."""
    if result.task == 'embedding' or not len(result):
        return f'<p>{_text(str(result))}</p>'
    rows = result.rows()
    names = {key: name for key, name in (
        ('id', 'id'), ('box', 'box'), ('position', 'position in metres')) if key in rows[0]}
    head = ''.join(f'<th>{name}</th>' for name in (
        '', 'label', 'part' if result.task == 'segmentation' else 'score', 'class id',
        *names.values()))
    lines = []
    for row, (blue, green, red) in zip(rows[:_MOST_ROWS], colors_of(result)):
        lines.append(
            f'<tr><td style="background:rgb({red},{green},{blue})">&nbsp;</td>'
            f'{_CELL}{_text(row["label"])}</td><td>{row["score"]:.3f}</td>'
            f'<td>{row["class_id"]}</td>'
            + ''.join(f'{_CELL}{_cell(row[key])}</td>' for key in names) + '</tr>')
    more = len(rows) - len(lines)
    return (f'<table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
            + (f'<p>and {more} more</p>' if more else ''))


def settings_html(settings: Mapping[str, Any]) -> str:
    """Return the keys and values of a descriptor as a table."""
    rows = ''.join(f'<tr>{_CELL}<b>{_text(key)}</b></td>{_CELL}{_value(value)}</td></tr>'
                   for key, value in settings.items() if _settings(value))
    return f'<table><tbody>{rows}</tbody></table>'


def _value(value: Any) -> str:
    value = _settings(value)
    if isinstance(value, Mapping):
        return _short('; '.join(f'{key}: {_plain(each)}' for key, each in value.items()))
    return _short(_plain(value))


def _settings(value: Any) -> Any:
    """Return the fields of a dataclass that somebody has set, or the value as it is."""
    if not dataclasses.is_dataclass(value):
        return value
    set_ = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)
            if getattr(value, each.name) != each.default}
    return {name: each for name, each in set_.items() if each not in (None, '', ())}


def _plain(value: Any) -> str:
    value = _settings(value)
    if isinstance(value, Mapping):
        return '{' + ', '.join(f'{key}: {_plain(each)}' for key, each in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return ', '.join(map(_plain, value))
    return str(value)


def _short(text: str) -> str:
    return _text(text if len(text) <= _LONGEST else text[:_LONGEST] + ' …')


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ', '.join(f'{each:g}' for each in value)
    return '' if value is None else _text(value)


def _text(value: Any) -> str:
    """Return a text that ends neither an element nor the direction of the text around it."""
    return f'<bdi>{escape(str(value)[:10 * _LONGEST], quote=True)}</bdi>'
