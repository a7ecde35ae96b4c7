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

"""Datasets that multiply, block or lie are refused, in an address space of 1 GiB more."""

import json
import os
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from ros2_classify import InputError
from ros2_classify_evaluation.datasets import open_dataset, reading

BOMB = '<!DOCTYPE a [<!ENTITY b0 "x">' + ''.join(
    f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, 9)) + ']><a>&b8;</a>'
ALIASES = 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n' + ''.join(
    f'a{n}: &a{n} [{",".join([f"*a{n - 1}"] * 10)}]\n' for n in range(1, 9)
) + 'names: [*a8]\nval: images\n'
BOX = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 2, 2]}


@pytest.fixture
def place(tmp_path):
    """Return a function that writes a file of a dataset with one image."""
    for name in ('JPEGImages', 'images', 'Annotations', 'labels'):
        (tmp_path / name).mkdir()
    for path in ('a.png', 'JPEGImages/a.png', 'images/a.png'):
        cv2.imwrite(str(tmp_path / path), np.zeros((8, 8, 3), np.uint8))

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path
    return write


def coco(**changes):
    return json.dumps({
        'images': [{'id': 1, 'file_name': 'a.png'}], 'categories': [{'id': 1, 'name': 'a'}],
        'annotations': [{**BOX, **changes}]})


def refused(path, kind, words):
    begin = time.monotonic()
    with pytest.raises(InputError, match=words) as raised:
        open_dataset(str(path), kind)
    assert len(str(raised.value)) < 2000 and time.monotonic() - begin < 10


@pytest.mark.parametrize('content, words', [
    (BOMB, 'has a document type'),
    (BOMB.encode('utf-16'), 'has a document type'),
    (b'<?xml version="1.0" encoding="cp037"?>' + BOMB.encode('cp037'), 'document type|no XML'),
    ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', 'has a document type'),
    ('<a>' * 200_000, 'more than the 32 elements'),
    ('<annotation>' + ' ' * (1 << 20) + '</annotation>', 'cannot be read'),
    ('<annotation><object><name>a</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>2</xmax>'
     '<ymax>2</ymax></bndbox></object></annotation>', 'not finite'),
])
def test_voc(place, content, words):
    refused(place('Annotations/a.xml', content), 'voc', words)


@pytest.mark.parametrize('content, words', [
    (ALIASES, 'alias'),
    ('names: [a]\nval: 1' + ':1' * 1_000_000, 'more than the 100'),
    ('names: [' + '[' * 100_000, 'deep|too'),
    ('names: !!python/object/apply:os.system [ls]\nval: images\n', 'tag|not allowed|must'),
    ('names: [a]\nval: /dev/zero\n', 'cannot be read'),
    ('names: [a]\nval: pipe\n', 'cannot be read'),
])
def test_yolo(place, content, words):
    directory = place('data.yaml', content)
    os.mkfifo(directory / 'pipe')
    refused(directory / 'data.yaml', 'yolo', words)


@pytest.mark.parametrize('line', ['0 nan 0.5 0.1 0.1', '0 inf 0.5 0.1 0.1', '0 1e400 0 0 0'])
def test_numbers_of_yolo(place, line):
    place('labels/a.txt', line)
    refused(place('data.yaml', 'names: [a]\nval: images\n'), 'yolo', 'not finite')


@pytest.mark.parametrize('content, words', [
    ('[' * 1_000_000, 'not valid JSON'),
    (coco(bbox=[float('nan'), 1, 2, 2]), 'not finite'),
    (coco(bbox=[1e400, 1, 2, 2]), 'not finite'),
    (coco(bbox=['1', 1, 2, 2]), 'cannot be read as coco'),
    (coco(bbox=5), 'cannot be read as coco'),
    (coco(bbox=[0, 0, 1, 1]).replace('"bbox": [0', f'"bbox": [{"1" * 5000}'),
     'not valid JSON|cannot be read|not finite'),
    ('{"images": [1], "annotations": [], "categories": [2]}', 'cannot be read as coco'),
])
def test_coco(place, content, words):
    refused(place('c.json', content) / 'c.json', 'coco', words)


