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

"""Labels that contradict themselves or their images are refused, or said beside the numbers."""

import json

import cv2
import numpy as np
import pytest
from ros2_classify import InputError
from ros2_classify_evaluation.datasets import open_dataset
from ros2_classify_evaluation.datasets.base import Objects
from ros2_classify_evaluation.datasets.consistency import outside


@pytest.fixture
def coco(tmp_path):
    """Return what reads a COCO set of one image of 40x30 pixels with changes."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((30, 40, 3), np.uint8))
    cv2.imwrite(str(tmp_path.parent / 'b.png'), np.zeros((30, 40, 3), np.uint8))

    def read(images=(), annotations=(), categories=(), box=(1, 2, 8, 9), **image):
        (tmp_path / 'set.json').write_text(json.dumps({
            'images': [{'id': 1, 'file_name': 'a.png', **image}, *images],
            'annotations': [{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': box},
                            *annotations],
            'categories': [{'id': 1, 'name': 'cup'}, *categories]}))
        return open_dataset(str(tmp_path))
    return read


SAME = {'id': 2, 'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 8, 9]}


@pytest.mark.parametrize('changes, words', [
    ({'images': [{'id': 1, 'file_name': 'b.png'}]}, 'the image with the id 1 is there twice'),
    ({'categories': [{'id': 1, 'name': 'x'}]}, 'the category with the id 1 is there twice'),
    ({'categories': [{'id': 2, 'name': 'cup'}]}, 'the category with the name cup is there twice'),
    ({'box': [0.1, 0.2, 0.3, 0.4]}, 'between 0 and 1, but those of coco are in pixels'),
])
def test_what_means_nothing_is_refused(coco, changes, words):
    with pytest.raises(InputError, match=words):
        coco(**changes)


@pytest.mark.parametrize('changes, words', [
    ({}, None),
    ({'images': [{'id': 2, 'file_name': 'a.png'}]}, '1 images are in the dataset more than once'),
    ({'box': [9, 2, -8, 9]}, '1 of 1 objects have boxes without an area'),
    ({'annotations': [SAME]}, '1 of 2 objects are there twice'),
    ({'annotations': [{**SAME, 'iscrowd': 1}]}, None),
    ({'annotations': [{**SAME, 'bbox': [1, 2, 8, 8], 'prelabel': True}]},
     '1 images have pre-labels of a model that nobody has checked'),
    ({'annotations': [{**SAME, 'bbox': [1, 2, 8, 8], 'prelabel': True}], 'checked': True}, None),
])
def test_what_misleads_is_said(coco, changes, words):
    notes = coco(**changes).notes
    assert notes == () if words is None else len(notes) == 1 and words in notes[0]


def test_images_of_another_size_are_refused(coco):
    assert coco(width=40, height=30).samples[0].read().shape == (30, 40, 3)
    assert coco(width=0, height='x').samples[0].read().shape == (30, 40, 3)
    with pytest.raises(InputError, match='has 40x30 pixels, but its labels are for 80x60'):
        coco(width=80, height=60).samples[0].read()


def test_images_from_elsewhere_are_said(coco, tmp_path):
    outer = str(tmp_path.parent / 'b.png')
    for name in (outer, '../b.png'):
        notes = coco(images=[{'id': 2, 'file_name': name}]).notes
        assert len(notes) == 1 and f'1 images are outside of {tmp_path}' in notes[0]
    (tmp_path / 'c.png').symlink_to(outer)
    assert 'c.png; they are read' in coco(images=[{'id': 2, 'file_name': 'c.png'}]).notes[0]
    (tmp_path / 'data.yaml').write_text(f'names: [cup]\ntest: {tmp_path / "list.txt"}\n')
    (tmp_path / 'list.txt').write_text(f'a.png\n{outer}\n')
    assert '1 images are outside' in open_dataset(str(tmp_path), 'yolo').notes[0]


def test_boxes_outside_of_an_image_are_counted():
    truth = Objects.of([[0, 0, 40, 30], [30, 0, 48, 30], [35, 0, 52, 30], [90, 90, 99, 99]],
                       [0] * 4, [False] * 4)
    assert outside(truth, (40, 30)) == 2


def test_the_report_says_that_labels_are_for_other_images(sets, evaluate, tmp_path):
    data = json.loads((sets['coco'] / 'instances.json').read_text())
    for each in data['annotations']:
        x, y, width, height = each['bbox']
        each['bbox'] = [x, y, x + width, y + height]
    for each in data['images']:
        each['file_name'] = str(next(sets['coco'].rglob(each['file_name'])))
    (tmp_path / 'set.json').write_text(json.dumps(data))
    code, _, said = evaluate('cards_detector', tmp_path)
    assert code == 0 and 'objects are outside of their images by more than half' in said
    assert f'images are outside of {tmp_path}' in said
