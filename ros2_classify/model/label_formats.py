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
Class names in JSON, YAML and CSV, and texts that are evidently no label file.

All functions return names by class id, ``None`` for another format, and raise LabelsError for a
text of this format without usable names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import csv
import json
import re
from typing import Any

from ros2_classify.errors import LabelsError
from ros2_classify.limits import read_literal
from ros2_classify.yaml_config import check_nodes
import yaml

# Keys of names in data set files, exported metadata and model configurations; the last three map
# names to ids.
NAME_KEYS = ('names', 'class_names', 'classes', 'labels', 'id2label', 'categories',
             'label2id', 'class_indices', 'class_to_idx')
_ENTRY_IDS = ('id', 'class_id', 'category_id', 'index', 'idx', 'label_id', 'class_index')
_ENTRY_NAMES = ('display_name', 'name', 'class_name', 'label', 'label_name', 'class', 'title')
# Columns of ids and names in the header of a CSV file, best first.
_ID_COLUMNS = (*_ENTRY_IDS, 'class_idx', 'classid', 'number', 'no', 'target', 'class', 'label',
               'category', '', 'unnamed:_0')
_NAME_COLUMNS = (*_ENTRY_NAMES, 'names', 'category', 'labels')
# Of a table of one column, only headers that no class has as its name.
_SOLE_COLUMN = ('class_name', 'label_name', 'display_name')
# PyYAML needs about a minute for 32 MB, and Python's parser much memory.
_MAX_YAML = 4 * 1024 * 1024
_MAX_NAME = 1000
UNUSED = '???'

_SYNSET_ID = re.compile(r'n\d{8}')
_WHOLE = re.compile(r'\d{1,7}')
_YAML_KEY = re.compile(
    rf'^(?:{"|".join(NAME_KEYS)})[ \t]*:[ \t]*(?:#.*|[\[{{].*)?$', re.MULTILINE)
_YAML_PAIR = re.compile(
    r"""(?:'[^']+'[ \t]*|"[^"]+"[ \t]*|[^\s:#'"-][^:#]*):(?:[ \t].*)?""")
_QUOTED_ID = re.compile(r"""(["'])\d{1,7}\1[ \t]*:[ \t]""")
_SETTING = re.compile(r'[A-Za-z_]\w*:(?:[ \t]+(\S.*)?)?')
_NUMBER = re.compile(r'[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?')
_ASSIGNMENT = re.compile(r'[\w.-]+[ \t]*=.*')
_OPENING = re.compile(r'\w+[ \t]*(?::[ \t]*)?\{.*|\w+[ \t]*=[ \t]*[\[{(].*')
_SETTING_VALUES = ('', 'true', 'false', 'True', 'False', 'null', 'None')
_SECTION = re.compile(r'\[[\w .-]+\]')
_EVIDENT = (
    ('version https://git-lfs.github.com/spec', 'a Git LFS pointer; run "git lfs pull"'),
    ('<?xml', 'XML'), ('<!', 'HTML or XML'), ('<html', 'HTML'), ('<svg', 'SVG'),
    ('%pdf-', 'PDF'), ('{\\rtf', 'RTF'), ('-----begin ', 'a key or certificate'),
    ('#!/', 'a script'))


def names_of(value: object) -> dict[int, str]:
    """
    Return names by id from lists and mappings as JSON, YAML and Python literals hold them.

    Accepted are lists of names or of ``{id, name}``, mappings of ids to names or of names to
    ids, and a mapping with one of these under a known key. Names that are whole numbers are kept.
    """
    if isinstance(value, Mapping):
        for key in NAME_KEYS:
            if isinstance(value.get(key), (Mapping, list, tuple)):
                return names_of(value[key])
        return _names_of_mapping(value)
    if not isinstance(value, (list, tuple)):
        raise LabelsError(f'the class names must be a list or a mapping, not {value!r:.60}')
    if value and all(isinstance(item, Mapping) for item in value):
        return _names_of_entries(value)
    return {class_id: name for class_id, item in enumerate(value)
            if (name := _name(item, class_id)) is not None}


def _names_of_mapping(value: Mapping[Any, Any]) -> dict[int, str]:
    ids = [_whole(key) for key in value]
    if value and all(class_id is not None for class_id in ids):
        names = [(class_id, _name(item, class_id)) for class_id, item in zip(ids, value.values())]
    elif value and all(_whole(item) is not None for item in value.values()):
        names = [(_whole(item), str(key)) for key, item in value.items()]
    else:
        raise LabelsError(
            'it has no class names; write a list of names, {id: name}, {name: id}, or one of '
            f'them under one of {", ".join(NAME_KEYS[:6])}')
    return _unique((class_id, name) for class_id, name in names if class_id is not None)


