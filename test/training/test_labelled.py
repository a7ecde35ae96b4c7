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


"""Labelled images as training data: unchecked labels, rare classes, where objects end up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ros2_classify import InputError
from ros2_classify_evaluation.curate.writers import (
    Labelled, Maker, write_coco, write_voc, write_yolo)
from ros2_classify_evaluation.datasets import Dataset, Objects, open_dataset, Sample

MAKER = Maker('some_model', '0' * 64, ('stop', 'go'))
BOX = (40.0, 30.0, 100.0, 70.0)
MADE = [Labelled('a.png', 160, 120, (('stop', 0.9, *BOX), ('go', 0.4, 110.0, 80.0, 150.0, 110.0))),
        Labelled('b.png', 160, 120, ())]


@pytest.fixture(name='curated')
def _curated(tmp_path: Path) -> Path:
    """Return a directory as `curate` writes it, with two images."""
    (tmp_path / 'images').mkdir()
    image = np.full((120, 160, 3), 90, np.uint8)
    image[30:70, 40:100] = (0, 0, 255)
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / 'images' / name), image)
    write_coco(tmp_path, MADE, MAKER)
    return tmp_path


def rewrite(curated: Path, change: Any) -> Dataset:
    """Change the labels as a person or a tool would, and read them again."""
    file = curated / 'instances.json'
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    return open_dataset(str(file))


def test_labels_nobody_has_checked_are_skipped(curated: Path) -> None:
    """Also those of images without boxes: nobody has seen that nothing is there."""
    from training.labelled import examples
    numbers = np.arange(2)
    with pytest.raises(InputError, match='nobody has checked.*--prelabels'):
        examples(open_dataset(str(curated / 'instances.json')), numbers)
    one = rewrite(curated, lambda data: data['images'][1].update(checked=True))
    assert [(each.sample.name, each.checked) for each in examples(one, numbers)] == [
        ('b.png', True)]


def test_a_label_of_a_person_makes_an_image_checked(curated: Path) -> None:
    """As does a file that a labelling tool has written without the marks."""
    from training.labelled import examples
    numbers = np.arange(2)
    mixed = rewrite(curated, lambda data: data['annotations'][0].pop('prelabel'))
    assert [each.sample.name for each in examples(mixed, numbers)] == ['a.png']

    def exported(data: Any) -> None:
        del data['info']
        for each in data['annotations']:
            each.pop('prelabel', None)
            each.pop('score', None)
    assert all(each.checked for each in examples(rewrite(curated, exported), numbers))


def test_weak_pre_labels_are_neither_objects_nor_background(curated: Path) -> None:
    """From the score that was asked for they count as labels."""
    from training.labelled import examples
    found = examples(open_dataset(str(curated / 'instances.json')), np.array([5, 6]), 0.6)
    assert [each.checked for each in found] == [False, False]
    np.testing.assert_array_equal(found[0].boxes, [BOX])
    assert found[0].classes.tolist() == [5]
    np.testing.assert_array_equal(found[0].ignored, [[110, 80, 150, 110]])


@pytest.mark.parametrize('write', [write_yolo, write_voc])
def test_other_formats_without_scores_say_what_to_take(curated: Path, write: Any) -> None:
    """They have the mark for the whole file."""
    from training.labelled import examples
    (curated / 'instances.json').unlink()
    if write is write_voc:
        (curated / 'images').rename(curated / 'JPEGImages')
    write(curated, MADE, MAKER)
    dataset = open_dataset(str(curated))
    with pytest.raises(InputError, match='nobody has checked'):
        examples(dataset, np.arange(2))
    with pytest.raises(InputError, match='without scores: take the COCO file'):
        examples(dataset, np.arange(2), 0.5)


def test_new_classes_come_behind_those_of_the_model() -> None:
    """Case, hyphens and underscores don't make a class new."""
    from training.labelled import all_names
    names, positions = all_names(('stop', 'turn_left', 'nothing'), ('Turn left', 'parking'))
    assert names == ('stop', 'turn_left', 'nothing', 'parking')
    assert positions.tolist() == [1, 3]


def examples_of(*classes: list[int], checked: int = 100) -> list[Any]:
    """Return examples with these classes; those behind `checked` are unchecked."""
    from training.labelled import Example
    empty = np.zeros((0, 4), np.float32)
    return [Example(Sample(str(number), None, None), np.zeros((len(each), 4), np.float32),
                    np.array(each, np.int64), empty, number < checked)
            for number, each in enumerate(classes)]


def test_rare_classes_come_up_more_often() -> None:
    """By the root of the share that is enough over the share that there is."""
    from training.labelled import class_weights, Draw, repeats
    found = examples_of(*[[0]] * 15, [0, 1], [])
    factors = repeats(found, 3, 0.5)
    np.testing.assert_allclose(factors[:15], 1.0)
    np.testing.assert_allclose(factors[15], np.sqrt(0.5 * 17))
    assert factors[16] == 1.0
    np.testing.assert_allclose(repeats(found, 3, 0.0), 1.0)
    # Counts 16 and 1, median 8.5; between 1/2 and 4.
    np.testing.assert_allclose(class_weights(found, 3), [np.sqrt(8.5 / 16), np.sqrt(8.5), 1.0],
                               rtol=1e-6)
    draw = Draw(found, 3, 0.5)
    names = [draw(np.random.default_rng(seed)).sample.name for seed in range(2000)]
    expected = np.sqrt(8.5) / (16 + np.sqrt(8.5))
    assert names.count('15') / 2000 == pytest.approx(expected, abs=0.03)
    assert draw(np.random.default_rng(3)).sample.name == names[3]


