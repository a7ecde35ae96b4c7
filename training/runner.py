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

"""Run the exported files with ONNX Runtime and plain NumPy, apart from the product's code."""

from __future__ import annotations

from pathlib import Path
import time

import cv2
import numpy as np
import onnxruntime

from training.cards import NAMES

_STRIDES = (8, 16, 32)
_PADDING = 114


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open a model on the CPU with a number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider'])


def _shrink(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Halve by means of four while both sides stay large enough, then go on linearly."""
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = cv2.resize(image[:2 * half[1], :2 * half[0]], half, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


class CardDetector:
    """
    The detector's file with its pre- and post-processing.

    Parameters
    ----------
    path
        The ONNX file.
    floor
        Lowest score that is kept.
    iou
        Overlap above which the weaker of two boxes of one class goes.

    """

    def __init__(self, path: Path, floor: float = 0.01, iou: float = 0.5) -> None:
        self.session = open_session(path)
        self.floor = floor
        self.iou = iou
        self.height, self.width = self.session.get_inputs()[0].shape[2:]

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Find the cards in an image.

        Parameters
        ----------
        image
            uint8 [H, W, 3], RGB.

        Returns
        -------
        tuple
            Boxes float [N, 4] x1, y1, x2, y2 in the image's pixels, scores [N], classes [N];
            best first.

        """
        h, w = image.shape[:2]
        factor = min(self.width / w, self.height / h)
        small = _shrink(image, round(w * factor), round(h * factor))
        canvas = np.full((self.height, self.width, 3), _PADDING, np.uint8)
        canvas[:small.shape[0], :small.shape[1]] = small
        tensor = canvas.transpose(2, 0, 1)[None].astype(np.float32)
        rows = self.session.run(None, {self.session.get_inputs()[0].name: tensor})[0][0]
        boxes, scores, classes = [], [], []
        start = 0
        for stride in _STRIDES:
            columns, count = self.width // stride, (self.width // stride) * (self.height // stride)
            part = rows[start:start + count]
            every = part[:, 4:5] * part[:, 5:]
            for cell, label in np.argwhere(every >= self.floor):
                x = (part[cell, 0] + cell % columns) * stride
                y = (part[cell, 1] + cell // columns) * stride
                bw, bh = np.exp(part[cell, 2:4]) * stride
                boxes.append([x - bw / 2, y - bh / 2, x + bw / 2, y + bh / 2])
                scores.append(every[cell, label])
                classes.append(label)
            start += count
        found = np.array(boxes).reshape(-1, 4) / factor
        found = np.clip(found, 0, (w, h, w, h))
        return suppress(found, np.array(scores), np.array(classes, int), self.iou)


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the overlaps [N, M] of boxes x1, y1, x2, y2."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), 2)
    return common / np.maximum(np.prod(a[:, 2:] - a[:, :2], 1)[:, None]
                               + np.prod(b[:, 2:] - b[:, :2], 1)[None] - common, 1e-9)


def suppress(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray,
             iou: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the best of boxes of one class that lie over each other."""
    order = np.argsort(-scores, kind='stable')
    boxes, scores, classes = boxes[order], scores[order], classes[order]
    overlaps = iou_matrix(boxes, boxes)
    gone = np.zeros(len(boxes), bool)
    for i in range(len(boxes)):
        if not gone[i]:
            later = (overlaps[i] > iou) & (classes == classes[i])
            later[:i + 1] = False
            gone |= later
    return boxes[~gone], scores[~gone], classes[~gone]


class CardClassifier:
    """The classifier's file with its pre-processing."""

    def __init__(self, path: Path) -> None:
        self.session = open_session(path)
        self.height, self.width = self.session.get_inputs()[0].shape[2:]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the probabilities [C + 1] for an image uint8 [H, W, 3] RGB; last: nothing."""
        small = _shrink(image, self.width, self.height)
        tensor = small.transpose(2, 0, 1)[None].astype(np.float32)
        return self.session.run(None, {self.session.get_inputs()[0].name: tensor})[0][0]


def time_a_frame(session: onnxruntime.InferenceSession, frames: int = 200) -> dict[str, float]:
    """Return the median and the fastest time of the model alone, in milliseconds."""
    spec = session.get_inputs()[0]
    # The first dimension is free.
    tensor = np.random.default_rng(0).uniform(0, 255, (1, *spec.shape[1:])).astype(np.float32)
    times = []
    for _ in range(frames):
        begin = time.perf_counter()
        session.run(None, {spec.name: tensor})
        times.append((time.perf_counter() - begin) * 1e3)
    return {'median_ms': round(float(np.median(times)), 2), 'fastest_ms': round(min(times), 2)}


def name_of(label: int) -> str:
    """Return a card's name, or 'nothing'."""
    return NAMES[label] if label < len(NAMES) else 'nothing'
