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

"""Results: what is checked at construction, and how they read."""

import dataclasses
import json

import numpy as np
import pytest

from ros2_classify.errors import InputError, OutputError
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.masks import InstanceMasks
from ros2_classify.results.results import Classification, Detections, Segmentation, Timing

TIMING = Timing(0.001, 0.0205, 0.0000004)
NAN = float('nan')


def classification(**changes):
    values = {
        'class_ids': np.array([7, 300], np.int64),
        'scores': np.array([0.75, 0.125], np.float32),
        'labels': np.array(['cat', 'a long label'], object),
        'image_size': (640, 480), 'timing': TIMING}
    return Classification(**{**values, **changes})


def detections(**changes):
    values = {
        'boxes': np.array([[0, 0, 640, 480], [10.5, 20.25, 30, 40]], np.float32),
        'class_ids': np.array([7, 300], np.int64),
        'scores': np.array([0.75, 0.125], np.float32),
        'labels': np.array(['cat', 'dog'], object),
        'image_size': (640, 480), 'timing': TIMING}
    return Detections(**{**values, **changes})


def segmentation(**changes):
    image = np.full((480, 640), 7, np.uint8)
    image[:60] = 30
    values = {
        'label_image': image, 'class_ids': np.array([7, 30]), 'scores': np.array([0.875, 0.125]),
        'labels': np.array(['road', 'sky'], object), 'image_size': (640, 480), 'timing': TIMING}
    return Segmentation(**{**values, **changes})


def empty_detections():
    return detections(boxes=np.zeros((0, 4)), class_ids=[], scores=[], labels=[])


def test_timing_adds_up_and_rounds_to_microseconds():
    assert TIMING.total == pytest.approx(0.0215004)
    assert TIMING.to_dict() == {'preprocess': 1.0, 'inference': 20.5, 'postprocess': 0.0}


@pytest.mark.parametrize('result, task', [
    (classification(), 'classification'), (detections(), 'detection'),
    (segmentation(), 'segmentation')])
def test_facts(result, task):
    assert result.task == task
    assert len(result) == 2
    assert result.scores.dtype == np.float32
    assert result.class_ids.dtype == np.int64
    assert result.labels.dtype == object


def test_other_types_are_brought_to_the_declared_ones():
    result = detections(boxes=[[1, 2, 3, 4]], class_ids=[1], scores=[0.5], labels=['x'])
    assert result.boxes.dtype == np.float32
    assert result.labels.tolist() == ['x']


