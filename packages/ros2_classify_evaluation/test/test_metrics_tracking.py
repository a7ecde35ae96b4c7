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

"""MOTA and IDF1 against a reference of loops, and motmetrics where it is installed."""

import itertools
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from ros2_classify import Detections, InputError, Options, Pipeline, Timing
from ros2_classify_evaluation.compare import compare
from ros2_classify_evaluation.datasets import Dataset, Objects, open_dataset, Sample
from ros2_classify_evaluation.metrics.bootstrap import interval
from ros2_classify_evaluation.metrics.detection import ious
from ros2_classify_evaluation.metrics.tracking import add_up, count, idf1, mota, NAMES, Step
from ros2_classify_evaluation.predict import predict
from ros2_classify_evaluation.report import make_report, Value
from ros2_classify_evaluation.tracks import blocks


def sequence(seed, frames=40, objects=3):
    """Return objects that move, and tracks that lose them, change ids and see ghosts."""
    random = np.random.default_rng(seed)
    place = random.uniform(0, 60, (objects, 2))
    step = random.normal(0, 2, (objects, 2))
    names = [f't{each}' for each in range(objects)]
    steps = []
    for frame in range(frames):
        place += step
        there = random.random(objects) < 0.9
        ids = np.flatnonzero(there)
        boxes = np.hstack((place, place + (30, 40)))[ids]
        seen = ids[random.random(len(ids)) < 0.8]
        found = np.hstack((place, place + (30, 40)))[seen] + random.normal(0, 3, (len(seen), 4))
        for each in range(objects):
            if random.random() < 0.08:
                names[each] = f'n{frame}-{each}'
        if random.random() < 0.1:
            names[0], names[1] = names[1], names[0]
        found_ids = [names[each] for each in seen]
        if random.random() < 0.3:
            found = np.vstack((found, [[5, 5, 40, 45]]))
            found_ids.append('ghost')
        steps.append(Step(ids.tolist(), boxes, np.zeros(len(ids), bool), found_ids, found))
    return steps


def reference(steps):
    """Follow the papers with loops over all assignments; small numbers only."""
    last, wrong, objects, found, shared = {}, 0, 0, 0, {}
    for step in steps:
        overlap = ious(step.boxes, step.found_boxes)
        objects, found = objects + len(step.ids), found + len(step.found_ids)
        for row, column in itertools.product(range(len(step.ids)), range(len(step.found_ids))):
            if overlap[row, column] >= 0.5:
                pair = step.ids[row], step.found_ids[column]
                shared[pair] = shared.get(pair, 0) + 1
        pairs = {}
        for row, mine in enumerate(step.ids):
            if last.get(mine) in step.found_ids:
                column = step.found_ids.index(last[mine])
                if overlap[row, column] >= 0.5 and column not in pairs.values():
                    pairs[row] = column
        rows = [each for each in range(len(step.ids)) if each not in pairs]
        columns = [each for each in range(len(step.found_ids)) if each not in pairs.values()]
        options = [*columns, *[None] * len(rows)]
        best = max(itertools.permutations(options, len(rows)), key=lambda chosen: (
            sum((1000 + overlap[row, column]) for row, column in zip(rows, chosen)
                if column is not None and overlap[row, column] >= 0.5)))
        for row, column in zip(rows, best):
            if column is not None and overlap[row, column] >= 0.5:
                pairs[row] = column
                mine, its = step.ids[row], step.found_ids[column]
                wrong += last.get(mine, its) != its
                last[mine] = its
        wrong += len(step.ids) + len(step.found_ids) - 2 * len(pairs)
    optimize = pytest.importorskip('scipy.optimize')
    rows = sorted({mine for mine, _ in shared}, key=str)
    columns = sorted({its for _, its in shared})
    table = np.array([[shared.get((row, column), 0) for column in columns] for row in rows])
    return 1 - wrong / objects, 2 * table[optimize.linear_sum_assignment(
        table, maximize=True)].sum() / (objects + found)


@pytest.mark.parametrize('seed', range(4))
def test_as_loops_over_all_assignments_have_it(seed):
    steps = sequence(seed)
    found = count(steps)
    assert (found.mota, found.idf1) == pytest.approx(reference(steps), abs=1e-9)
    assert 0 < found.idf1 < 0.9 and found.switches > 2


