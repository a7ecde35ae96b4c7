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

"""Labels on a topic of a bag belong to the images with their stamps."""

import numpy as np
import pytest
from ros2_classify import InputError
from ros2_classify_evaluation.datasets import open_dataset

BOX = (2.0, 3.0, 10.0, 9.0)


def images(count=3):
    return [np.full((16, 24, 3), 10 * number, np.uint8) for number in range(count)]


def test_boxes_belong_to_the_images_with_their_stamps(bags, tmp_path):
    path = bags(tmp_path / 'bag', {'/camera': images()}, {
        '/truth': [[('dog', 1.0, BOX, '7')], None, []]})
    data = open_dataset(str(path))
    assert (data.task, data.kind, data.names) == ('detection', 'bag', ('dog',))
    assert [sample.stamp for sample in data.samples] == pytest.approx([100.0, 100.2])
    assert [int(sample.read()[0, 0, 0]) for sample in data.samples] == [0, 20]
    # An earlier image is read again.
    assert int(data.samples[0].read()[0, 0, 0]) == 0
    first, empty = (sample.truth for sample in data.samples)
    assert first.boxes.tolist() == [list(BOX)] and first.track_ids == ('7',)
    assert len(empty) == 0
    assert data.notes == ('1 of 3 images have no labels and are skipped',)


def test_classes_of_images(bags, tmp_path):
    path = bags(tmp_path / 'one', {'/camera': images()}, {'/truth': [['cat'], [], ['dog']]})
    data = open_dataset(str(path))
    assert data.task == 'classification' and not data.multi_label
    assert [sample.truth for sample in data.samples] == [{0}, {1}]
    path = bags(tmp_path / 'more', {'/camera': images()}, {
        '/truth': [['cat', 'dog'], [], ['dog']]})
    data = open_dataset(str(path))
    assert data.multi_label and [sample.truth for sample in data.samples] == [{0, 1}, set(), {1}]


def test_what_is_no_truth_is_asked_about_or_said(bags, tmp_path):
    labels = [[('dog', 0.8, BOX, '')], [], []]
    path = bags(tmp_path / 'two', {'/camera': images(), '/rear': images()}, {
        '/truth': labels, '/model': labels})
    for words, text in (
            ({}, 'say with --labels-topic which topic .*: /model, /truth'),
            ({'labels_topic': '/gone'}, 'no labels on /gone; topics .*: /model, /truth'),
            ({'labels_topic': '/truth'}, 'several topics: choose one with --topic')):
        with pytest.raises(InputError, match=text):
            open_dataset(str(path), **words)
    data = open_dataset(str(path), topic='/rear', labels_topic='/model')
    assert 'scores below 1, as results of a model have' in data.notes[0]


def test_stamps_that_fit_nothing_are_refused(bags, tmp_path):
    path = bags(tmp_path / 'bag', {'/camera': images()}, {
        '/truth': [[('dog', 1.0, BOX, '')]]}, shift=0.01)
    with pytest.raises(InputError, match='none of the 1 stamps on /truth is that of one of the 3'):
        open_dataset(str(path))
    path = bags(tmp_path / 'none', {'/camera': images()})
    with pytest.raises(InputError, match='Detection2DArray or Classification: none'):
        open_dataset(str(path))
    broken = tmp_path / 'broken.mcap'
    broken.write_bytes(b'nothing of the kind')
    with pytest.raises(InputError, match='broken.mcap cannot be read'):
        open_dataset(str(broken))
    with pytest.raises(InputError, match='a topic belongs to a bag'):
        open_dataset(str(tmp_path), 'csv', labels_topic='/truth')
