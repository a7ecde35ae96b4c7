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
Makes the JSON Schema of the descriptor from the code that reads descriptors.

The reader asks for each key with its kind, its words and its bounds; `Recorder` stands in for it
and writes down what was asked. What the reader checks by itself is written by hand in `BY_HAND`,
and a key that is neither is an error here. Descriptions come from docs/descriptor.md. To write
models/descriptor.schema.json, in scripts/shell:

    python scripts/tools/descriptor_schema.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
from pathlib import Path
import re
from types import MappingProxyType
from typing import Any

from ros2_classify.decoders import DECODERS
from ros2_classify.decoders.end_to_end import COLUMNS
from ros2_classify.model import descriptor
from ros2_classify.model.descriptor import OLD_SIZES, SIZES
from ros2_classify.model.labels import MAX_CLASS_ID
from ros2_classify.yaml_config import Fields, Where

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / 'models/descriptor.schema.json'
PAGE = ROOT / 'docs/descriptor.md'

Schema = dict[str, Any]

TEXT: Schema = {'type': 'string', 'pattern': r'\S'}
SHA256: Schema = {'type': 'string', 'pattern': '^[0-9a-fA-F]{64}$'}
# What float() and a fraction of two such numbers take, written in YAML as text.
_FLOAT = r'[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?'
FRACTION: Schema = {'type': 'string', 'pattern': f'^ *{_FLOAT} *(/ *{_FLOAT} *)?$'}


def integer(low: int, high: int) -> Schema:
    """Return the schema of a whole number."""
    return {'type': 'integer', 'minimum': low, 'maximum': high}


def number(low: float, high: float, above: bool = False) -> Schema:
    """Return the schema of a number, or of a text that is one."""
    least = 'exclusiveMinimum' if above else 'minimum'
    return {'anyOf': [{'type': 'number', least: low, 'maximum': high}, FRACTION]}


def listed(item: Schema, least: int = 0) -> Schema:
    """Return the schema of a list."""
    return {'type': 'array', 'items': item, **({'minItems': least} if least else {})}


_STRIDES = listed(integer(1, 1024), 1)
_BACKGROUND: Schema = {'anyOf': [{'enum': [False, 'none']}, integer(0, 10**6)]}
_SIDE = integer(1, descriptor.MAX_SIDE)
_ANY = number(-1e9, 1e9)

# What the reader looks at as a whole, by its place; below `output`, the decoder's name follows, or
# `*` for all of them.
BY_HAND: dict[str, Schema] = {
    'labels': {'anyOf': [
        TEXT, listed(TEXT, 1),
        {'type': 'object', 'minProperties': 1,
         'propertyNames': {'pattern': f'^[0-9]{{1,{len(str(MAX_CLASS_ID))}}}$'},
         'additionalProperties': TEXT}]},
    'convert.inputs': listed(TEXT),
    'convert.outputs': listed(TEXT),
    'input.size': {'anyOf': [
        {'const': 'source'}, {**listed(_SIDE, 2), 'maxItems': 2}]},
    'output.*.background': _BACKGROUND,
    'output.*.strides': _STRIDES,
    'output.nanodet.outputs.scores': listed(TEXT),
    'output.nanodet.outputs.distances': listed(TEXT),
    'output.yunet.outputs.cls': listed(TEXT),
    'output.yunet.outputs.obj': listed(TEXT),
    'output.yunet.outputs.bbox': listed(TEXT),
    'output.yolo.objectness': {'enum': [True, False, 'auto']},
    'output.end_to_end.columns': listed({'enum': list(COLUMNS)}),
}
# Mappings whose keys are free: what their values are.
FREE: dict[str, Schema] = {
    'input.extra': {'anyOf': [{'enum': [*SIZES, *OLD_SIZES]}, _ANY, listed(_ANY, 1)]},
}
# What the reader checks after it asked.
REFINED: dict[str, Schema] = {
    'name': {'type': 'string', 'pattern': f'^{descriptor._NAME.pattern}$'},
    'source.sha256': SHA256,
    'expected.image.sha256': SHA256,
}