@pytest.mark.parametrize('seed', range(8))
def test_as_motmetrics_has_it(seed):
    motmetrics = pytest.importorskip('motmetrics', reason='compares with motmetrics')
    steps = sequence(seed, 200, 8)
    number_of = {each: number for number, each in enumerate(
        dict.fromkeys(each for step in steps for each in step.found_ids))}
    record = motmetrics.MOTAccumulator(auto_id=True)
    for step in steps:
        distance = 1 - ious(step.boxes, step.found_boxes)
        record.update(step.ids, [number_of[each] for each in step.found_ids],
                      np.where(distance > 0.5, np.nan, distance))
    row = motmetrics.metrics.create().compute(
        record, metrics=['mota', 'idf1', 'num_switches', 'num_misses'], name='x').iloc[0]
    found = count(steps)
    assert found.mota == pytest.approx(row['mota'], abs=1e-6)
    assert found.idf1 == pytest.approx(row['idf1'], abs=1e-6)
    assert (found.switches, found.misses) == (row['num_switches'], row['num_misses'])


def step(ids, boxes, found_ids, found, ignored=None):
    return Step(ids, np.array(boxes, float).reshape(-1, 4),
                np.array(ignored if ignored is not None else [False] * len(ids)),
                found_ids, np.array(found, float).reshape(-1, 4))


def test_ignored_objects_and_their_tracks_count_neither_way():
    one, other = [0, 0, 10, 10], [50, 50, 60, 60]
    found = count([step(['a', 'b'], [one, other], [1, 2], [one, other], [False, True])] * 3)
    assert (found.objects, found.found, found.false_alarms) == (3, 3, 0)
    assert (found.mota, found.idf1) == (1.0, 1.0)


def test_nothing_is_not_defined_and_sums_are_those_of_the_parts():
    assert np.isnan(count([]).mota) and np.isnan(count([]).idf1)
    parts = [count(sequence(seed)) for seed in range(2)]
    assert add_up(parts).objects == sum(each.objects for each in parts)


def mot(path, rows, labels=''):
    (path / 'img1').mkdir(parents=True)
    (path / 'gt').mkdir()
    for number in (1, 2):
        cv2.imwrite(str(path / f'img1/{number:06d}.png'), np.zeros((20, 30, 3), np.uint8))
    (path / 'gt/gt.txt').write_text(''.join(f'{row}\n' for row in rows))
    (path / 'seqinfo.ini').write_text('[Sequence]\nframeRate=10\nimDir=img1\n')
    if labels:
        (path / 'gt/labels.txt').write_text(labels)
    return path


def test_mot_challenge(tmp_path):
    mot(tmp_path / 'one', ['1,7,1,1,10,5,1,1,1', '2,7,2,1,10,5,1,1,1', '2,8,4,4,3,3,0,1,1',
                           '2,9,4,4,3,3,1,8,1', '1,5,1,1,5,5,1,3,1'])
    mot(tmp_path / 'two', ['2,1,3,3,6,6,1,2,1'], 'dog\ncat\n')
    data = open_dataset(str(tmp_path))
    assert (data.kind, data.names) == ('mot', ('pedestrian', 'cat'))
    first, second, empty, other = data.samples
    assert first.truth.boxes.tolist() == [[0, 0, 10, 5]] and first.truth.track_ids == ('7',)
    assert second.truth.ignored.tolist() == [False, True, True]
    assert [first.stamp, second.stamp] == [0.1, 0.2] and first.sequence == 'one'
    assert len(empty.truth) == 0 and other.truth.class_ids.tolist() == [1]
    with pytest.raises(InputError, match='has boxes of the image 3'):
        open_dataset(str(mot(tmp_path / 'bad' / 'x', ['3,1,1,1,2,2'])))


def test_ids_of_a_bag_measure_the_tracker(bags, evaluate, samples, tmp_path):
    """Let an image move: the truth is what the model finds in it at first."""
    image = np.ascontiguousarray(samples[0].image[..., ::-1])
    with Pipeline.load('cards_detector') as pipeline:
        found = pipeline(image, 'bgr')
    rows = list(zip(found.labels.tolist(), found.boxes.tolist()))
    assert rows
    shifts = [4 * number for number in range(12)]
    images = [np.roll(image, shift, axis=1) for shift in shifts]
    labels = [[(name, 1.0, (box[0] + shift, box[1], box[2] + shift, box[3]), f'{number}')
               for number, (name, box) in enumerate(rows) if box[2] + shift <= 640]
              for shift in shifts]
    path = bags(tmp_path / 'bag', {'/camera': images}, {'/truth': labels})
    code, out, _ = evaluate('cards_detector', path, '--json', '-')
    data = json.loads(out)
    assert code == 0 and data['dataset']['tracks'] == len(rows)
    # The first image of each object has no id yet, and the border adds objects.
    assert 0 < data['measures']['mota']['value'] < 1
    assert 0.7 < data['measures']['idf1']['value'] < 1
    assert data['measures']['id_switches']['value'] == 0


