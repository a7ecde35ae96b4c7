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

"""Objects that several tiles of an image have found are in the result once."""

from __future__ import annotations

from typing import Any

import numpy as np
from ros2_classify import Detections, Keypoints, Options, Timing
from ros2_classify.postprocess.tiles import merge
from ros2_classify.preprocess.views import tile_views
from ros2_classify.results.masks import InstanceMasks

SIZE = (1000, 500)
# Two tiles: 0 to 556 and 444 to 1000; both see 444 to 556.
OPTIONS = Options(tiles='2x1', tile_overlap=0.2)
VIEWS = tile_views(OPTIONS, SIZE)


def part(*rows: Any, **more: Any) -> Detections:
    """Return what a tile has found: x1, y1, x2, y2, score, class; best first."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(
        table[:, :4], table[:, 5].astype(int), table[:, 4],
        np.array([f'class {int(row[5])}' for row in table], object), SIZE, Timing(0, 0, 0), **more)


def rows(result: Detections) -> list[list[float]]:
    """Return the rows of a result."""
    return [[*map(round, box), round(score, 3), class_id] for box, score, class_id in zip(
        result.boxes.tolist(), result.scores.tolist(), result.class_ids.tolist())]


def merged(left: Detections, right: Detections, **options: Any) -> list[list[float]]:
    """Return the rows of the merged result."""
    return rows(merge([left, right], VIEWS, OPTIONS.replace(**options)))


def test_the_tiles_are_those_of_the_tests() -> None:
    assert VIEWS == [(0, 0, 556, 500), (444, 0, 556, 500)]


def test_an_object_that_both_tiles_see_whole_counts_once() -> None:
    assert merged(part((460, 100, 540, 200, 0.8, 1)), part((462, 100, 541, 201, 0.9, 1))) == [
        [462, 100, 541, 201, 0.9, 1]]
    # Of other classes, or beside each other: two objects.
    assert len(merged(part((460, 100, 540, 200, 0.8, 1)), part((462, 100, 541, 201, 0.9, 2)))) == 2
    assert len(merged(part((460, 100, 540, 200, 0.8, 1)), part((462, 100, 541, 201, 0.9, 2)),
                      nms_agnostic=True)) == 1
    assert len(merged(part((460, 100, 500, 200, 0.8, 1)), part((495, 100, 541, 201, 0.9, 1)))) == 2


def test_a_whole_object_has_priority_over_a_part_of_it() -> None:
    # The left tile sees all of it, the right one what is from 444 on, and is surer.
    assert merged(part((300, 100, 540, 200, 0.6, 1)), part((444, 101, 541, 200, 0.9, 1))) == [
        [300, 100, 540, 200, 0.9, 1]]
    # What is beside it in the strip is something else.
    assert len(merged(part((300, 100, 540, 200, 0.6, 1)), part((444, 250, 541, 350, 0.9, 1)))) == 2


def test_a_weak_whole_object_does_not_hide_a_sure_part_of_it() -> None:
    # A tracker asks for weak boxes too, and drops them afterwards: the object must stay.
    assert merged(part((300, 100, 540, 200, 0.15, 1)), part((444, 101, 541, 200, 0.9, 2)),
                  nms_agnostic=True) == [[300, 100, 540, 200, 0.9, 2]]
    found = merge([part((300, 100, 540, 200, 0.15, 1)), part((444, 101, 541, 200, 0.9, 2))],
                  VIEWS, OPTIONS.replace(nms_agnostic=True))
    assert found.labels.tolist() == ['class 2']


def test_two_parts_of_an_object_become_one() -> None:
    left, right = (100, 50, 555, 250, 0.7, 1), (445, 52, 900, 248, 0.8, 1)
    assert merged(part(left), part(right)) == [[100, 50, 900, 250, 0.8, 1]]
    # Masks and key points can't be joined: the better part stays as it is.
    points = [Keypoints(np.full((1, 1, 2), each), np.ones((1, 1))) for each in (200, 700)]
    found = merge([part(left, keypoints=points[0]), part(right, keypoints=points[1])],
                  VIEWS, OPTIONS)
    assert rows(found) == [[445, 52, 900, 248, 0.8, 1]]
    assert found.keypoints is not None and found.keypoints.points[0, 0, 0] == 700


def test_the_image_s_own_edges_cut_nothing() -> None:
    # Both end at the lower edge of the image; each is whole for its tile.
    assert merged(part((400, 420, 520, 500, 0.5, 1)), part((480, 440, 600, 500, 0.7, 1))) == [
        [480, 440, 600, 500, 0.7, 1], [400, 420, 520, 500, 0.5, 1]]


def test_what_belongs_to_a_row_stays_with_it() -> None:
    masks = [InstanceMasks(np.ones((2, 2, 2), np.float32),
                           np.array([[0, 0, 20, 10], [100, 0, 110, 10]], np.float32)),
             InstanceMasks(np.zeros((1, 2, 2), np.float32),
                           np.array([[700, 10, 750, 50]], np.float32))]
    left = part((10, 10, 50, 50, 0.9, 0), (100, 10, 150, 50, 0.3, 0), masks=masks[0],
                oriented=np.arange(10).reshape(2, 5))
    right = part((700, 10, 750, 50, 0.6, 1), masks=masks[1], oriented=np.full((1, 5), 7))
    found = merge([left, right], VIEWS, OPTIONS)
    assert found.scores.tolist() == np.float32([0.9, 0.6, 0.3]).tolist()
    assert found.masks is not None
    shown = [int(found.masks.cutout(row, SIZE).pixels.sum()) for row in range(3)]
    assert shown == [200, 0, 100]
    instances = found.instances()
    assert instances is not None and (instances[:10, :30] == 1).sum() == 200
    assert found.select(np.array([0, 2])).masks is not None
    assert found.oriented is not None and found.oriented[:, 0].tolist() == [0, 7, 5]
    assert found.labels.tolist() == ['class 0', 'class 1', 'class 0']
    # A tile that has found nothing has no masks either.
    found = merge([left, part()], VIEWS, OPTIONS)
    assert found.masks is not None and len(found.masks) == len(found) == 2


def test_the_limit_counts_for_the_image() -> None:
    left = part((10, 10, 50, 50, 0.9, 0), (100, 10, 150, 50, 0.3, 0))
    right = part((700, 10, 750, 50, 0.6, 1))
    assert [row[4] for row in merged(left, right, max_detections=2)] == [0.9, 0.6]
    assert merged(part(), part()) == []


def plain(parts: Any, views: Any, options: Options) -> list[list[float]]:
    """Return the merged rows by one loop in plain Python, after the documented rule."""
    def area(box: Any) -> float:
        return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])

    def overlap(a: Any, b: Any) -> float:
        shared = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
        union = area(a) + area(b) - shared
        return shared / union if union > 0 else 0.0

    def clipped(box: Any, window: Any) -> list[float]:
        return [min(max(box[side], window[side % 2]), window[2 + side % 2]) for side in range(4)]

    boxes = []
    for number, (found, (x, y, width, height)) in enumerate(zip(parts, views)):
        for box, score, class_id in zip(
                found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()):
            near_x, near_y = max(1.0, 0.01 * width), max(1.0, 0.01 * height)
            cut = (x > 0 and box[0] - x <= near_x or y > 0 and box[1] - y <= near_y
                   or x + width < SIZE[0] and x + width - box[2] <= near_x
                   or y + height < SIZE[1] and y + height - box[3] <= near_y)
            boxes.append([cut, -score, list(box), class_id, (x, y, x + width, y + height), number])
    boxes.sort(key=lambda each: each[:2])
    kept: list[Any] = []
    while boxes:
        best, *boxes = boxes
        while True:
            same = []
            for each in boxes:
                if each[3] != best[3] or each[5] == best[5]:
                    continue
                window = [max(best[4][0], each[4][0]), max(best[4][1], each[4][1]),
                          min(best[4][2], each[4][2]), min(best[4][3], each[4][3])]
                window = [*window[:2], max(window[0], window[2]), max(window[1], window[3])]
                if overlap(best[2], each[2]) > options.nms_iou or (best[0] or each[0]) and overlap(
                        clipped(best[2], window), clipped(each[2], window)) > 0.5:
                    same.append(each)
            boxes = [each for each in boxes if each not in same]
            best[1] = min([best[1], *(each[1] for each in same)])
            if not same or not best[0]:
                break
            for each in same:
                best[2] = [*map(min, best[2][:2], each[2][:2]),
                           *map(max, best[2][2:], each[2][2:])]
        kept.append(best)
    kept.sort(key=lambda each: each[1])
    return [[*map(round, each[2]), round(-each[1], 3), each[3]] for each in kept]


def test_random_objects_give_what_a_plain_loop_gives() -> None:
    options = OPTIONS.replace(tiles='3x2', tile_whole=True, tile_overlap=0.3)
    views = tile_views(options, SIZE)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        objects = [(*(start := rng.uniform(0, (900, 420))), *(start + rng.uniform(20, 300, 2)),
                    int(rng.integers(2))) for _ in range(12)]
        parts = []
        for x, y, width, height in views:
            found = []
            for x1, y1, x2, y2, class_id in objects:
                box = [max(x1, x), max(y1, y), min(x2, x + width, 1000), min(y2, y + height, 500)]
                box = [*box[:2], *(np.array(box[2:]) + rng.normal(0, 0.3, 2)).clip(
                    0, (min(x + width, 1000), min(y + height, 500)))]
                if box[2] - box[0] > 10 and box[3] - box[1] > 10:
                    found.append((*box, rng.uniform(0.3, 1), class_id))
            parts.append(part(*sorted(found, key=lambda row: -row[4])))
        assert rows(merge(parts, views, options)) == plain(parts, views, options)
