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

"""Label files in JSON, YAML and CSV, and files that are something else."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from ros2_classify.errors import LabelsError
from ros2_classify.model.labels import load_labels, parse_labels
import yaml

NAMES = {0: 'person', 1: 'traffic light', 2: 'no', 3: '30'}
ORDER = list(NAMES.values())


@pytest.mark.parametrize('text', [
    json.dumps(ORDER), json.dumps(NAMES), json.dumps({name: i for i, name in NAMES.items()}),
    json.dumps({'id2label': NAMES, 'architectures': ['X'], 'labels': None}),
    json.dumps({'categories': [{'supercategory': 'x', 'id': i, 'name': name}
                               for i, name in NAMES.items()], 'images': []}),
    json.dumps([{'index': i, 'label': name} for i, name in NAMES.items()]),
    json.dumps({i: ['n01440764', name] for i, name in NAMES.items()}),
    json.dumps(['person', 'traffic light', 'no', 30]),
    repr(NAMES), "{0: 'person',\n 1: 'traffic light',\n 2: 'no', 3: '30'}\n",
    yaml.safe_dump({'path': '../data', 'train': 'images', 'names': ORDER}),
    yaml.safe_dump({'path': '../data', 'names': NAMES, 'nc': 4}),
    '# A data set\npath: ../data  # root\nnames:\n  0: person\n  1: traffic light\n  2: no\n'
    '  3: 30\n\ndownload: |\n  from x import y\n  y(dir=1)\n',
    'nc: 4\nnames: [ person, traffic light, no, 30 ]\n',
    'names: [person,\n  traffic light, no,\n  30]\n',
    yaml.safe_dump(ORDER), '---\nclasses:\n- person\n- traffic light\n- no\n- 30\n',
    '- id: 0\n  name: person\n- id: 1\n  name: traffic light\n- {id: 2, name: no}\n'
    '- {id: 3, name: 30}\n',
    'person: 0\ntraffic light: 1\nno: 2\n"30": 3\n',
    '# comment\n0: person\n1: traffic light\n2: "no"\n3: \'30\'\n',
    '"0": person\n"1": traffic light\n"2": no\n"3": 30\n',
    'id,name\n0,person\n1,traffic light\n2,no\n3,30\n',
    'index;mid;display_name\n0;/m/1;person\n1;/m/2;traffic light\n2;/m/3;no\n3;/m/4;30\n',
    'Class Name\tClass ID\nperson\t0\ntraffic light\t1\nno\t2\n30\t3\n',
    ',name\n0,person\n1,traffic light\n2,no\n3,30\n',
    'label,name\n0,person\n1,traffic light\n2,no\n3,30\n',
    'name,colour\nperson,red\ntraffic light,green\nno,blue\n30,black\n',
    'class_name\nperson\ntraffic light\nno\n30\n',
    '0,person\n1,traffic light\n2,no\n3,30a\n'.replace('30a', '"30"'),
    'person,0\ntraffic light,1\nno,2\nx30,3\n'.replace('x30', '30 '),
])
@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_the_same_names_in_every_format(tmp_path: Path, text: str, end: str) -> None:
    path = tmp_path / 'labels.txt'
    path.write_bytes(b'\xef\xbb\xbf' + text.replace('\n', end).encode())
    assert dict(load_labels(path).items()) == NAMES


@pytest.mark.parametrize('text, expected', [
    ('{"1": "a", "3": "b", "4": "???", "5": null}', {1: 'a', 3: 'b'}),
    ('1 person\n2 bicycle\n3 car\n', {1: 'person', 2: 'bicycle', 3: 'car'}),
    ('1\tperson\n2\tbicycle\n', {1: 'person', 2: 'bicycle'}),
    ('id,name\n1,person\n7,"car, red"\n', {1: 'person', 7: 'car, red'}),
    ('["caf\\u00e9", "\\ud83d\\ude00"]', {0: 'café', 1: '\U0001f600'}),
    # Names that only look like another format.
    ('1 euro\n2 euro\n', {0: '1 euro', 1: '2 euro'}),
    ('1 person\n3 car\n', {0: '1 person', 1: '3 car'}),
    ('name\nplace\ndate\n', {0: 'name', 1: 'place', 2: 'date'}),
    ('tench, Tinca tinca\ngoldfish, Carassius auratus\n',
     {0: 'tench, Tinca tinca', 1: 'goldfish, Carassius auratus'}),
    ('[PAD]\ncat\n', {0: '[PAD]', 1: 'cat'}), ('<unk>\ncat\n', {0: '<unk>', 1: 'cat'}),
    ('door: open\ndoor: closed\n', {0: 'door: open', 1: 'door: closed'}),
    ('# hash\nother\n', {0: '# hash', 1: 'other'}), ('a=b\nc\n', {0: 'a=b', 1: 'c'}),
    ('version 1\nversion 2\n', {0: 'version 1', 1: 'version 2'}),
])
def test_texts_near_another_format(text: str, expected: dict[int, str]) -> None:
    assert dict(parse_labels(text).items()) == expected


@pytest.mark.parametrize('text, words', [
    ('["cat", "dog"', 'line 1: it begins as JSON'), ('{"0": "cat",\n "1" "dog"}', 'line 2'),
    ('{"a": {"b": 1}}', 'has no class names'), ('{"images": []}', 'has no class names'),
    ('{"0": "cat", "0": "dog"}', "key '0' is used twice"), ('[0.5, 1.5]', '0.5 but must be text'),
    ('[true, false]', 'True but must be text'), ('[["a", "b"], ["c"]]', 'must be text'),
    ('[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]', 'id 1 is used twice'),
    ('[{"id": 1, "name": "a"}, {"name": "b"}]', 'some entries have no id'),
    ('[{"id": "x", "name": "a"}]', 'must be a whole number'), ('[{"x": 1}]', 'no common key'),
    ('{"id": 0, "name": "a"}\n{"id": 1, "name": "b"}\n', 'begins as JSON'),
    ('{"cat": 0, "dog": 0}', 'id 0 is used twice'), ('[]', 'no labels'),
    ('[' * 100_000, 'nested too deeply|begins as JSON'),
    ('names:\n- cat\n  dog: [\n', 'not valid YAML'), ('names: {0: a, 0: b}\n', 'used twice'),
    ('a: &x [b]\nnames: *x\nclasses: [c]\n', 'alias'), ('names: 3\nclasses:\n', 'no class names'),
    ('source: {path: a.onnx}\noutput:\n  decoder: yolo\n', 'no class names'),
    ('task: detect\nepochs: 100\nlr: 0.1\n', 'settings'),
    ('index,score\n0,0.5\n1,0.25\n', 'does not say which are id and name'),
    ('cat,0.5\ndog,0.25\n', 'table of 2 columns'), ('x,y,z\n1,a,b\n2,c,d\n', '3 columns'),
    ('id,name\n0,cat\n1,dog,red\n', 'row 3 of the table has 3 columns'),
    ('id,name\nx,cat\n', "'x' must be a whole number"), ('id,name\n0,a\n0,b\n', 'used twice'),
    ('<?xml version="1.0"?>\n<a/>\n', 'XML'), ('<!DOCTYPE html>\n<html>\n', 'HTML'),
    ('version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n', 'git lfs pull'),
    ('%PDF-1.4\n', 'PDF'), ('#!/bin/sh\necho\n', 'script'),
    ('classes= 80\ntrain = a.txt\nnames = coco.names\n', 'settings'),
    ('[section]\nkey = 1\nother = 2\n', 'settings'),
    ('entry {\n  target_class: 1\n  target_class_string: "a"\n}\n', 'protobuf'),
    ('labels = [\n  "a",\n  "b",\n]\n', 'source file'), ('a\n' + 'x' * 2000 + '\n', 'too long'),
])
def test_other_formats_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / 'labels.txt'
    path.write_text(text)
    with pytest.raises(LabelsError, match=words) as caught:
        load_labels(path)
    assert str(path) in str(caught.value)


def test_large_tables_agree_with_the_writers(tmp_path: Path) -> None:
    names = [f'name "{i}", of {i % 7}; é' for i in range(2000)]
    for separator in ',;\t':
        with open(tmp_path / 'table.csv', 'w', newline='') as stream:
            writer = csv.writer(stream, delimiter=separator)
            writer.writerow(['display_name', 'other', 'index'])
            writer.writerows([name, 'x', i + 1] for i, name in enumerate(names))
        assert dict(load_labels(tmp_path / 'table.csv').items()) == {
            i + 1: name for i, name in enumerate(names)}
    (tmp_path / 'names.yaml').write_text(yaml.safe_dump({'names': names}, allow_unicode=True))
    assert [name for _, name in load_labels(tmp_path / 'names.yaml').items()] == names


@pytest.mark.parametrize('text', [
    '{0x' + 'f' * 5000 + ': "x"}', '[0x' + 'f' * 5000 + ']', '{"x": 0x' + 'f' * 5000 + '}',
    '[[0b' + '1' * 30000 + ']]', '{0o' + '7' * 9000 + ': 0, "a": 1}'], ids=range(5))
def test_numbers_that_cannot_be_printed_are_refused(text: str) -> None:
    """Python reads such numbers, and raises ValueError where a message has one."""
    with pytest.raises(LabelsError):
        parse_labels(text)
