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


"""Labelled images of one's own as training data: what counts, how often, and how changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
import re

import cv2
import numpy as np
from ros2_classify import InputError
from ros2_classify_evaluation.datasets import Dataset, Objects, Sample
from training.crops import cut
from training.crops import SIDE

#: What `curate` writes into files whose labels nobody has checked.
_MARK = re.compile(r'pre-labels', re.IGNORECASE)
_PADDING = 114
_LEAST_SEEN = 0.4  # the part of a box that must stay in the image
_LEAST_SIDE = 6.0  # pixels of the input


@dataclass(frozen=True, eq=False)
class Example:
    """
    An image to learn from.

    Attributes
    ----------
    sample : Sample
        From the dataset; `read` gives BGR.
    boxes : ndarray
        float32 [N, 4], x1, y1, x2, y2 in pixels.
    classes : ndarray
        int64 [N], positions in the model's list of names.
    ignored : ndarray
        float32 [M, 4], where nobody knows whether there is an object.
    checked : bool
        Whether a person has seen the labels; else they are a model's.

    """

    sample: Sample
    boxes: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray
    checked: bool


def all_names(model: Sequence[str], dataset: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the model's names and behind them new ones, and the position of each of a dataset."""
    names = list(model)
    plain = {_plain(name): number for number, name in enumerate(names)}
    positions = []
    for name in dataset:
        if _plain(name) not in plain:
            plain[_plain(name)] = len(names)
            names.append(name)
        positions.append(plain[_plain(name)])
    return tuple(names), np.array(positions, np.int64)


def _plain(name: str) -> str:
    return ' '.join(name.replace('_', ' ').replace('-', ' ').casefold().split())


def unchecked(dataset: Dataset) -> dict[str, list[float]]:
    """
    Return the images whose labels only a model has seen, with the scores in the labels' order.

    Of a COCO file of `curate` these are the images without a label that a person made, unless
    the image says ``"checked": true``; of other formats all, as long as the mark is in the file.
    """
    if dataset.kind == 'coco':
        data = json.loads(Path(dataset.source).read_text(encoding='utf-8'))
        info = data.get('info')
        marked = isinstance(info, dict) and bool(_MARK.search(str(info.get('description', ''))))
        rows: dict[object, list[dict[str, object]]] = {}
        for each in data['annotations']:
            rows.setdefault(each['image_id'], []).append(each)
        return {
            image['file_name']: [float(each.get('score', 0.0))  # type: ignore[arg-type]
                                 for each in rows.get(image['id'], [])]
            for image in data['images'] if not image.get('checked')
            and all(each.get('prelabel') for each in rows.get(image['id'], []))
            and (marked or rows.get(image['id']))}
    if dataset.kind == 'yolo':
        first = Path(dataset.source).read_text(encoding='utf-8').partition('\n')[0]
        return {each.name: [] for each in dataset.samples} if (
            first.startswith('#') and _MARK.search(first)) else {}
    if dataset.kind == 'voc':
        root = Path(dataset.source)
        files = {each.stem: each for each in root.glob('**/*.xml')}
        return {each.name: [] for each in dataset.samples
                if (file := files.get(Path(each.name).stem)) is not None
                and re.search('<database>pre-labels of ', file.read_text(encoding='utf-8'))}
    return {}


def examples(dataset: Dataset, positions: np.ndarray, least: float | None = None,
             ) -> list[Example]:
    """
    Return what can be learned from.

    Parameters
    ----------
    dataset
        From `open_dataset`, for detection or classification.
    positions
        From `all_names`.
    least
        Score from which the labels of unchecked images count; their weaker boxes are neither
        objects nor background. None leaves these images out.

    Raises
    ------
    InputError
        If nothing remains, or pre-labels are asked for that have no scores.

    """
    doubtful = unchecked(dataset)
    found = []
    for sample in dataset.samples:
        scores = doubtful.get(sample.name)
        if scores is not None and least is None:
            continue
        if not isinstance(sample.truth, Objects):
            if len(sample.truth) == 1:
                label = positions[sorted(sample.truth)[0]]
                found.append(Example(sample, np.zeros((0, 4), np.float32), np.array([label]),
                                     np.zeros((0, 4), np.float32), True))
            continue
        truth, ignored = sample.truth, sample.truth.ignored
        if scores is not None:
            if len(scores) != len(truth):
                raise InputError(
                    f'{dataset.source} has pre-labels without scores: take the COCO file of the '
                    'same directory, or check them and remove the mark')
            ignored = ignored | (np.array(scores) < least)
        boxes = truth.boxes.astype(np.float32)
        found.append(Example(sample, boxes[~ignored], positions[truth.class_ids[~ignored]],
                             boxes[ignored], scores is None))
    if not found:
        raise InputError(
            f'{dataset.source}: all labels are pre-labels that nobody has checked; check them in '
            'a labelling tool, or say with --prelabels from which score they count')
    return found


