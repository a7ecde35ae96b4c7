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


"""Masks and their average precision: equal to pycocotools, the reference implementation."""

import contextlib
import io
import json
from types import SimpleNamespace

import cv2
import numpy as np
from pycocotools import coco, mask as reference
from pycocotools.cocoeval import COCOeval
import pytest
from ros2_classify import Detections, InputError, Options, Timing
from ros2_classify.results.masks import InstanceMasks
from ros2_classify_evaluation.datasets import open_dataset
from ros2_classify_evaluation.metrics.masks import decode
from ros2_classify_evaluation.predict import predict
from ros2_classify_evaluation.report import make_report

WIDTH, HEIGHT, NAMES = 200, 150, ('a', 'b', 'c')


def polygon(random, low=-20, high=220):
    """Return a polygon with any corners, on the image and beyond it."""
    return np.round(random.uniform(low, high, 2 * random.integers(3, 9)), 2).tolist()


@pytest.mark.parametrize('seed', range(40))
def test_polygons_have_the_pixels_of_the_reference(seed):
    random = np.random.default_rng(seed)
    polygons = [polygon(random) for _ in range(random.integers(1, 4))]
    expected = reference.decode(reference.merge(reference.frPyObjects(polygons, HEIGHT, WIDTH)))
    np.testing.assert_array_equal(decode(polygons, HEIGHT, WIDTH), expected.astype(bool))


@pytest.mark.parametrize('seed', range(5))
def test_run_lengths_have_the_pixels_of_the_reference(seed):
    random = np.random.default_rng(seed)
    pixels = cv2.blur(random.random((HEIGHT, WIDTH)), (9, 9)) > 0.5
    packed = reference.encode(np.asfortranarray(pixels.astype(np.uint8)))
    packed['counts'] = packed['counts'].decode()
    np.testing.assert_array_equal(decode(packed, HEIGHT, WIDTH), pixels)
    flat = pixels.T.ravel().astype(int)
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *([0] if flat[0] else []), *ends, flat.size]).tolist()
    np.testing.assert_array_equal(
        decode({'size': [HEIGHT, WIDTH], 'counts': counts}, HEIGHT, WIDTH), pixels)


@pytest.mark.parametrize(('bad', 'words'), [
    ([[1, 2, 3, 4]], 'three or more corners'), ([1, 2, 3], 'neither'), ('x', 'neither'),
    ([[0, 0, 1e9, 1, 2, 2]], 'no places'),
    ({'size': [3, 3], 'counts': [9]}, 'for an image of the size'),
    ({'size': [HEIGHT, WIDTH], 'counts': [9]}, 'add up to 9'),
    ({'size': [HEIGHT, WIDTH], 'counts': ' '}, 'character')])
def test_damaged_masks_are_refused(bad, words):
    with pytest.raises(InputError, match=words):
        decode(bad, HEIGHT, WIDTH)


