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

"""Class names: `Labels`, and the reader of label files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
import os
from pathlib import Path
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import LabelsError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.keys import Kind
from ros2_classify.limits import open_plain, text_problem
from ros2_classify.model.label_formats import (
    names_of, read_csv, read_json, read_yaml_names, refuse_other_formats, UNUSED)
from ros2_classify.paths import check_allowed
from ros2_classify.results.overlay_colors import NAMED, PATTERN
from ros2_classify.yaml_config import Where

# A table of this many entries takes 8 MB; label maps of published models are far smaller.
MAX_CLASS_ID = 1_000_000
MAX_FILE_BYTES = 8 * 1024 * 1024
# A table of all names up to the last id: with at most four ids for each name, and a few thousand.
_GAPS, _USUAL = 4, 4096

_ITEM = re.compile(r'(?:\s|#[^\n]*\n)*item\s*(?::\s*)?[{<]')
_SYNSET = re.compile(r'(n\d{8})[ \t]+(\S.*)')
_SET_OFF = re.compile(r'\d+[ \t]*:[ \t]')
_NUMBERED = re.compile(r'(\d{1,7})(?:[ \t]*:[ \t]*|[ \t]+)(\S.*)')
_QUOTED = re.compile(r"""(["'])([^"']+)\1""")


class Labels:
    """
    A sparse, immutable mapping from class ids to names.

    Parameters
    ----------
    names : mapping of int to str
        Ids from 0 to 1 000 000; gaps are allowed, and so are equal names (ImageNet has two
        different classes called "crane").

    Raises
    ------
    LabelsError
        If there is no name at all, an id is out of range, or a name is empty or not a string.

    Examples
    --------
    >>> from ros2_classify import Labels
    >>> Labels({0: 'cat', 7: 'dog'}).name(7)
    'dog'

    """

    __slots__ = ('_hash', '_names', '_table')

    def __init__(self, names: Mapping[int, str]) -> None:
        if not names:
            raise LabelsError('there are no labels; give at least one name')
        for class_id, name in names.items():
            if isinstance(class_id, bool) or not isinstance(class_id, int):
                raise LabelsError(f'the class id {class_id!r} must be a whole number')
            if not 0 <= class_id <= MAX_CLASS_ID:
                raise LabelsError(f'the class id {class_id} must be from 0 to {MAX_CLASS_ID}')
            if not isinstance(name, str) or not name.strip():
                raise LabelsError(f'the name of class {class_id} is {name!r:.60} but must be text')
            if problem := text_problem(name):
                raise LabelsError(f'the name of class {class_id} {problem}')
        self._names = {class_id: names[class_id].strip() for class_id in sorted(names)}
        self._hash = hash(tuple(self._names.items()))
        # Of ids far apart only the first one is in the table: each of many heads may have some.
        size = max(self._names) + 1
        table = np.empty(size if size <= _GAPS * len(self._names) + _USUAL else 1, dtype=object)
        table[:] = [self.name(class_id) for class_id in range(len(table))]
        self._table = table

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Labels:
        """Make labels from names in order; ``'???'`` and empty names mark unused ids."""
        return cls({class_id: name for class_id, name in enumerate(names)
                    if not isinstance(name, str) or name.strip() not in ('', UNUSED)})

    @classmethod
    def from_data(cls, data: object) -> Labels:
        """Make labels from parsed JSON or YAML: names, ``{id: name}`` or ``{name: id}``."""
        return cls(names_of(data))

    def from_zero(self, class_count: int) -> Labels | None:
        """
        Return the labels counted from 0 if they are counted from 1, else None.

        They are if the first id is 1 and the last the number of classes, which no class from 0
        has. A background class without a name makes the number one more.
        """
        ids = self._names
        if min(ids) != 1 or max(ids) != class_count:
            return None
        return Labels({class_id - 1: name for class_id, name in ids.items()})

    def name(self, class_id: int) -> str:
        """Return the name of one class, or the id as text if it has none."""
        return self._names.get(class_id) or str(class_id)

    def names(self, class_ids: NDArray[np.int64]) -> NDArray[np.object_]:
        """
        Return the names of many classes at once.

        Parameters
        ----------
        class_ids : ndarray of int64, shape (N,)
            Ids, known or not.

        Returns
        -------
        ndarray of object, shape (N,)
            One ``str`` each; an id without a name gives the id as text.

        """
        ids = np.asarray(class_ids, dtype=np.int64)
        taken = self._table.take(ids, mode='clip')
        size = len(self._table)
        numbers = ids.tolist()
        if numbers and not 0 <= min(numbers) <= max(numbers) < size:
            for row, number in enumerate(numbers):
                if not 0 <= number < size:
                    taken[row] = self.name(number)
        return taken

    @property
    def class_count(self) -> int | None:
        """The number of classes, or None if some ids have no name."""
        return len(self) if max(self._names) + 1 == len(self) else None

    def items(self) -> Iterator[tuple[int, str]]:
        """Iterate over pairs of id and name, ids rising."""
        return iter(self._names.items())

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._names)

    def __contains__(self, class_id: object) -> bool:
        """Return whether an id has a name."""
        return class_id in self._names

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same names for the same ids."""
        return isinstance(other, Labels) and self._names == other._names

    def __hash__(self) -> int:
        """Return a hash of all pairs."""
        return self._hash

    def __repr__(self) -> str:
        """Return the number of names and the first few."""
        first = ', '.join(f'{i}: {name!r}' for i, name in list(self._names.items())[:3])
        return f'Labels({len(self)} names: {first}{", ..." if len(self) > 3 else ""})'


def load_labels(path: str | Path) -> Labels:
    """
    Read a label file; its content decides the format, not its name.

    These formats are supported, in UTF-8 with or without a byte order mark, with any line ends:

    * one name per line: the first line is class 0. An empty line or ``???`` marks an unused id;
      empty lines at the end are ignored.
    * ImageNet synsets, ``n01440764 tench, Tinca tinca`` on every line: the first name is used
      ("tench").
    * numbered lines, ``0: person`` or ``0  person``: the number is the id. Ids are ascending;
      the form without ``: `` starts at 0, or at 1 without gaps.
    * TensorFlow Object Detection label maps, ``item { id: 1 name: "/m/01g317" display_name:
      "person" }``: ``display_name`` is used, or else ``name``.
    * JSON and YAML: a list of names, of ``{id, name}``, a mapping of ids to names or of names to
      ids; or one of them under ``names``, ``classes``, ``id2label``, ``categories`` or the like.
    * CSV (comma, semicolon or tab) with a header that has a column ``name`` (or
      ``display_name``, ``label`` ...), and one ``id`` (or ``index``, ``class_id`` ...).

    Text that is evidently something else, such as XML, settings or a table without a header, is
    refused.

    Parameters
    ----------
    path : str or Path
        The file; ``~`` is expanded.

    Returns
    -------
    Labels
        The names.

    Raises
    ------
    LabelsError
        If the file can't be read, isn't text, has no name, or a label map is malformed; the
        message names the file and, if possible, the line.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from ros2_classify import load_labels
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / 'labels.txt'
    ...     _ = path.write_text('cat' + chr(10) + 'dog')
    ...     labels = load_labels(path)
    >>> labels.name(1)
    'dog'

    """
    path = Path(os.path.expanduser(path))
    check_allowed(path, 'label file')
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise LabelsError(
                f'{path}: {size} bytes are too many for a label file (at most {MAX_FILE_BYTES}); '
                'check whether it is the model')
        with open_plain(path) as file:
            data = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise LabelsError(f'{path}: the label file cannot be read: {error.strerror}') from error
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise LabelsError(
            f'{path}: not a label file: byte {error.start} is not UTF-8 text; save the file as '
            'UTF-8') from error
    if '\0' in text:
        raise LabelsError(f'{path}: not a label file: it has binary data; check the path')
    try:
        return parse_labels(text)
    except LabelsError as error:
        raise LabelsError(f'{path}: {error}') from error


def parse_labels(text: str) -> Labels:
    """Read labels from a label file's text; see `load_labels` for the formats and the errors."""
    if looks_like_label_map(text):
        return Labels(parse_label_map(text))
    # str.splitlines would also break at form feeds and Unicode separators inside a name.
    raw = re.split(r'\r\n|\n|\r', text)
    lines = [line.strip() for line in raw]
    used = [line for line in lines if line]
    if not used:
        raise LabelsError('the label file is empty; write one name per line')
    if all(_SYNSET.fullmatch(line) for line in used):
        return Labels.from_names(_SYNSET.sub(r'\2', line).split(',')[0] for line in lines)
    names = read_json(text)
    if names is None:
        names = _numbered([line for line in used if line[0] != '#']) or None
    if names is None:
        names = read_yaml_names(text, raw)
    if names is None:
        names = read_csv(lines)
    if names is not None:
        return Labels(names)
    refuse_other_formats(text, lines)
    return Labels.from_names(lines)


def _numbered(lines: list[str]) -> dict[int, str]:
    """
    Return names by id if every line starts with its id, else nothing.

    Ids must be ascending and start at 0, or at 1 without gaps, unless all are like "1: person":
    names may begin with numbers too ("30 km/h", "16:9", "1 euro").
    """
    matches = [_NUMBERED.fullmatch(line) for line in lines]
    pairs = [(int(match[1]), match[2]) for match in matches if match]
    ids = [class_id for class_id, _ in pairs]
    rising = all(a < b for a, b in zip(ids, ids[1:]))
    if not pairs or len(pairs) < len(lines) or not rising:
        return {}
    set_off = [bool(_SET_OFF.match(line)) for line in lines]
    if ids[0] != 0 and not all(set_off):
        from_one = ids == list(range(1, len(ids) + 1)) and len(ids) > 1
        if not from_one or any(set_off) or len({name for _, name in pairs}) < len(pairs):
            return {}
    if all(set_off):
        pairs = [(class_id, _QUOTED.sub(r'\2', name) if _QUOTED.fullmatch(name) else name)
                 for class_id, name in pairs]
    return {class_id: name for class_id, name in pairs if name != UNUSED}


def looks_like_label_map(text: str) -> bool:
    """Return whether a text begins, after comments, with ``item {``."""
    return _ITEM.match(text) is not None


def parse_label_map(text: str) -> dict[int, str]:
    """
    Read a TensorFlow Object Detection label map with protobuf's text format.

    The message is ``StringIntLabelMap`` (``object_detection/protos/string_int_label_map.proto``);
    ``display_name`` has precedence over ``name``, and other fields are skipped.
    """
    names: dict[int, str] = {}
    for number, item in enumerate(_parse_items(text), start=1):
        if not item.HasField('id'):
            raise LabelsError(f'item {number} has no id')
        name = item.display_name or item.name
        if not name:
            raise LabelsError(
                f'item {number}, with id {item.id}, has neither display_name nor name')
        if item.id in names:
            raise LabelsError(f'item {number}: the id {item.id} is used twice')
        names[item.id] = name
    return names


def _parse_items(text: str) -> Any:
    try:
        from google.protobuf import text_format
    except ImportError:
        raise LabelsError(
            'a label map (.pbtxt) needs the Python package protobuf, which comes with '
            'onnxruntime; install it, or write one name per line') from None
    try:
        return text_format.Parse(text, _label_map()(), allow_unknown_field=True).item
    except text_format.ParseError as error:
        line = error.GetLine()
        # Its message begins with line:column.
        reason = str(error).partition(' : ')[2] or str(error)
        raise LabelsError(f'line {line}: {reason}' if line else reason) from None
    except UnicodeDecodeError:
        raise LabelsError('a name is not UTF-8 text') from None
    except RecursionError:
        raise LabelsError(
            'the items are nested too deeply; check whether it is a label map') from None


@lru_cache(maxsize=1)
def _label_map() -> Any:
    """Return the message class, with the numbers and types of the published .proto file."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name='ros2_classify/label_map.proto', package='ros2_classify', syntax='proto2')
    field = descriptor_pb2.FieldDescriptorProto
    item = file.message_type.add(name='Item')
    for number, (name, kind) in enumerate(
            (('name', field.TYPE_STRING), ('id', field.TYPE_INT32),
             ('display_name', field.TYPE_STRING)), start=1):
        item.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    file.message_type.add(name='LabelMap').field.add(
        name='item', number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED,
        type_name='.ros2_classify.Item')
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('ros2_classify.LabelMap'))


def _read_colors(value: Any, where: Where) -> FrozenMapping:
    if not isinstance(value, Mapping):
        raise where.error('must be a mapping of labels to colours, such as {red_light: red}')
    found = {}
    for label, color in value.items():
        if not isinstance(color, str) or not re.fullmatch(PATTERN, color):
            raise where.at(label).error(
                f'{color!r} is no colour; give "#rrggbb", in quotes, or one of '
                f'{", ".join(NAMED)}')
        found[str(label)] = color
    return FrozenMapping(found)


COLORS = Kind(_read_colors, {
    'type': 'object', 'additionalProperties': {'type': 'string', 'pattern': f'^({PATTERN})$'}},
    'mapping of labels to `"#rrggbb"` or a name')
COLORS_MEANING = 'colours on annotated images; see [Colours](#colours)'