def _names_of_entries(entries: Sequence[Mapping[Any, Any]]) -> dict[int, str]:
    """Read ``[{"id": 1, "name": "person"}, ...]``, as COCO's ``categories``."""
    name_key = next((key for key in _ENTRY_NAMES if all(key in entry for entry in entries)), None)
    id_key = next((key for key in _ENTRY_IDS if all(key in entry for entry in entries)), None)
    if name_key is None:
        raise LabelsError(
            f'its entries have no common key for the name; write one of {", ".join(_ENTRY_NAMES)}')
    if id_key is None and any(key in entry for key in _ENTRY_IDS for entry in entries):
        raise LabelsError('some entries have no id; write it for all of them')
    pairs = []
    for place, entry in enumerate(entries):
        class_id = place if id_key is None else _whole(entry[id_key])
        if class_id is None:
            raise LabelsError(f'the {id_key} {entry[id_key]!r:.40} must be a whole number')
        pairs.append((class_id, _name(entry[name_key], class_id)))
    return _unique(pairs)


def _unique(pairs: Any) -> dict[int, str]:
    names: dict[int, str] = {}
    seen = set()
    for class_id, name in pairs:
        if class_id in seen:
            raise LabelsError(f'the id {class_id} is used twice')
        seen.add(class_id)
        if name is not None:
            names[class_id] = name
    return names


def _name(item: Any, class_id: int | None) -> str | None:
    """Return a name, None for an unused id; ``["n01440764", "tench"]`` is a synset and name."""
    if (isinstance(item, (list, tuple)) and len(item) == 2
            and isinstance(item[0], str) and _SYNSET_ID.fullmatch(item[0])):
        item = item[1]
    if item is None or (isinstance(item, str) and item.strip() in ('', UNUSED)):
        return None
    if isinstance(item, int) and not isinstance(item, bool):
        return str(item)
    if not isinstance(item, str):
        raise LabelsError(f'the name of class {class_id} is {item!r:.60} but must be text')
    return item


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value.strip()) else None


def read_json(text: str) -> dict[int, str] | None:
    """Read a JSON list or object, or the same as a Python literal."""
    text = text.strip()
    if text[:1] not in ('{', '['):
        return None
    try:
        return names_of(json.loads(text, object_pairs_hook=_without_duplicates))
    except LabelsError:
        raise
    except RecursionError:
        raise LabelsError('the JSON is nested too deeply to be class names') from None
    except ValueError as error:
        problem = error
    try:
        return names_of(read_literal(text, _MAX_YAML))
    except LabelsError:
        raise
    except ValueError:
        pass
    first = text.splitlines()[0].strip()
    if text[0] == '[' and _SECTION.fullmatch(first):
        return None  # a name in brackets, or a section of an INI file
    where = f'line {problem.lineno}: ' if isinstance(problem, json.JSONDecodeError) else ''
    raise LabelsError(f'{where}it begins as JSON but is not: {getattr(problem, "msg", problem)}; '
                      'correct it, or write one name per line')


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise LabelsError(f'the key {key!r:.60} is used twice')
        result[key] = value
    return result