def test_results_cannot_change_but_the_callers_arrays_can():
    scores = np.array([0.75, 0.125], np.float32)
    result = classification(scores=scores)
    with pytest.raises(ValueError, match='read-only'):
        result.scores[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.scores = scores
    scores[0] = 0.9
    assert scores.flags.writeable


def test_to_dict_is_json_best_first():
    result = json.loads(json.dumps(detections().to_dict()))
    assert result == {
        'task': 'detection', 'image': {'width': 640, 'height': 480},
        'results': [
            {'class_id': 7, 'label': 'cat', 'score': 0.75, 'box': [0.0, 0.0, 640.0, 480.0]},
            {'class_id': 300, 'label': 'dog', 'score': 0.125, 'box': [10.5, 20.25, 30.0, 40.0]}],
        'timing_ms': {'preprocess': 1.0, 'inference': 20.5, 'postprocess': 0.0}}
    rows = json.loads(json.dumps(classification().to_dict()))['results']
    assert rows[1] == {'class_id': 300, 'label': 'a long label', 'score': 0.125}


def test_tables_are_aligned():
    assert str(classification()).splitlines() == [
        'label         score  class id',
        'cat           0.750         7',
        'a long label  0.125       300']
    assert str(detections()).splitlines()[2] == 'dog    0.125  10  20   30   40       300'


def test_empty_results_are_results():
    result = empty_detections()
    assert len(result) == 0
    assert result.rows() == []
    assert 'nothing found' in str(result)
    assert 'no class' in str(classification(class_ids=[], scores=[], labels=[]))


@pytest.mark.parametrize('changes, words', [
    ({'scores': np.zeros((2, 1))}, r'shape \(2, 1\)'),
    ({'class_ids': np.zeros(3)}, r'class_ids has shape \(3,\) but there are 2 scores'),
    ({'labels': np.array(['a'], object)}, 'labels has shape'),
    ({'scores': np.array([0.1, 0.2])}, 'best first'),
    ({'scores': np.array([NAN, 0.2])}, 'a score is nan'),
    ({'scores': np.array([np.inf, 0.2])}, 'a score is inf'),
    ({'image_size': (0, 480)}, '0x480'),
])
@pytest.mark.parametrize('make', [classification, detections, segmentation])
def test_what_does_not_fit_is_refused(make, changes, words):
    with pytest.raises(OutputError, match=words):
        make(**changes)


@pytest.mark.parametrize('box', [
    [-1, 0, 10, 10], [0, -0.5, 10, 10], [0, 0, 641, 10], [0, 0, 10, 480.5], [20, 0, 10, 10],
    [0, 20, 10, 10], [NAN, 0, 10, 10], [0, 0, 10, NAN], [0, 0, np.inf, 10]])
def test_boxes_that_leave_the_image_are_refused(box):
    with pytest.raises(OutputError, match='box 1 is .* image of 640x480'):
        detections(boxes=np.array([[0, 0, 1, 1], box], np.float32))


def test_boxes_need_four_columns():
    with pytest.raises(OutputError, match=r'\(2, 5\) but must be \(2, 4\)'):
        detections(boxes=np.zeros((2, 5)))
    with pytest.raises(OutputError, match=r'\(3, 4\) but must be \(2, 4\)'):
        detections(boxes=np.zeros((3, 4)))


def test_a_box_may_touch_all_edges_and_have_no_size():
    result = detections(boxes=np.array([[0, 0, 640, 480], [640, 480, 640, 480]]))
    assert len(result) == 2


def test_a_segmentation_reads_as_a_table_and_as_json():
    result = segmentation()
    assert str(result).splitlines() == [
        'label  pixels  class id', 'road    87.5%         7', 'sky     12.5%        30']
    assert json.loads(json.dumps(result.to_dict()))['results'] == [
        {'class_id': 7, 'label': 'road', 'score': 0.875},
        {'class_id': 30, 'label': 'sky', 'score': 0.125}]
    assert result.unlabeled == 255
    assert 'no class' in str(segmentation(class_ids=[], scores=[], labels=[]))
    with pytest.raises(ValueError, match='read-only'):
        result.label_image[0, 0] = 1


@pytest.mark.parametrize('image', [
    np.zeros((640, 480), np.uint8), np.zeros((480, 640), np.int64), np.zeros((480, 640, 1), 'u1')])
def test_label_images_that_do_not_fit(image):
    with pytest.raises(OutputError, match=r'label_image is .* the shape \(480, 640\)'):
        segmentation(label_image=image)


def test_masks_belong_to_boxes():
    masks = InstanceMasks(np.ones((2, 1, 1)), np.array([[0, 0, 640, 480], [10.5, 20.25, 30, 40]]))
    assert detections(masks=masks).instances()[10, 10] == 1
    assert detections().instances() is None
    with pytest.raises(OutputError, match='1 masks but 2 boxes'):
        detections(masks=InstanceMasks(np.ones((1, 1, 1)), np.zeros((1, 4))))


def some_objects():
    return Detections(
        np.array([[0, 0, 4, 4], [1, 1, 5, 5], [2, 2, 6, 6]]), np.array([1, 0, 1]),
        np.array([0.9, 0.8, 0.7]), np.array(['b', 'a', 'b'], object), (8, 8),
        Timing(0.0, 0.0, 0.0),
        masks=InstanceMasks(np.ones((3, 2, 2)) * [[[0.9]], [[0.8]], [[0.7]]],
                            np.array([[0, 0, 4, 4], [1, 1, 5, 5], [2, 2, 6, 6]])),
        keypoints=Keypoints(np.arange(12).reshape(3, 2, 2), np.full((3, 2), 0.5), ('l', 'r'),
                            ((0, 1),)),
        oriented=np.arange(15).reshape(3, 5), track_ids=np.array(['', '7', '8'], object),
        positions=np.array([[np.nan] * 3, [1.0, 0.5, 2.0], [np.nan] * 3]))


@pytest.mark.parametrize('rows', [np.array([1, 2]), np.array([False, True, True])])
def test_selected_objects_keep_all_that_belongs_to_them(rows):
    found = some_objects()
    some = found.select(rows)
    assert some.rows() == found.rows()[1:]
    assert some.rows()[0] == {
        'class_id': 0, 'label': 'a', 'score': 0.8, 'box': [1.0, 1.0, 5.0, 5.0],
        'keypoints': [{'name': 'l', 'x': 4.0, 'y': 5.0, 'score': 0.5},
                      {'name': 'r', 'x': 6.0, 'y': 7.0, 'score': 0.5}],
        'oriented_box': [5.0, 6.0, 7.0, 8.0, 9.0], 'id': '7',
        'position': [1.0, 0.5, 2.0]}
    assert some.rows()[1]['position'] is None
    assert some.masks.values[:, 0, 0].tolist() == pytest.approx([0.8, 0.7])
    assert some.masks.frames.tolist() == found.masks.frames[1:].tolist()
    assert some.keypoints.skeleton == ((0, 1),)


def test_a_bool_for_each_object_is_needed_to_select():
    with pytest.raises(InputError, match=r'rows has shape \(2,\) but must be \(3,\)'):
        some_objects().select(np.array([True, False]))
    assert len(some_objects().select([])) == 0


def test_no_object_is_selected_of_none():
    assert not len(some_objects().select(np.zeros(3, bool)))


@pytest.mark.parametrize('wrong, words', [
    ({'track_ids': np.array(['1'], object)}, 'there are 1 track ids but 3 boxes'),
    ({'oriented': np.zeros((3, 4))}, r'oriented has shape \(3, 4\) but must be \(3, 5\)'),
    ({'oriented': np.full((3, 5), np.nan)}, 'finite'),
    ({'positions': np.zeros((3, 2))}, r'positions has shape \(3, 2\) but must be \(3, 3\)'),
    ({'keypoints': Keypoints(np.zeros((1, 2, 2)), np.zeros((1, 2)))}, '1 sets of key points'),
])
def test_what_belongs_to_objects_fits_them(wrong, words):
    with pytest.raises(OutputError, match=words):
        dataclasses.replace(some_objects(), **wrong)


@pytest.mark.parametrize('wrong, words', [
    ((np.zeros((3, 2)), np.zeros((3, 2))), r'must be \(N, K, 2\)'),
    ((np.zeros((3, 2, 2)), np.zeros((3, 2)), ('one',)), '1 names for 2 key points'),
    ((np.zeros((3, 2, 2)), np.zeros((3, 2)), (), ((0, 2),)), 'numbered from 0 to 1'),
    ((np.full((3, 2, 2), np.inf), np.zeros((3, 2))), 'not finite'),
])
def test_wrong_key_points_are_refused(wrong, words):
    with pytest.raises(OutputError, match=words):
        Keypoints(*wrong)
