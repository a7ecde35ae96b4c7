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

"""Cascades: the same as a plain loop over crops, and what is skipped is counted."""

import math

from cascade_models import BOXES, save_cascade, save_colors
import numpy as np
import pytest
from ros2_classify import Detections, Keypoints, load_descriptor, Pipeline, Timing
from ros2_classify.cascade.stages import keeping, RunningStage, Stages
from ros2_classify.errors import DescriptorError, ModelNotFoundError
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.model.stages import Stage
from ros2_classify.preprocess.views import box_of_crop

rng = np.random.default_rng(5)
IMAGES = [rng.integers(0, 256, (60 + 7 * number, 90, 3), np.uint8) for number in range(4)]
# So that not all crops have the same class.
IMAGES[0][:, :45, 0] //= 3
IMAGES[1][30:, :, 2] //= 2
IMAGES[2][:, :, 1] //= 4


@pytest.fixture
def directory(tmp_path):
    save_colors(tmp_path)
    return tmp_path


def plain_crop(image, box, padding):
    """Cut a box, in the image's pixels, out of an image."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    left = max(0, math.floor(x1 - padding * (x2 - x1)))
    top = max(0, math.floor(y1 - padding * (y2 - y1)))
    right = min(width, math.ceil(x2 + padding * (x2 - x1)))
    bottom = min(height, math.ceil(y2 + padding * (y2 - y1)))
    return np.ascontiguousarray(image[top:bottom, left:right])


@pytest.mark.parametrize('padding', [0.0, 0.25])
@pytest.mark.parametrize('color', ['rgb', 'bgr'])
def test_the_same_as_a_plain_loop(directory, padding, color):
    path = save_cascade(directory, f'{{color: {{model: colors.yaml, padding: {padding}}}}}')
    with Pipeline.load(path) as cascade, Pipeline.load(directory / 'colors.yaml') as classifier:
        found = cascade.many(IMAGES, color)
        labels = set()
        for image, result in zip(IMAGES, found):
            assert result.labels.tolist() == ['cup', 'ball', 'cup']
            for box, each in zip(result.boxes.tolist(), result.attributes['color']):
                expected = classifier(plain_crop(image, box, padding), color)
                assert each.labels.tolist() == expected.labels.tolist()
                np.testing.assert_allclose(each.scores, expected.scores, atol=1e-6)
                labels.add(each.labels[0])
        assert len(labels) > 1
        # One image gives the same.
        assert cascade(IMAGES[1], color).rows() == found[1].rows()


def test_the_shipped_cascade_is_the_two_shipped_models_in_a_row():
    from ros2_classify.image_io import read_image
    from shared_data import ROOT

    image = read_image(ROOT / 'models/scenes/several_cards.jpg')
    with Pipeline.load('cards_cascade', task='detection') as cascade, Pipeline.load(
            'cards_detector') as detector, Pipeline.load('cards_classifier') as classifier:
        assert cascade.stages.running['card'].model.model.max_batch > 1
        found, boxes = cascade(image, 'bgr'), detector(image, 'bgr')
        np.testing.assert_array_equal(found.boxes, boxes.boxes)
        assert len(found) > 2
        for box, label, each in zip(boxes.boxes.tolist(), boxes.labels, found.attributes['card']):
            expected = classifier(plain_crop(image, box, 0.1), 'bgr')
            assert each.labels[0] == expected.labels[0] == label
            np.testing.assert_allclose(each.scores, expected.scores, atol=1e-4)


def test_what_is_skipped_is_counted(directory):
    path = save_cascade(
        directory, '{color: {model: colors.yaml, classes: [cup], max_crops: 1}}')
    with Pipeline.load(path) as cascade:
        for result in cascade.many(IMAGES, 'rgb'):
            first, ball, last = result.attributes['color']
            assert first is not None and ball is None and last is None
            assert 'attributes' in result.rows()[0]
            assert result.rows()[2]['attributes'] == {'color': None}
        assert cascade.stages.counts() == {
            'stage color: boxes looked at': 4, 'stage color: skipped, over max_crops': 4,
            'stage color: skipped, over budget_ms': 0}


class Model:
    """A stage's model that notes what it gets."""

    task = 'classification'
    labels = None
    clip = None

    def __init__(self, result=None, task='classification'):
        self.result, self.task, self.calls, self.closed = result, task, [], 0
        self.descriptor = load_descriptor_named('fake')

    def many(self, images, color='rgb'):
        self.calls.append((color, [image.shape for image in images]))
        return [self.result] * len(list(images))

    def warm_up(self):
        """Do nothing."""

    def close(self):
        self.closed += 1