class Recorder(Fields):
    """
    Stands in for `Fields` and notes what is asked for.

    Parameters
    ----------
    mapping : mapping
        As little as the reader needs to come to its end.
    place : str
        Where this is, in dots.

    """

    def __init__(self, mapping: object, place: str = '') -> None:
        super().__init__(mapping, Where('the schema'))
        self._place = place
        self._below: dict[str, Recorder] = {}
        self.schema: Schema = {'type': 'object', 'properties': {}, 'additionalProperties': False}

    def path(self, key: str) -> str:
        """Return the place of a key in dots."""
        return f'{self._place}.{key}'.lstrip('.')

    def _note(self, key: str, schema: Schema) -> None:
        # Whoever looked at the value as a whole may still ask for one of its kinds.
        self.schema['properties'].setdefault(key, REFINED.get(self.path(key), schema))

    def raw(self, key: str, default: Any = None) -> Any:
        """Note a key that the reader looks at by itself."""
        place = self.path(key)
        any_decoder = re.sub(r'^(output)\.\w+\.', r'\1.*.', place)
        self.schema['properties'].setdefault(key, BY_HAND.get(place, BY_HAND.get(any_decoder)))
        return super().raw(key, default)

    def text(self, key: str, default: Any) -> Any:
        """Note a text."""
        self._note(key, TEXT)
        return super().text(key, default)

    def choice(
        self, key: str, allowed: Sequence[Any], default: Any, *,
        renamed: Mapping[str, Any] = MappingProxyType({}),
    ) -> Any:
        """Note a word."""
        self._note(key, {'enum': [*allowed, *renamed]})
        return super().choice(key, allowed, default, renamed=renamed)

    def boolean(self, key: str, default: Any) -> Any:
        """Note a truth value."""
        self._note(key, {'type': 'boolean'})
        return super().boolean(key, default)

    def integer(self, key: str, default: Any, *, low: int, high: int) -> Any:
        """Note a whole number."""
        self._note(key, integer(low, high))
        return super().integer(key, default, low=low, high=high)

    def number(self, key: str, default: Any, *, low: float, high: float,
               above: bool = False) -> Any:
        """Note a number."""
        self._note(key, number(low, high, above))
        return super().number(key, default, low=low, high=high, above=above)

    def numbers(self, key: str, default: Any, *, count: int, low: float, high: float,
                above: bool = False) -> Any:
        """Note a number, or one for each channel: 1 or 3, as `color` says."""
        one = number(low, high, above)
        self._note(key, {'anyOf': [*one['anyOf'], {**listed(one, 1), 'maxItems': 3}]})
        return super().numbers(key, default, count=count, low=low, high=high, above=above)

    def section(self, key: str) -> Recorder:
        """Note a section, and go on with it."""
        if key not in self._below:
            self._below[key] = Recorder(super().raw(key, {}), self.path(key))
            self.schema['properties'][key] = self._below[key].schema
        return self._below[key]

    def rest(self) -> dict[str, Any]:
        """Note that the keys are free."""
        if self._place in FREE:
            self.schema['additionalProperties'] = FREE[self._place]
        return super().rest()


def make_schema() -> Schema:
    """
    Return the schema of descriptors.

    Returns
    -------
    dict
        JSON Schema, draft 7, which editors know best.

    Raises
    ------
    ValueError
        If a key is neither asked for by its kind nor in `BY_HAND`, or the page lacks a section.

    """
    top = Recorder({'source': {'path': 'network.onnx'}})
    descriptor.read_fields(top, name='network', directory=ROOT)
    schema = top.schema
    properties = schema['properties']
    properties['output'] = _output(properties['output'])
    properties['source']['oneOf'] = [{'required': ['path']}, {'required': ['url']}]
    properties['expected']['properties']['results'] = listed(_result(), 1)
    properties['expected']['oneOf'] = [
        {'required': ['unknown'], 'maxProperties': 1},
        {'required': ['image', 'results', 'basis'], 'not': {'required': ['unknown']}}]
    properties['expected']['properties']['image']['required'] = ['name', 'sha256', 'source']
    _check(schema, '')
    _describe(schema)
    return {'$schema': 'http://json-schema.org/draft-07/schema#',
            'title': 'Model descriptor of ros2_classify', 'required': ['source'], **schema}


