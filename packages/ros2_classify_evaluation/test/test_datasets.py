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


"""Datasets: the same set in all formats is the same, and what is wrong is said."""

import json

import cv2
import numpy as np
import pytest

from ros2_classify import InputError
from ros2_classify_evaluation.datasets import open_dataset


def contents(dataset):
    return [(sample.name.removesuffix('.png'),
             [(dataset.names[label], *map(round, box)) for label, box in zip(
                 sample.truth.class_ids.tolist(), sample.truth.boxes.tolist())])
            for sample in dataset.samples]


def test_all_formats_hold_the_same_boxes(sets, samples):
    found = {name: open_dataset(str(path)) for name, path in sets.items()}
    assert {name: dataset.kind for name, dataset in found.items()} == {
        name: name for name in sets}
    expected = contents(found['coco'])
    assert sum(len(boxes) for _, boxes in expected) == sum(len(each.boxes) for each in samples)
    for name, dataset in found.items():
        # The images of a bag are called by their stamps.
        known = contents(dataset)
        assert [boxes for _, boxes in known] == [boxes for _, boxes in expected], name
        assert name == 'bag' or known == expected
        assert dataset.samples[3].read().shape == (480, 640, 3)


def test_directories_are_classes(crops):
    dataset = open_dataset(str(crops))
    assert dataset.task == 'classification' and len(dataset) == 60
    assert all(dataset.names[next(iter(sample.truth))] == sample.path.parent.name
               for sample in dataset.samples)


@pytest.fixture
def table(tmp_path):
    for name in 'ab':
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.zeros((4, 4, 3), np.uint8))

    def write(text):
        path = tmp_path / 'table.csv'
        path.write_text(text)
        return str(path)
    return write


def test_a_table_may_have_several_labels(table):
    dataset = open_dataset(table('image,labels\na.png,wet;dark\nb.png,\n'))
    assert dataset.multi_label
    assert [sorted(dataset.names[each] for each in sample.truth)
            for sample in dataset.samples] == [['dark', 'wet'], []]


def test_a_table_with_one_label_each_is_not_of_several(table):
    assert not open_dataset(table('image,label\na.png,wet\nb.png,dark\n')).multi_label


@pytest.mark.parametrize('text, words', [
    ('image,score\na.png,1\n', 'has the columns image, score but needs image and label'),
    ('image,label\nc.png,x\n', "the image 'c.png' is not in"),
    ('image,label,x1,y1,x2,y2\na.png,x,1,2,3,\n', 'line 2: the box is 1, 2, 3,'),
])
def test_wrong_tables_are_refused(table, text, words):
    with pytest.raises(InputError, match=words):
        open_dataset(table(text))


@pytest.mark.parametrize('change, words', [
    (lambda data: data['annotations'][0].update(category_id=99), 'names the image 1'),
    (lambda data: data['images'][0].update(file_name='gone.png'), 'image gone.png is not beside'),
    (lambda data: data.pop('categories'), 'lacks the keys categories'),
    (lambda data: data['annotations'][0].pop('bbox'), "'bbox' is missing"),
])
def test_wrong_coco_files_are_refused(sets, tmp_path, change, words):
    data = json.loads((sets['coco'] / 'instances.json').read_text())
    (tmp_path / 'images').symlink_to(sets['coco'] / 'images')
    if any(each['image_id'] == 1 for each in data['annotations'][:1]):
        change(data)
    else:
        data['annotations'][0]['image_id'] = 1
        change(data)
    (tmp_path / 'instances.json').write_text(json.dumps(data))
    with pytest.raises(InputError, match=words):
        open_dataset(str(tmp_path / 'instances.json'))


def yolo(tmp_path, line):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'labels').mkdir()
    cv2.imwrite(str(tmp_path / 'images' / 'a.png'), np.zeros((10, 20, 3), np.uint8))
    (tmp_path / 'labels' / 'a.txt').write_text(line)
    (tmp_path / 'data.yaml').write_text('val: images\nnames: {0: x, 1: y}\n')
    return open_dataset(str(tmp_path))


def test_a_polygon_is_its_box(tmp_path):
    dataset = yolo(tmp_path, '1 0.1 0.2 0.5 0.2 0.5 0.9\n')
    assert dataset.samples[0].truth.boxes.tolist() == [[2.0, 2.0, 10.0, 9.0]]
    assert dataset.notes == ('no test images in data.yaml: measured on val',)


@pytest.mark.parametrize('line, words', [
    ('2 0.5 0.5 0.1 0.1', 'line 1: class 2, but the names end at 1'),
    ('x 0.5 0.5 0.1 0.1', 'is not a class and numbers'),
    ('1 0.5 0.5 0.1', '3 numbers after the class'),
])
def test_wrong_yolo_labels_are_refused(tmp_path, line, words):
    with pytest.raises(InputError, match=words):
        yolo(tmp_path, line)


@pytest.mark.parametrize('text, words', [
    ('<annotation>', 'is no XML'),
    ('<annotation><object><name>x</name></object></annotation>', 'no box of four numbers'),
])
def test_wrong_voc_files_are_refused(tmp_path, text, words):
    (tmp_path / 'Annotations').mkdir()
    (tmp_path / 'JPEGImages').mkdir()
    (tmp_path / 'Annotations' / 'a.xml').write_text(text)
    with pytest.raises(InputError, match=words):
        open_dataset(str(tmp_path))


def test_difficult_objects_of_voc_count_neither_way(tmp_path):
    (tmp_path / 'Annotations').mkdir()
    (tmp_path / 'JPEGImages').mkdir()
    cv2.imwrite(str(tmp_path / 'JPEGImages' / 'a.png'), np.zeros((9, 9, 3), np.uint8))
    (tmp_path / 'Annotations' / 'a.xml').write_text(
        '<annotation><object><name>x</name><difficult>1</difficult><bndbox><xmin>1</xmin>'
        '<ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>')
    truth = open_dataset(str(tmp_path)).samples[0].truth
    assert truth.ignored.tolist() == [True]
    # VOC counts pixels from 1, and its boxes hold the last one.
    assert truth.boxes.tolist() == [[0, 1, 5, 6]]


def test_label_images_are_numbers_by_the_names_beside_them(tmp_path):
    for name in ('images', 'masks'):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / 'images' / 'a.jpg'), np.zeros((4, 6, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'masks' / 'a.png'), np.full((4, 6), 1, np.uint8))
    with pytest.raises(InputError, match='no classes.txt'):
        open_dataset(str(tmp_path))
    (tmp_path / 'classes.txt').write_text('sky\nroad\n')
    dataset = open_dataset(str(tmp_path))
    assert (dataset.task, dataset.names) == ('segmentation', ('sky', 'road'))
    assert dataset.samples[0].truth().tolist() == [[1] * 6] * 4


def test_what_is_no_dataset_is_said(tmp_path):
    with pytest.raises(InputError, match='does not exist'):
        open_dataset(str(tmp_path / 'gone'))
    with pytest.raises(InputError, match='in no known format'):
        open_dataset(str(tmp_path))