def split(found: list[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Hold a part of the checked images back; the rest, and they, keep their order."""
    checked = [row for row, each in enumerate(found) if each.checked]
    order = np.random.default_rng([seed, 3]).permutation(len(checked))
    held = {checked[row] for row in order[:round(share * len(checked))]}
    return ([each for row, each in enumerate(found) if row not in held],
            [each for row, each in enumerate(found) if row in held])


def repeats(found: Sequence[Example], classes: int, enough: float) -> np.ndarray:
    """
    Return how often each image comes up, 1 for most of them.

    Repeat factors of LVIS (https://arxiv.org/abs/1908.03195, appendix B): the root of `enough`
    over the share of images with a class, of the rarest class of an image.
    """
    share = np.zeros(classes)
    for each in found:
        share[np.unique(each.classes)] += 1 / len(found)
    factors = np.maximum(1.0, np.sqrt(enough / np.maximum(share, 1e-9)))
    return np.array([factors[each.classes].max(initial=1.0) for each in found])


def class_weights(found: Sequence[Example], classes: int) -> np.ndarray:
    """Return how much each class counts: 1 over the root of its number, between 1/2 and 4."""
    counts = np.zeros(classes)
    for each in found:
        counts += np.bincount(each.classes, minlength=classes)
    there = counts > 0
    weights = np.ones(classes)
    weights[there] = np.sqrt(np.median(counts[there]) / counts[there])
    return np.clip(weights, 0.5, 4.0).astype(np.float32)


class Draw:
    """Chooses examples: rare classes more often, unchecked images at most every second time."""

    def __init__(self, found: Sequence[Example], classes: int, enough: float) -> None:
        factors = repeats(found, classes, enough)
        checked = np.array([each.checked for each in found])
        if checked.any() and (~checked).any():
            part = max(0.5, float(checked.mean()))
            factors[checked] *= part / factors[checked].sum()
            factors[~checked] *= (1 - part) / factors[~checked].sum()
        self._found, self._chances = found, factors / factors.sum()

    def __call__(self, rng: np.random.Generator) -> Example:
        """Return one."""
        return self._found[int(rng.choice(len(self._found), p=self._chances))]


def relight(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Change exposure, contrast, tint; add noise or blur now and then: uint8 [H, W, 3]."""
    ramp = np.linspace(0, 1, 256)[:, None]
    table = ramp ** np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.2)
                                                        + rng.normal(0, 0.06, 3))
    image = cv2.LUT(image, np.clip(table * 255, 0, 255).astype(np.uint8).reshape(256, 1, 3))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 8), image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.0)))
    return image