class Model:
    """Gives objects near the true ones, with masks of 14x14 cells."""

    task, labels = 'detection', dict(enumerate(NAMES))
    options = Options(score_threshold=0.5, max_detections=100)
    engine, descriptor = SimpleNamespace(provider='cpu'), SimpleNamespace(name='model')

    def __init__(self, data, with_masks=True):
        self.random, self.data, self.results = np.random.default_rng(9), data, []
        self.image, self.with_masks = 0, with_masks

    def warm_up(self):
        """Do nothing."""

    def __call__(self, pixels, order, options):
        self.image += 1
        rows = [each for each in self.data['annotations'] if each['image_id'] == self.image]
        boxes = np.array([each['bbox'] for each in rows] + [[10, 10, 50, 60]], float)
        boxes[:, 2:] += boxes[:, :2]
        frames = boxes + self.random.normal(0, 2, boxes.shape)
        frames[:, 2:] = np.maximum(frames[:, 2:], frames[:, :2] + 3)
        count = len(boxes)
        ids = np.where(self.random.random(count) < 0.85, [
            *(each['category_id'] - 1 for each in rows), 0], self.random.integers(0, 3, count))
        masks = InstanceMasks(cv2.blur(self.random.random((14, 14, count)), (3, 3)).reshape(
            14, 14, count).transpose(2, 0, 1) + 0.25, frames)
        scores = np.sort(np.round(self.random.random(count), 2))[::-1]
        for row in range(count):
            x, y, cut = masks.cutout(row, (WIDTH, HEIGHT))
            whole = np.zeros((HEIGHT, WIDTH), np.uint8, 'F')
            whole[y:y + cut.shape[0], x:x + cut.shape[1]] = cut
            self.results.append({
                'image_id': self.image, 'category_id': int(ids[row]) + 1,
                'score': float(np.float32(scores[row])), 'segmentation': reference.encode(whole)})
        return Detections(
            np.clip(frames, 0, [WIDTH, HEIGHT] * 2), ids, scores,
            np.array([NAMES[each] for each in ids], object), (WIDTH, HEIGHT),
            Timing(0.0, 0.0, 0.0), masks if self.with_masks else None)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Return COCO's file with polygons, run lengths and crowds of 25 images, and its directory."""
    random = np.random.default_rng(3)
    root = tmp_path_factory.mktemp('masks')
    annotations = []
    for image in range(1, 26):
        cv2.imwrite(str(root / f'{image:02d}.png'), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        for _ in range(random.integers(0, 6)):
            x, y = random.uniform(0, 90, 2)
            corners = random.uniform(0, 1, (16, 2)) * random.uniform(15, 170, 2) + (x, y * 0.5)
            shape = cv2.convexHull(corners.astype(np.float32)).astype(float).round(2).ravel()
            packed = reference.merge(reference.frPyObjects([shape.tolist()], HEIGHT, WIDTH))
            crowd = bool(random.random() < 0.15)
            area, box = float(reference.area(packed)), reference.toBbox(packed).tolist()
            if not area:
                continue
            annotations.append({
                'id': len(annotations) + 1, 'image_id': image, 'iscrowd': int(crowd),
                'category_id': int(random.integers(1, 4)), 'bbox': box, 'area': area,
                'segmentation': {'size': [HEIGHT, WIDTH], 'counts': packed['counts'].decode()}
                if crowd or random.random() < 0.3 else [shape.tolist()]})
    data = {'images': [{'id': each, 'file_name': f'{each:02d}.png', 'width': WIDTH,
                        'height': HEIGHT} for each in range(1, 26)],
            'annotations': annotations, 'info': {},
            'categories': [{'id': each, 'name': name} for each, name in enumerate(NAMES, 1)]}
    (root / 'instances.json').write_text(json.dumps(data))
    return root, data


def test_average_precision_of_masks_equals_the_reference(data):
    root, content = data
    model = Model(content)
    dataset = open_dataset(str(root / 'instances.json'))
    report = make_report(predict(model, dataset), dataset)
    truth = coco.COCO()
    truth.dataset = json.loads(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(model.results), 'segm')
        run.evaluate()
        run.accumulate()
        run.summarize()
    names = ('mask_map', 'mask_map50', 'mask_map75', 'mask_map_small', 'mask_map_medium',
             'mask_map_large')
    found = [report.measures[name].value for name in names]
    assert found == pytest.approx(run.stats[:6].tolist(), abs=1e-9)
    assert 0.05 < found[0] < found[1] < 0.95
    by_class = run.eval['precision'][:, :, :, 0, 2]
    assert [row['mask_ap'] for row in report.per_class] == pytest.approx(
        [by_class[..., each].mean() for each in range(3)], abs=1e-9)
    value = report.measures['mask_map']
    assert value.low < value.value < value.high
    assert 'mask_map' in report.resampled and next(iter(report.measures)) == 'map'


def test_without_masks_on_both_sides_there_is_no_such_measure(data, tmp_path):
    root, content = data
    dataset = open_dataset(str(root / 'instances.json'))
    assert 'mask_map' not in make_report(
        predict(Model(content, with_masks=False), dataset), dataset).measures
    content = {**content, 'annotations': [
        {**each, 'segmentation': []} for each in content['annotations']]}
    (root / 'sub').mkdir()
    (root / 'sub' / 'boxes.json').write_text(json.dumps(content))
    dataset = open_dataset(str(root / 'sub' / 'boxes.json'))
    assert 'mask_map' not in make_report(predict(Model(content), dataset), dataset).measures


def test_a_mask_that_cannot_be_read_names_its_image(data):
    root, content = data
    broken = json.loads(json.dumps(content))
    first = broken['annotations'][0]
    first['segmentation'] = [[1, 2]]
    (root / 'bad').mkdir()
    (root / 'bad' / 'bad.json').write_text(json.dumps(broken))
    with pytest.raises(InputError, match=rf"{first['image_id']:02d}\.png.*corners"):
        predict(Model(content), open_dataset(str(root / 'bad' / 'bad.json')))