class _Text(yaml.BaseLoader):
    """PyYAML's loader that keeps every value as text ("no", "30"), without aliases."""

    _nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(
                problem=f'the alias *{event.anchor} is not allowed; write the value out',
                problem_mark=mark)
        check_nodes(self, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        result = super().construct_mapping(node, deep)
        if len(result) < len(node.value):
            mark: Any = node.start_mark
            raise yaml.MarkedYAMLError(problem='a key is used twice', problem_mark=mark)
        return result


def read_yaml_names(text: str, lines: Sequence[str]) -> dict[int, str] | None:
    """
    Read a YAML list, or a mapping with the names under a known key, as data sets carry it.

    Plain names can look like YAML: it must have such a key, begin with ``---``, have only list
    items, or have keys with indented lines below.
    """
    used = [line for line in lines if line.strip() and not line.lstrip().startswith('#')]
    if not used:
        return None
    if not (_is_listed(used) or _is_nested(used) or used[0].rstrip() == '---'
            or _YAML_KEY.search(text) or _is_name_to_id(used)
            or all(_QUOTED_ID.match(line) for line in used)):
        return None
    if len(text) > _MAX_YAML:
        raise LabelsError(f'{len(text)} characters are too many for YAML (at most {_MAX_YAML}); '
                          'write one name per line')
    try:
        value: Any = _Text(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f'line {mark.line + 1}: ' if mark else ''
        raise LabelsError(f'{line}not valid YAML: {error.problem}; correct it, or write one name '
                          'per line') from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        raise LabelsError('it looks like YAML but cannot be read as such; write one name per '
                          'line') from None
    return names_of(value)


def _is_listed(used: Sequence[str]) -> bool:
    return used[0].startswith('- ') and all(line.startswith(('- ', '  ')) for line in used)


def _is_nested(used: Sequence[str]) -> bool:
    """Return whether all lines at the margin are ``key:`` or ``key: value``, and some indented."""
    margin = [line for line in used if not line[0].isspace()]
    below = any(line.rstrip().endswith(':') and following[0] in ' -'
                for line, following in zip(used, used[1:]))
    return below and all(_YAML_PAIR.fullmatch(line.rstrip()) or line.startswith('- ')
                         for line in margin)


def _is_name_to_id(used: Sequence[str]) -> bool:
    """Return whether all lines are like ``person: 0``, with the ids 0, 1, 2 in any order."""
    ends = [line.rpartition(': ') for line in used]
    ids = [_whole(end) for name, colon, end in ends if colon and _whole(name) is None]
    return len(ids) == len(used) > 1 and {*ids} in ({*range(len(ids))}, {*range(1, len(ids) + 1)})


def read_csv(lines: Sequence[str]) -> dict[int, str] | None:
    """Read a table with a header that names the columns, or with ids in one of two columns."""
    used = [line for line in lines if line.strip()]
    if used[0].strip().lower() in _SOLE_COLUMN:
        return {place: name for place, line in enumerate(used[1:])
                if (name := _name(line, place)) is not None}
    for separator in (',', ';', '\t'):
        if separator not in used[0]:
            continue
        try:
            rows = [[cell.strip() for cell in row] for row in csv.reader(
                used, delimiter=separator, skipinitialspace=True, strict=True)]
        except csv.Error:
            continue
        found = _table(rows)
        if found is not None:
            return found
    return None


def _table(rows: list[list[str]]) -> dict[int, str] | None:
    header = [re.sub(r'[ -]', '_', cell.lower()) for cell in rows[0]]
    even = {len(row) for row in rows} == {len(header)} and len(header) > 1
    name_column = next((header.index(key) for key in _NAME_COLUMNS if key in header), None)
    id_column = next((header.index(key) for key in _ID_COLUMNS
                      if key in header and header.index(key) != name_column), None)
    body = rows[1:]
    if name_column is not None and id_column is not None and body:
        if not even:
            place = next(place for place, row in enumerate(rows) if len(row) != len(header))
            raise LabelsError(f'row {place + 1} of the table has {len(rows[place])} columns, but '
                              f'its header has {len(header)}; quote names with a separator')
        return _column(body, id_column, name_column)
    if not even or not body:
        return None
    numeric = [column for column in range(len(header))
               if all(_NUMBER.fullmatch(row[column]) for row in body)]
    if name_column is not None and not numeric:
        return _unique((place, _name(row[name_column], place)) for place, row in enumerate(body))
    if len(header) == 2 and len(numeric) == 1:
        ids = [_whole(row[numeric[0]]) for row in rows]
        if ids in (list(range(len(ids))), list(range(1, len(ids) + 1))):
            return _column(rows, numeric[0], 1 - numeric[0])
    if numeric:
        raise LabelsError(
            f'it is a table of {len(header)} columns, but its first line, '
            f'{", ".join(rows[0])!r:.80}, does not say which are id and name; write a header '
            'such as id,name')
    return None


def _column(rows: list[list[str]], id_column: int, name_column: int) -> dict[int, str]:
    pairs = []
    for row in rows:
        class_id = _whole(row[id_column])
        if class_id is None:
            raise LabelsError(f'the id {row[id_column]!r:.40} must be a whole number')
        pairs.append((class_id, _name(row[name_column], class_id)))
    return _unique(pairs)


def refuse_other_formats(text: str, lines: Sequence[str]) -> None:
    """Raise LabelsError for text that is evidently something other than one name per line."""
    start = text.lstrip()[:60].lower()
    for mark, what in _EVIDENT:
        if start.startswith(mark):
            raise _other(what)
    used = [line.strip() for line in lines if line.strip()]
    for number, line in enumerate(lines, start=1):
        if len(line) > _MAX_NAME:
            raise LabelsError(f'line {number} has {len(line)} characters, which is too long for '
                              f'a class name (at most {_MAX_NAME}); check the path')
    if any(line == '}' or _OPENING.fullmatch(line) for line in used):
        raise _other('a protobuf text or source file')
    assigned = [line for line in used if _ASSIGNMENT.fullmatch(line)]
    others = [line for line in used if _SECTION.fullmatch(line) or line[0] in '#;']
    if len(assigned) + len(others) == len(used) and len(assigned) > 1:
        raise _other('a file of settings ("key = value")')
    settings = [_SETTING.fullmatch(line) for line in used if line[0] != '#']
    values = [match[1] or '' for match in settings if match]
    keys = {line.partition(':')[0] for line in used if line[0] != '#'}
    if len(values) == len(settings) == len(keys) > 2 and any(
            value in _SETTING_VALUES or _NUMBER.fullmatch(value) for value in values):
        raise _other('a file of settings ("key: value")')


def _other(what: str) -> LabelsError:
    return LabelsError(
        f'it is not a label file but {what}; write one name per line, JSON, YAML or CSV')