def test_values_of_json_are_counted_before_they_are_read(place, monkeypatch):
    monkeypatch.setattr(reading, 'MAX_VALUES', 1000)
    path = place('c.json', '[' + '[],' * 1000 + '[]]') / 'c.json'
    refused(path, 'coco', 'more than the 1000 that are allowed')


@pytest.mark.parametrize('content, words', [
    ('image,label\na.png,"' + 'x' * 200_000 + '"\n', 'field larger'),
    ('image,label\na.png\n', 'line 2: it has fewer columns'),
    ('image,label,x1,y1,x2,y2\na.png,b,1,1\n', 'line 2: it has fewer columns'),
    ('image,label,x1,y1,x2,y2\na.png,b,nan,1,2,2\n', 'not finite'),
    (b'image,label\na.png,\xff\n', 'not text in UTF-8'),
])
def test_csv(place, content, words):
    directory = place('table.csv', content)
    refused(directory / 'table.csv', 'csv', words)


@pytest.mark.parametrize('kind, name', [
    ('voc', 'Annotations/a.xml'), ('yolo', 'data.yaml'), ('coco', 'c.json'), ('csv', 't.csv')])
def test_pipes_are_not_waited_for(tmp_path, kind, name):
    (tmp_path / 'Annotations').mkdir()
    (tmp_path / 'images').mkdir()
    os.mkfifo(tmp_path / name)
    refused(tmp_path, kind, 'cannot be read|has no|is no')


@pytest.mark.parametrize('info, table, words', [
    ('[Sequence]\na=' + 'x' * 1000 + ''.join(
        f'\n{b}={f"%({a})s" * 1000}' for a, b in zip('abcdef', 'bcdefg')) + '\nimDir=%(g)s', '',
     'no directory'),
    ('[Sequence]\nframeRate=0', '', "frameRate is '0'"),
    ('[Sequence]\nframeRate=nan', '', "frameRate is 'nan'"),
    ('[Sequence]\nframeRate=fast', '', "frameRate is 'fast' but must be a number"),
    ('[Sequence]\nimDir=../other', '', "imDir is '../other' but must be a directory of the"),
    ('[Sequence]\nimDir=/etc', '', "imDir is '/etc' but"),
    ('nothing', '', 'cannot be read'),
    ('', '1,1,"' + 'x' * 200_000 + '"', 'field larger'),
    ('', '1,1,nan,1,2,2', 'not finite'),
    ('', 'nan,1,1,1,2,2', 'cannot be read as mot'),
    ('', '1,inf,1,1,2,2', 'cannot be read as mot')])
def test_mot(tmp_path, info, table, words):
    (tmp_path / 'gt').mkdir()
    (tmp_path / 'img1').mkdir()
    cv2.imwrite(str(tmp_path / 'img1' / '000001.png'), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / 'seqinfo.ini').write_text(info)
    (tmp_path / 'gt' / 'gt.txt').write_text(table)
    refused(tmp_path, 'mot', words)


def test_label_images(tmp_path):
    """Texts of a PNG and its size are looked at before a pixel is decoded."""
    import attacks

    for name in ('images', 'masks'):
        (tmp_path / name).mkdir()
    (tmp_path / 'classes.txt').write_text('a\n')
    cv2.imwrite(str(tmp_path / 'images' / 'a.png'), np.zeros((16, 16, 3), np.uint8))
    (tmp_path / 'masks' / 'a.png').write_bytes(attacks.png_texts(1 << 20))
    sample, = open_dataset(str(tmp_path)).samples
    program = (
        'import resource, sys\n'
        'from pathlib import Path\n'
        'from ros2_classify_evaluation.datasets.directories import read_labels\n'
        'space = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()\n'
        'resource.setrlimit(resource.RLIMIT_AS, (space + (200 << 20),) * 2)\n'
        'assert read_labels(Path(sys.argv[1])).shape == (16, 16)\n')
    subprocess.run([sys.executable, '-c', program, tmp_path / 'masks' / 'a.png'], check=True,
                   timeout=60)
    assert sample.truth().shape == (16, 16)
    header = bytearray(attacks.png())
    header[16:24] = b'\0\1\0\0\0\1\0\0'
    (tmp_path / 'masks' / 'a.png').write_bytes(header)
    with pytest.raises(InputError, match='pixels that are allowed|valid image'):
        sample.truth()
