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

"""Test the files that ship: on unseen images and crops, and on photographs without cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.cards import NAMES
from training.crops import make_crop
from training.runner import CardClassifier
from training.runner import CardDetector
from training.runner import iou_matrix
from training.runner import name_of
from training.runner import time_a_frame
from training.samples import make_sample
from training.samples import Sample

#: Number in the seed that no training batch uses.
_UNSEEN = 7
_WIDTH, _HEIGHT = 640, 480
_SMALLEST = 24.0
_BANDS = ((0, 32), (32, 64), (64, 128), (128, 10000))
_IMAGES = ('.jpg', '.jpeg', '.png', '.bmp')


def average_precision(scores: np.ndarray, right: np.ndarray, count: int) -> float:
    """
    Return the area under the precision-recall curve, all points (as PASCAL VOC since 2010).

    Parameters
    ----------
    scores
        float [N], of every detection of one class.
    right
        bool [N], whether each found a card that none with a higher score had found.
    count
        Number of true cards.

    Returns
    -------
    float
        0..1.

    """
    order = np.argsort(-scores, kind='stable')
    hits = np.cumsum(right[order])
    recall = hits / max(count, 1)
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0.0], recall]))
    return float((steps * precision).sum())


def match(boxes: np.ndarray, classes: np.ndarray, sample: Sample,
          iou: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Match detections, best first, to the true cards of their class.

    Returns
    -------
    tuple
        Index of the true card int [N] or -1 for each detection, and the overlap [N].

    """
    overlaps = iou_matrix(boxes, sample.boxes)
    overlaps[classes[:, None] != sample.classes[None]] = 0
    found, quality = np.full(len(boxes), -1), np.zeros(len(boxes))
    for i in range(len(boxes)):
        if overlaps.shape[1] and overlaps[i].max() >= iou:
            found[i] = overlaps[i].argmax()
            quality[i] = overlaps[i].max()
            overlaps[:, found[i]] = 0
    return found, quality


def _generators(seed: int, count: int, kind: int) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, _UNSEEN, kind, i]) for i in range(count)]


def measure_detector(path: Path, seed: int, count: int, threshold: float) -> dict[str, Any]:
    """
    Measure the detector on unseen images of 640x480 pixels.

    Parameters
    ----------
    path
        The ONNX file.
    seed, count
        Which images, and how many.
    threshold
        Score at which precision and recall are given, as in the descriptor.

    Returns
    -------
    dict
        The figures, rounded, ready for a report.

    """
    detector = CardDetector(path)
    scores: list[list[float]] = [[] for _ in NAMES]
    right: dict[float, list[list[bool]]] = {v: [[] for _ in NAMES] for v in (0.5, 0.75)}
    total = np.zeros(len(NAMES), int)
    bands = np.zeros((len(_BANDS), 2), int)
    hits = reported = 0
    for rng in _generators(seed, count, 0):
        sample = make_sample(rng, _WIDTH, _HEIGHT, _SMALLEST)
        boxes, marks, classes = detector(sample.image)
        total += np.bincount(sample.classes, minlength=len(NAMES))
        for iou, lists in right.items():
            found, _ = match(boxes, classes, sample, iou)
            for label, index in zip(classes, found):
                lists[label].append(bool(index >= 0))
            if iou == 0.5:
                sure = marks >= threshold
                reported += int(sure.sum())
                hits += int((found[sure] >= 0).sum())
                side = np.sqrt(np.prod(sample.boxes[:, 2:] - sample.boxes[:, :2], 1))
                for row, (low, high) in enumerate(_BANDS):
                    inside = (side >= low) & (side < high)
                    bands[row, 0] += int(inside.sum())
                    bands[row, 1] += int(inside[found[sure & (found >= 0)]].sum())
        for label, mark in zip(classes, marks):
            scores[label].append(float(mark))
    per_class = {iou: [average_precision(np.array(s), np.array(r, bool), int(n))
                       for s, r, n in zip(scores, lists, total)]
                 for iou, lists in right.items()}
    return {
        'images': count, 'cards': int(total.sum()),
        'mAP@0.5': round(float(np.mean(per_class[0.5])), 4),
        'mAP@0.75': round(float(np.mean(per_class[0.75])), 4),
        'threshold': threshold,
        'precision': round(hits / max(reported, 1), 4),
        'recall': round(hits / max(int(total.sum()), 1), 4),
        'recall_by_box_side': {f'{low}..{high if high < 9999 else "image"} px':
                               round(hit / max(n, 1), 4)
                               for (low, high), (n, hit) in zip(_BANDS, bands)},
        'AP@0.5': {name: round(v, 4) for name, v in zip(NAMES, per_class[0.5])},
        **time_a_frame(detector.session),
    }


def count_false_alarms(path: Path, seed: int, count: int, threshold: float) -> dict[str, Any]:
    """Count detections in generated images without cards, half of them with look-alikes."""
    detector = CardDetector(path, floor=threshold)
    alarms: dict[str, list[int]] = {'plain': [], 'with_lookalikes': []}
    others = 0
    for rng in _generators(seed, count, 1):
        sample = make_sample(rng, _WIDTH, _HEIGHT, _SMALLEST, empty=1.0)
        kind = 'with_lookalikes' if sample.others else 'plain'
        alarms[kind].append(len(detector(sample.image)[0]))
        others += sample.others
    return {'threshold': threshold,
            **{kind: {'images': len(counts),
                      'alarms_per_image': round(float(np.mean(counts)), 4)}
               for kind, counts in alarms.items()},
            'lookalikes': others,
            'lookalikes_taken_for_cards': round(sum(alarms['with_lookalikes']) / others, 4)}


def count_on_photographs(path: Path, directory: Path, threshold: float) -> dict[str, Any]:
    """Count detections in photographs that show no card."""
    detector = CardDetector(path, floor=threshold)
    seen: dict[str, list[str]] = {}
    files = sorted(f for f in directory.iterdir() if f.suffix.lower() in _IMAGES)
    if not files:
        raise FileNotFoundError(f'no image in {directory}: name a directory with JPEG, PNG or BMP')
    for file in files:
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f'{file} is not an image that OpenCV can read')
        _, scores, classes = detector(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        if len(scores):
            seen[file.name] = [f'{name_of(c)} {s:.2f}' for s, c in zip(scores, classes)]
    alarms = sum(len(v) for v in seen.values())
    return {'images': len(files), 'threshold': threshold,
            'alarms_per_image': round(alarms / len(files), 4), 'alarms': seen}


def measure_classifier(path: Path, seed: int, count: int) -> dict[str, Any]:
    """Measure the classifier on unseen crops of cards, and of other things."""
    classifier = CardClassifier(path)
    confusion = np.zeros((len(NAMES) + 1, len(NAMES) + 1), int)
    for rng in _generators(seed, count, 2):
        image, label = make_crop(rng)
        confusion[label, int(classifier(image).argmax())] += 1
    cards = confusion[:-1]
    mistakes = {f'{name_of(a)} taken for {name_of(b)}': int(confusion[a, b])
                for a, b in np.argwhere(confusion) if a != b}
    return {
        'crops_of_cards': int(cards.sum()),
        'top1': round(float(np.trace(cards) / cards.sum()), 4),
        'crops_of_nothing': int(confusion[-1].sum()),
        'nothing_right': round(float(confusion[-1, -1] / max(confusion[-1].sum(), 1)), 4),
        'mistakes': dict(sorted(mistakes.items(), key=lambda item: -item[1])[:12]),
        **time_a_frame(classifier.session),
    }