def detector_view(rng: np.random.Generator, example: Example, width: int, height: int,
                  flip: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """
    Return an image uint8 [height, width, 3] RGB of an example, and where its objects are in it.

    Returns
    -------
    tuple
        The image, boxes float32 [N, 4], classes int64 [N], ignored boxes float32 [M, 4].

    """
    image = example.sample.read()
    h, w = image.shape[:2]
    scale = min(width / w, height / h) * float(np.exp(rng.uniform(-0.3, 0.3)))
    room = np.array([width - w * scale, height - h * scale])
    shift = rng.uniform(np.minimum(room, 0), np.maximum(room, 0))
    mirrored = flip and rng.random() < 0.5
    matrix = np.array([[-scale if mirrored else scale, 0, shift[0] + w * scale * mirrored],
                       [0, scale, shift[1]]])
    if scale < 0.6:
        # Else pixels between the samples are lost.
        image = cv2.blur(image, (round(0.5 / scale) * 2 or 1,) * 2) if scale < 0.5 else (
            cv2.GaussianBlur(image, (0, 0), 0.5))
    view = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR,
                          borderValue=(_PADDING,) * 3)
    view = np.ascontiguousarray(relight(rng, view)[..., ::-1])

    def move(boxes: np.ndarray) -> np.ndarray:
        xs = boxes[:, [0, 2]] * matrix[0, 0] + matrix[0, 2]
        ys = boxes[:, [1, 3]] * scale + matrix[1, 2]
        return np.stack([xs.min(1), ys[:, 0], xs.max(1), ys[:, 1]], 1).astype(np.float32)

    whole = move(example.boxes)
    seen = np.clip(whole, 0, (width, height, width, height))
    sides = seen[:, 2:] - seen[:, :2]
    part = sides.prod(1) / np.maximum((whole[:, 2:] - whole[:, :2]).prod(1), 1e-6)
    clear = (part >= _LEAST_SEEN) & (sides.min(1, initial=np.inf) >= _LEAST_SIDE)
    return (view, seen[clear], example.classes[clear],
            np.concatenate([seen[~clear], move(example.ignored)]))


def crop_view(rng: np.random.Generator, example: Example, nothing: int | None,
              ) -> tuple[np.ndarray, int]:
    """
    Return a crop uint8 [SIDE, SIDE, 3] RGB for the classifier, and its class.

    Of an image with boxes it is one of the objects, or a place without any: class `nothing`.
    """
    image = np.ascontiguousarray(example.sample.read()[..., ::-1])
    h, w = image.shape[:2]
    whole = not isinstance(example.sample.truth, Objects)
    if whole:
        low = rng.uniform(0, 0.08, 2) * (w, h)
        high = (w, h) - rng.uniform(0, 0.08, 2) * (w, h)
        box, label = np.array([*low, *high], np.float32), int(example.classes[0])
        part = image[int(low[1]):max(int(high[1]), int(low[1]) + 2),
                     int(low[0]):max(int(high[0]), int(low[0]) + 2)]
        crop = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return relight(rng, crop), label
    if nothing is not None and (not len(example.boxes) or rng.random() < 0.15):
        taken = np.concatenate([example.boxes, example.ignored])
        for _ in range(10):
            side = float(rng.uniform(0.05, 0.4) * min(w, h))
            x, y = rng.uniform(0, (w - side, h - side))
            box = np.array([x, y, x + side, y + side], np.float32)
            low, high = np.maximum(taken[:, :2], box[:2]), np.minimum(taken[:, 2:], box[2:])
            if not (high > low).all(1).any():
                return relight(rng, _plain_crop(image, box)), nothing
    if not len(example.boxes):
        raise InputError(f'{example.sample.name} has no object, and the model no class for that')
    row = int(rng.integers(len(example.boxes)))
    return relight(rng, cut(rng, image, example.boxes[row])), int(example.classes[row])


def _plain_crop(image: np.ndarray, box: np.ndarray, margin: float = 0.0) -> np.ndarray:
    h, w = image.shape[:2]
    x, y = margin * (box[2:] - box[:2])
    x1, y1 = max(0, int(box[0] - x)), max(0, int(box[1] - y))
    part = image[y1:max(min(h, int(np.ceil(box[3] + y))), y1 + 2),
                 x1:max(min(w, int(np.ceil(box[2] + x))), x1 + 2)]
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def as_crops(dataset: Dataset, margin: float = 0.12) -> Dataset:
    """Return a dataset for classification: each object, with some margin, is an image."""
    if dataset.task == 'classification':
        return dataset
    samples = []
    for sample in dataset.samples:
        truth = sample.truth
        for row in np.flatnonzero(~truth.ignored).tolist():
            samples.append(Sample(f'{sample.name}#{row}', None,
                                  frozenset([int(truth.class_ids[row])]),
                                  _reader(sample, truth.boxes[row], margin)))
    return Dataset('classification', dataset.names, samples, dataset.source, dataset.kind)


def _reader(sample: Sample, box: np.ndarray, margin: float) -> Callable[[], np.ndarray]:
    return lambda: _plain_crop(sample.read(), box, margin)
