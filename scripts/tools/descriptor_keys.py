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
Write what is generated from the declared keys of descriptors, after one changed.

The JSON Schema and the tables of docs/descriptor.md: python scripts/tools/descriptor_keys.py
"""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
import re
from types import MappingProxyType

from ros2_classify.decoders import DECODERS
from ros2_classify.keys import Schema, schema, table, words
from ros2_classify.model.descriptor import HeadKeys, ModelDescriptor, OutputSpec, SECTIONS
from ros2_classify.model.stages import Stage

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / 'models/descriptor.schema.json'
PAGE = ROOT / 'docs/descriptor.md'


def schema_text() -> str:
    """Return the schema of descriptors as it is written."""
    result = schema(ModelDescriptor)
    result['properties']['output'].update(output_schema())
    result['properties']['heads'].update(
        type='object', minProperties=1,
        additionalProperties=output_schema(schema(HeadKeys)['properties']))
    result['properties']['stages'].update(
        type='object', minProperties=1, additionalProperties=schema(Stage))
    head = {'$schema': 'http://json-schema.org/draft-07/schema#',
            'title': 'Model descriptor of ros2_classify'}
    return json.dumps({**head, **result}, indent=1, ensure_ascii=False) + '\n'


def output_schema(more: Mapping[str, Schema] = MappingProxyType({})) -> Schema:
    """Return the schema of an output, or of a head, which has more keys and needs a decoder."""
    common = {**schema(OutputSpec)['properties'], **more}
    common['decoder'].update(words(tuple(DECODERS)).schema)
    shared = {key: value for key, value in common.items() if key != 'decoder'}
    cases: list[Schema] = [{'required': ['decoder']} if more else {
        'if': {'not': {'required': ['decoder']}}, 'then': {'maxProperties': 0}}]
    for name, row in DECODERS.items():
        options = schema(row.options)
        options['properties'] = {
            'decoder': {'const': name}, **options['properties'],
            **{key: value for key, value in shared.items()
               if key != 'nms' or row.task == 'detection'}}
        cases.append({
            'if': {'required': ['decoder'], 'properties': {'decoder': {'const': name}}},
            'then': options})
        if more:
            options['anyOf'] = [{'required': [name]} for name in ('output', 'outputs')
                                if name in options['properties']]
    return {'type': 'object', 'properties': common, 'allOf': cases}


def make_page(page: str) -> str:
    """Return the page with its tables as they must be; ValueError if it lacks a section."""
    tables = {'Top': table(ModelDescriptor)}
    tables.update((f'`{name}`', table(cls)) for name, cls in SECTIONS.items())
    tables['`output`'] = tables['`output`'].replace('DECODERS', words(tuple(DECODERS)).value)
    tables.update((f'`decoder: {name}`', table(row.options)) for name, row in DECODERS.items())
    for heading, text in tables.items():
        old = re.compile(
            rf'(?m)(^#+ {re.escape(heading)}\n(?:[^#|\n].*\n|\n)*)\| key \|.*\n(?:\|.*\n)*')
        page, count = old.subn(lambda found: found[1] + text, page)
        if count != 1:
            raise ValueError(f'{PAGE} needs one section "{heading}" with a table "| key |"')
    return page


if __name__ == '__main__':
    SCHEMA.write_text(schema_text(), encoding='utf-8')
    PAGE.write_text(make_page(PAGE.read_text(encoding='utf-8')), encoding='utf-8')
    print(f'wrote {SCHEMA.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}')