def load_descriptor_named(name, unverified=()):
    from ros2_classify import ModelDescriptor
    return ModelDescriptor.from_mapping(
        {'name': name, 'source': {'path': f'{name}.onnx'}, 'unverified': list(unverified)})


def detections(count, size=(100, 50)):
    boxes = np.array([[5 * row, 0, 5 * row + 10, 20] for row in range(count)], np.float32)
    return Detections(
        boxes.reshape(-1, 4), np.zeros(count), np.linspace(0.9, 0.5, count),
        np.array(['cup'] * count, object), size, Timing(0.0, 1.0, 0.0))


def test_all_boxes_of_all_images_go_in_one_run():
    model = Model()
    stages = Stages([Stage(model='m', name='color')], {'color': model})
    images = [np.zeros((50, 100, 3), np.uint8)] * 3
    found = stages([detections(2), detections(0), detections(3)], images, ['rgb', 'rgb', 'rgb'])
    assert model.calls == [('rgb', [(20, 10, 3)] * 5)]
    assert [len(each.attributes['color']) for each in found] == [2, 0, 3]
    assert all(each.timing.inference >= 1.0 for each in found)
    # Images of another order of channels have a run of their own.
    stages([detections(1), detections(1)], images[:2], ['rgb', 'bgr'])
    assert [color for color, _ in model.calls[1:]] == ['rgb', 'bgr']


def test_the_budget_leaves_the_worst_boxes_out(monkeypatch):
    now = [0.0]

    class Slow(Model):

        def many(self, images, color='rgb'):
            now[0] += 0.01 * len(images)
            return super().many(images, color)

    monkeypatch.setattr('ros2_classify.cascade.stages.time.perf_counter', lambda: now[0])
    running = RunningStage(
        Stage(model='m', name='color', budget_ms=35.0), Slow(result='said'), None)
    images, colors = [np.zeros((50, 100, 3), np.uint8)] * 2, ['rgb'] * 2
    # Nobody knows yet how long it takes.
    running([detections(2), detections(2)], images, colors)
    assert running.counts.over_budget == 0
    first, second = running([detections(3), detections(4)], images, colors)
    # Three fit: the best of both, and the second of the first image.
    assert first.attributes['color'] == ('said', 'said', None)
    assert second.attributes['color'] == ('said', None, None, None)
    assert (running.counts.looked_at, running.counts.over_budget) == (7, 4)


def test_one_box_is_looked_at_however_small_the_budget(monkeypatch):
    running = RunningStage(
        Stage(model='m', name='color', budget_ms=1e-6), Model(result='said'), None)
    for _ in range(3):
        (found,) = running([detections(3)], [np.zeros((50, 100, 3), np.uint8)], ['rgb'])
    assert found.attributes['color'] == ('said', None, None)


def test_empty_and_grey_crops():
    model = Model(result='said')
    running = RunningStage(Stage(model='m', name='color'), model, None)
    flat = Detections(
        np.array([[3, 3, 3, 3], [3, 3, 3.5, 4]], np.float32), np.zeros(2), np.array([0.9, 0.8]),
        np.array(['cup', 'cup'], object), (8, 8), Timing(0.0, 0.0, 0.0))
    (found,) = running([flat], [np.zeros((8, 8), np.uint8)], ['mono'])
    assert found.attributes['color'] == (None, 'said') and model.calls == [('mono', [(1, 1)])]


@pytest.mark.parametrize('box, padding, expected', [
    ((10.2, 5.9, 20.0, 9.1), 0.0, (10, 5, 20, 10)), ((10, 10, 30, 20), 0.1, (8, 9, 32, 21)),
    ((0, 0, 100, 50), 0.5, (0, 0, 100, 50)), ((90, 40, 100, 50), 1.0, (80, 30, 100, 50))])
def test_what_a_crop_is(box, padding, expected):
    assert box_of_crop(np.float32(box), padding, (100, 50)) == expected