def _output(asked: Schema) -> Schema:
    """Return the schema of the outputs: of each decoder its own options."""
    decoder = asked['properties']['decoder']
    assert decoder['enum'] == list(DECODERS)
    cases: list[Schema] = [{
        'if': {'not': {'required': ['decoder']}}, 'then': {'maxProperties': 0}}]
    for name, row in DECODERS.items():
        options = Recorder({}, f'output.{name}')
        row.read_options(options)
        options.schema['properties'] = {
            'decoder': {'const': name}, **options.schema['properties'],
            **{key: value for key, value in asked['properties'].items()
               if key != 'decoder' and (key != 'nms' or row.task == 'detection')}}
        cases.append({
            'if': {'required': ['decoder'], 'properties': {'decoder': {'const': name}}},
            'then': options.schema})
    return {'type': 'object', 'properties': {'decoder': decoder}, 'allOf': cases}


def _result() -> Schema:
    """Return the schema of one expected result."""
    return {
        'type': 'object', 'additionalProperties': False, 'required': ['label', 'score'],
        'properties': {'label': TEXT, 'score': number(0, 1),
                       'box': {**listed(number(-1e6, 1e6), 4), 'maxItems': 4}}}


def _check(schema: Schema, place: str) -> None:
    for key, value in schema.get('properties', {}).items():
        if value is None:
            raise ValueError(
                f'{place}{key} is read by hand: write its schema into BY_HAND of {__file__}')
        _check(value, f'{place}{key}.')
    for case in schema.get('allOf', ())[1:]:
        _check(case['then'], f'{place}{case["then"]["properties"]["decoder"]["const"]}.')


def _describe(schema: Schema) -> None:
    """Put what the page says of a key into the schema."""
    page = PAGE.read_text(encoding='utf-8')
    properties = schema['properties']
    _describe_keys(properties, _meanings(page, 'Top'))
    for name in ('source', 'input', 'output', 'convert', 'defaults', 'expected'):
        _describe_keys(properties[name]['properties'], _meanings(page, f'`{name}`'))
    for case in properties['output']['allOf'][1:]:
        below = case['then']['properties']
        _describe_keys(below, _meanings(page, f'`decoder: {below["decoder"]["const"]}`'))
        common = _meanings(page, '`output`')
        _describe_keys(below, {key: common[key] for key in common if key != 'decoder'})


def _describe_keys(properties: dict[str, Schema], meanings: dict[str, str]) -> None:
    for key, meaning in meanings.items():
        if key in properties and not meaning.startswith('see '):
            # A copy: the pieces above are shared.
            properties[key] = {'description': meaning, **properties[key]}


def _meanings(page: str, heading: str) -> dict[str, str]:
    """Return the column "meaning" of the table below a heading, by key, as plain text."""
    parts = re.split(rf'^#+ {re.escape(heading)}$', page, flags=re.MULTILINE)
    if len(parts) != 2:
        raise ValueError(f'{PAGE} needs one section "{heading}" with a table of its keys')
    section = re.split(r'^#', parts[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.strip().strip('|').split(' | ') for line in section.splitlines()
            if line.startswith('| `')]
    links = re.compile(r'\[([^]]*)\]\([^)]*\)')
    return {row[0].strip(' `'): links.sub(r'\1', row[-1]).replace('`', '').strip()
            for row in rows}


def as_text() -> str:
    """Return the schema as it is written."""
    return json.dumps(make_schema(), indent=1, ensure_ascii=False) + '\n'


if __name__ == '__main__':
    SCHEMA.write_text(as_text(), encoding='utf-8')
    print(f'wrote {SCHEMA.relative_to(ROOT)}')