@pytest.mark.parametrize('seed', range(4))
def test_what_images_add_is_what_there_is(seed):
    """Sums of all images; and of a sequence that counts twice, as if it were there twice."""
    one, two = count(sequence(seed)), count(sequence(seed + 50))
    for each in (one, two):
        assert each.images.sum(axis=0).tolist() == [getattr(each, name) for name in NAMES]
    table = np.concatenate((one.images, two.images))
    weights = np.repeat([2.0, 1.0], [len(one.images), len(two.images)])
    thrice = add_up([one, one, two])
    assert idf1(weights @ table) == pytest.approx(thrice.idf1)
    assert mota(weights @ table) == pytest.approx(thrice.mota)


def test_neighbours_are_resampled_together():
    """Parts of a sequence if there are few, else sequences."""
    def samples(*lengths):
        return [Sample(f'{name}-{number}', None, None, sequence=f's{name:02d}', stamp=number / 10)
                for name, length in enumerate(lengths) for number in range(length)]
    assert blocks(samples(25, 12)).tolist() == [0] * 10 + [1] * 10 + [2] * 5 + [3] * 10 + [4] * 2
    assert blocks(samples(*[3] * 12)).tolist() == [each for each in range(12) for _ in range(3)]
    assert np.bincount(blocks(samples(2000))).tolist() == [100] * 20
    together = np.repeat(np.arange(8), 5)
    seen = []
    interval(lambda weights: seen.append(weights) or 0.0, 40, blocks=together)
    assert all((each.reshape(8, 5) == each.reshape(8, 5)[:, :1]).all() for each in seen)
    assert {each.sum() for each in seen} == {40.0}
    assert np.isnan(interval(lambda weights: 1.0, 12, blocks=np.repeat([0, 1], 6))).all()


class Watcher:
    """Gives the true boxes, but misses some of them."""

    task, labels = 'detection', {0: 'stop'}
    options = Options(score_threshold=0.5, max_detections=100)
    engine = SimpleNamespace(provider='cpu')

    def __init__(self, truths, missed):
        self.truths, self.random, self.missed = iter(truths), np.random.default_rng(1), missed
        self.descriptor = SimpleNamespace(name=f'misses {missed}')

    def warm_up(self):
        """Do nothing."""

    def __call__(self, pixels, order, options):
        boxes = next(self.truths).boxes
        boxes = boxes[self.random.random(len(boxes)) >= self.missed]
        return Detections(boxes, np.zeros(len(boxes), int), np.full(len(boxes), 0.9),
                          np.array(['stop'] * len(boxes), object), (640, 480), Timing(0, 0, 0))


def test_trackers_are_compared_with_intervals():
    start = np.array([[20, 20, 80, 90], [200, 100, 280, 190], [400, 300, 460, 380]], float)
    truths = [Objects.of(start + 1.5 * number, [0] * 3, track_ids=('a', 'b', 'c'))
              for number in range(60)]
    data = Dataset('detection', ('stop',), [
        Sample(f'{number:03d}', None, truth, lambda: np.zeros((480, 640, 3), np.uint8), 'one',
               number / 10) for number, truth in enumerate(truths)], 'here', 'mot')
    good, bad = (make_report(predict(Watcher(truths, missed), data), data)
                 for missed in (0.0, 0.5))
    found = compare(good, bad)
    assert list(found.differences)[0] == 'map'
    for name in ('idf1', 'mota'):
        before, after = good.measures[name], bad.measures[name]
        value = found.differences[name]
        assert after.low < after.value < after.high
        assert value.value == pytest.approx(after.value - before.value) and value.value < -0.2
        assert value.low < value.value < value.high < 0
    assert '\nidf1: -0.' in str(found) and 'may be chance' not in str(found)
    same = compare(good, make_report(predict(Watcher(truths, 0.0), data), data))
    assert same.differences['idf1'] == Value(0.0, 0.0, 0.0)
    few = Dataset(data.task, data.names, data.samples[:20], 'here', 'mot')
    short = [make_report(predict(Watcher(truths, missed), few), few) for missed in (0.0, 0.5)]
    assert 'too few images for an interval' in str(compare(*short))