def test_key_points_of_a_stage_are_in_the_image():
    one = Detections(
        np.array([[0, 0, 5, 5]]), np.zeros(1), np.ones(1), np.array(['face'], object), (10, 20),
        Timing(0.0, 0.0, 0.0),
        keypoints=Keypoints(np.array([[[1, 2], [3, 4]]]), np.array([[0.9, 0.8]]), ('a', 'b')))
    model = Model(result=one, task='detection')
    running = RunningStage(Stage(model='m', name='points', max_crops=2), model, None)
    (found,) = running([detections(3)], [np.zeros((50, 100, 3), np.uint8)], ['rgb'])
    assert found.keypoints.points.tolist() == [
        [[1, 2], [3, 4]], [[6, 2], [8, 4]], [[0, 0], [0, 0]]]
    assert found.keypoints.scores[2].tolist() == [0, 0] and found.keypoints.names == ('a', 'b')
    assert found.attributes == {}


def test_one_stage_is_replaced_alone(directory):
    path = save_cascade(directory, '{color: {model: colors.yaml}}')
    other = save_colors(directory, 'farben', 'rot, gruen, blau')
    with Pipeline.load(path) as cascade:
        before = cascade(IMAGES[0])
        cascade.stages.replace('color', Pipeline.load(other))
        after = cascade(IMAGES[0])
        names = dict(zip(('red', 'green', 'blue'), ('rot', 'gruen', 'blau')))
        assert [names[label] for _, label, _, _ in before.said(0)] == [
            label for _, label, _, _ in after.said(0)]
        assert before.said(0)[0][2:] == after.said(0)[0][2:]
        assert cascade.stages.labels == ['rot', 'gruen', 'blau']
        with pytest.raises(DescriptorError, match="no stage 'colour'; the cascade has color"):
            cascade.stages.replace('colour', Model())
        with pytest.raises(DescriptorError, match='fake is for embedding'):
            cascade.stages.replace('color', Model(task='embedding'))


def test_an_unchanged_stage_stays_loaded(directory):
    save_colors(directory, 'others', 'rot, gruen, blau')
    first = Pipeline.load(save_cascade(
        directory, '{color: {model: colors.yaml}, other: {model: others.yaml}}'))
    models = {name: stage.model for name, stage in first.stages.running.items()}
    (directory / 'others.yaml').write_text(
        (directory / 'others.yaml').read_text().replace('rot', 'rouge'))
    changed = save_cascade(
        directory, '{color: {model: colors.yaml, padding: 0.1}, other: {model: others.yaml}}')
    with keeping(first.stages):
        second = Pipeline.load(changed)
    now = {name: stage.model for name, stage in second.stages.running.items()}
    assert now['color'] is models['color'] and now['other'] is not models['other']
    assert first(IMAGES[0]).said(0)[0][1:3] is not None
    first.close()
    with second:
        assert second(IMAGES[0]).said(0)[0][0] == 'color'
        assert second.stages.labels[3:] == ['rouge', 'gruen', 'blau']
    # All are closed: none is lent any more.
    assert models['color'].lend() is None
    with keeping(second.stages), Pipeline.load(changed) as third:
        assert third.stages.running['color'].model is not models['color']


def test_a_changed_file_is_another_model(directory):
    path = save_cascade(directory, '{color: {model: colors.yaml}}')
    with Pipeline.load(path) as first:
        save_colors(directory)
        with keeping(first.stages), Pipeline.load(path) as second:
            assert second.stages.running['color'].model is not first.stages.running['color'].model


def test_a_bundle_and_a_list_of_files_have_the_stages(directory):
    from ros2_classify.bundle import write_bundle
    from ros2_classify.model.catalog import with_stages

    cascade = load_descriptor(save_cascade(directory, '{color: {model: colors.yaml}}'))
    assert [each.name for each in with_stages([cascade, cascade])] == ['cascade', 'colors']
    members = write_bundle([cascade], directory / 'bundle.tar')
    assert sorted(members) == ['models/boxes.onnx', 'models/cascade.yaml', 'models/colors.onnx',
                               'models/colors.yaml']


