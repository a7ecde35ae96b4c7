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

"""Sequences with known ids, ways to damage them, and the measure IDF1."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
from ros2_classify import Detections, Timing

VARIABLE = 'ROS2_CLASSIFY_MOT_DATA'
REASON = (f'the sequences TUD-Campus and TUD-Stadtmitte are not here: install motmetrics, whose '
          f'package contains them, or name their directory in {VARIABLE}')


def find_sequences():
    """Return the directory of TUD-Campus and TUD-Stadtmitte, or None where there is none."""
    places = [Path(os.environ[VARIABLE])] if VARIABLE in os.environ else []
    if (spec := importlib.util.find_spec('motmetrics')) and spec.origin:
        places.append(Path(spec.origin).parent / 'data')
    return next((place for place in places if (place / 'TUD-Campus/gt.txt').is_file()), None)


def read(file):
    """Read a MOTChallenge file: for each frame the rows of id, x1, y1, x2, y2."""
    frames = {}
    for frame, number, x, y, width, height in np.loadtxt(file, delimiter=',')[:, :6]:
        frames.setdefault(int(frame), []).append((int(number), x, y, x + width, y + height))
    return frames


def detections(boxes, scores=None, labels=None, size=(640, 480)):
    """Return these boxes as a result, best first; the id of a class is its label's hash."""
    boxes = np.clip(np.array(boxes, float).reshape(-1, 4), 0, (*size, *size))
    scores = np.full(len(boxes), 0.9) if scores is None else np.array(scores, float)
    labels = np.array(labels or ['person'] * len(boxes), object)
    order = np.argsort(-scores, kind='stable')
    class_ids = np.array([sum(label.encode()) for label in labels[order]], int)
    return Detections(
        boxes[order], class_ids, scores[order], labels[order], size, Timing(0.0, 0.0, 0.0))


def plain(rows):
    """Return rows as detections without ids."""
    return detections([row[1:] for row in rows])


def damaged(rows, random):
    """Return rows of a truth as a poor detector finds them."""
    boxes, scores = [], []
    for _, x1, y1, x2, y2 in rows:
        if random.random() < 0.1:
            continue
        side = np.array([x2 - x1, y2 - y1, x2 - x1, y2 - y1])
        boxes.append(np.array([x1, y1, x2, y2]) + random.normal(0, 0.05, 4) * side)
        scores.append(random.uniform(0.3, 0.95))
    while random.random() < 0.2:
        x, y = random.uniform((0, 0), (560, 300))
        boxes.append(np.array([x, y, x + random.uniform(30, 80), y + random.uniform(80, 180)]))
        scores.append(random.uniform(0.2, 0.7))
    return detections(boxes, scores)


def walkers(count, seconds, rate, seed=0):
    """Return people who walk through the image, cross each other, come and go."""
    random = np.random.default_rng(seed)
    frames = {}
    for number in range(1, count + 1):
        begin, y = random.uniform(0, seconds / 2), random.uniform(40, 240)
        height = random.uniform(120, 200)
        speed = random.uniform(40, 110) * random.choice([-1, 1])
        for frame in range(int(seconds * rate)):
            time = frame / rate - begin
            x = (0 if speed > 0 else 640) + speed * time + 6 * np.sin(5 * time)
            if time >= 0 and -10 < x < 650:
                box = np.clip(
                    [x - height / 5, y, x + height / 5, y + height], 0, [640, 480, 640, 480])
                if box[2] - box[0] > 10:
                    frames.setdefault(frame, []).append((number, *box))
    return frames


def track(tracker, found, rate):
    """Track detections by frame; return rows of id, x1, y1, x2, y2 by frame."""
    tracks = {}
    for frame in sorted(found):
        result = tracker(found[frame], frame / rate)
        tracks[frame] = [
            (name, *box) for name, box in zip(result.track_ids, result.boxes.tolist()) if name]
    return tracks


def idf1(truth, tracks, frames):
    """
    Return the F1 of ids: rows whose id is right, if each truth has one track's id at most.

    Ristani et al., "Performance measures and a data set for multi-target, multi-camera tracking",
    2016. Boxes are the same from an intersection over union of 0.5. The best choice of tracks is
    found by trying all sets of truths, so this is for few of them.
    """
    people = sorted({row[0] for frame in frames for row in truth.get(frame, [])})
    names = sorted({row[0] for frame in frames for row in tracks.get(frame, [])})
    common = np.zeros((len(people), len(names)), int)
    rows = 0
    for frame in frames:
        known, found = truth.get(frame, []), tracks.get(frame, [])
        rows += len(known) + len(found)
        for person, *box in known:
            for name, *other in found:
                common[people.index(person), names.index(name)] += _iou(box, other) >= 0.5
    best = np.zeros(1 << len(people), int)
    for column in common.T:
        more = best.copy()
        for person in np.flatnonzero(column):
            for taken in range(len(best)):
                if not taken >> person & 1:
                    both = taken | 1 << person
                    more[both] = max(more[both], best[taken] + column[person])
        best = more
    return 2 * best.max() / max(rows, 1)


def _iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)