def test_unchecked_images_come_up_at_most_every_second_time() -> None:
    """However many there are."""
    from training.labelled import Draw
    draw = Draw(examples_of(*[[0]] * 100, checked=10), 1, 0.0)
    part = np.mean([draw(np.random.default_rng(seed)).checked for seed in range(2000)])
    assert part == pytest.approx(0.5, abs=0.04)


def test_only_checked_images_are_held_out() -> None:
    """The same ones for the same seed."""
    from training.labelled import split
    found = examples_of(*[[0]] * 30, checked=20)
    learned, held = split(found, 0.25, 1)
    assert len(held) == 5 and all(each.checked for each in held)
    assert len(learned) == 25 and not {id(each) for each in held} & {id(each) for each in learned}
    assert [each.sample.name for each in split(found, 0.25, 1)[1]] == [
        each.sample.name for each in held]
    assert [each.sample.name for each in split(found, 0.25, 2)[1]] != [
        each.sample.name for each in held]


@pytest.mark.parametrize('flip', [False, True])
def test_boxes_follow_the_pixels(flip: bool) -> None:
    """The only red things in a changed image are where their boxes say."""
    from training.labelled import detector_view, Example
    image = np.full((240, 320, 3), 110, np.uint8)
    image[60:140, 200:260] = (0, 0, 255)
    truth = Objects.of([(200, 60, 260, 140)], [0])
    sample = Sample('a', None, truth, lambda: image)
    example = Example(sample, truth.boxes.astype(np.float32), np.array([3]),
                      np.array([[10, 20, 50, 60]], np.float32), True)
    mirrored = 0
    for seed in range(24):
        view, boxes, classes, ignored = detector_view(
            np.random.default_rng(seed), example, 160, 128, flip)
        assert view.shape == (128, 160, 3) and view.dtype == np.uint8
        red = (view[..., 0].astype(int) - view[..., 1]) > 60
        if not len(boxes):
            assert len(ignored) == 2
            continue
        rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(boxes[0], seen, atol=2.5)
        assert classes.tolist() == [3]
        mirrored += ignored[0, 0] > boxes[0, 0]
    assert (mirrored > 0) == flip


def test_crops_show_their_object(curated: Path) -> None:
    """For learning with random margins, for measuring with a fixed one; nothing is nothing."""
    from training.labelled import as_crops, crop_view, examples
    dataset = rewrite(curated, lambda data: data['images'][0].update(checked=True))
    found = examples(dataset, np.arange(2))
    seen = set()
    for seed in range(40):
        crop, label = crop_view(np.random.default_rng(seed), found[0], 7)
        assert crop.shape == (80, 80, 3)
        red = (crop[..., 0].astype(int) - crop[..., 1]).mean()
        # A loose crop of the object 1 has some of the red one beside it.
        assert label == 1 or (red > 15) == (label == 0)
        seen.add(label)
    assert seen == {0, 1, 7}
    crops = as_crops(dataset)
    assert crops.task == 'classification' and [each.truth for each in crops.samples] == [
        frozenset([0]), frozenset([1])]
    pixels = crops.samples[0].read()
    # A margin of 0.12 on each side of the red box.
    assert (pixels[..., 2] > 200).mean() == pytest.approx(1 / 1.24**2, abs=0.05)


def test_the_checker_copies_the_truth(tmp_path: Path) -> None:
    """By pixels, whatever `curate` has called the images; others keep their pre-labels."""
    from training import checker, dataset
    pool, curated = tmp_path / 'pool', tmp_path / 'curated'
    samples = dataset.draw(3, seed=4, shift='night')
    dataset.write_coco(samples, pool)
    (curated / 'images').mkdir(parents=True)
    for name, number in (('x.png', 2), ('y.png', 0)):
        cv2.imwrite(str(curated / 'images' / name), samples[number].image[..., ::-1])
    names = ('home', *(each for each in dataset.NAMES if each != 'home'))
    write_coco(curated, [Labelled('x.png', 640, 480, (('go', 0.4, *BOX),)),
                         Labelled('y.png', 640, 480, (('go', 0.4, *BOX),))],
               Maker('m', '0', names))
    assert checker.check(curated, pool, 1) == 1
    read = {each.name: each.truth for each in open_dataset(str(curated)).samples}
    np.testing.assert_allclose(read['x.png'].boxes, samples[2].boxes)
    assert [names[each] for each in read['x.png'].class_ids] == [
        dataset.NAMES[each] for each in samples[2].classes]
    np.testing.assert_allclose(read['y.png'].boxes, [BOX])