def test_landmarks_in_the_faces_of_a_detector(directory):
    """A model of landmarks finds an eye at a quarter and a mouth at the centre of any crop."""
    from ros2_classify.testing import save_constant_model

    # x, y, width, height, score; then x, y, sureness of two points, in a model image of 16x16.
    rows = np.array([[8, 8, 16, 16, 0.9, 4, 4, 0.8, 8, 8, 0.7]], np.float32).T[None]
    save_constant_model(directory / 'points.onnx', {'output0': rows}, input_shape=(1, 3, 16, 16))
    (directory / 'points.yaml').write_text(
        'name: points\nsource: {path: points.onnx}\nlabels: [face]\n'
        'input: {size: [16, 16], resize: stretch}\n'
        'output: {decoder: yolo, keypoints: [2, 3], keypoint_names: [eye, mouth]}\n')
    path = save_cascade(directory, '{landmarks: {model: points.yaml, classes: [cup]}}')
    with Pipeline.load(path) as cascade:
        found = cascade(IMAGES[0])
    assert found.keypoints.names == ('eye', 'mouth')
    for label, box, points, sure in zip(
            found.labels, found.boxes, found.keypoints.points, found.keypoints.scores):
        if label == 'ball':
            assert not sure.any()
            continue
        left, top, right, bottom = box_of_crop(box, 0.0, found.image_size)
        np.testing.assert_allclose(sure, [0.8, 0.7], atol=1e-6)
        np.testing.assert_allclose(points, [
            [left + (right - left) * part, top + (bottom - top) * part] for part in (0.25, 0.5)],
            atol=0.01)


@pytest.mark.parametrize('stages, said', [
    ('{color: {model: colors.yaml, classes: [cop]}}',
     "stages.color.classes: the detector has no class 'cop'; did you mean 'cup'?"),
    ('{color: {model: cascade.yaml}}', 'cascade.yaml has stages of its own'),
    ('{color: {model: nothing.yaml}}', 'stages.color.model: the descriptor file'),
    ('{color: {}}', 'model is missing'),
    ('{color: {model: colors.yaml, padding: 2}}', 'padding'),
    ('{"a b": {model: colors.yaml}}', 'letters'),
    ('{color: {model: colors.yaml, klasses: [cup]}}', 'klasses')])
def test_a_wrong_stage_is_refused(directory, stages, said):
    path = save_cascade(directory, stages)
    with pytest.raises((DescriptorError, ModelNotFoundError)) as caught:
        Pipeline.load(path).close()
    assert said in str(caught.value)


def test_only_a_detector_has_stages(directory):
    path = directory / 'colors.yaml'
    save_colors(directory, 'others')
    path.write_text(path.read_text() + 'stages: {color: {model: others.yaml}}\n')
    with pytest.raises(DescriptorError, match='the task is classification; remove stages'):
        Pipeline.load(path)


def test_what_a_stage_leaves_open_is_named(directory):
    model = Model()
    model.descriptor = load_descriptor_named('fake', ['input.mean'])
    stages = Stages([Stage(model='m', name='color')], {'color': model})
    assert stages.unverified == ('stages.color.input.mean',)
    stages.close()
    assert model.closed == 1


def test_a_descriptor_is_written_with_its_stages(directory):
    path = save_cascade(
        directory, '{color: {model: colors.yaml, classes: [cup], budget_ms: 5}}')
    assert mapping_of(load_descriptor(path))['stages'] == {
        'color': {'model': 'colors.yaml', 'classes': ['cup'], 'budget_ms': 5.0}}


def test_rows_go_with_what_is_said_of_them(directory):
    with Pipeline.load(save_cascade(directory, '{color: {model: colors.yaml}}')) as cascade:
        found = cascade(IMAGES[0])
    some = found.select(np.array([False, True, True]))
    assert some.attributes['color'] == found.attributes['color'][1:]
    (stage, label, score, class_id), = found.said(0)
    assert stage == 'color' and class_id == ['red', 'green', 'blue'].index(label)
    assert f'{label} {score:.3f}' in str(found).splitlines()[1]
    assert BOXES.shape[0] == len(found)


def test_a_check_looks_at_each_stage(directory):
    from ros2_classify.inspection.check import check_model, summary

    path = save_cascade(directory, '{color: {model: colors.yaml}}')
    report = check_model(path)
    assert not report.problems
    assert 'stage color: colors (classification) was checked by itself' in report.notes
    colors = directory / 'colors.yaml'
    colors.write_text(colors.read_text() + 'unverified: [input.scale]\n')
    report = check_model(path)
    assert 'stages.color.input.scale' in summary(report)['unverified']
    colors.write_text(colors.read_text().replace('red, green, blue', 'red, green'))
    assert any(each.startswith('stage color: ') for each in check_model(path).problems)
