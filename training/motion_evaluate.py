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

"""Measure the exported models of motions on episodes with unseen backgrounds and cards."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training import motions
from training.cards import NAMES
from training.motion_export import SHIPPED
from training.motion_export import SHIPPED_AS
from training.motion_export import THRESHOLD
from training.motion_export import WAYS
from training.runner import open_session
from training.runner import time_a_frame

#: Numbers in the seed that no training episode uses: to choose what ships, and to report.
VALIDATION, UNSEEN = 8, 7
_Window = tuple[np.ndarray, np.ndarray]


def unseen_windows(seed: int, count: int, part: int = UNSEEN) -> tuple[
        list[_Window], np.ndarray, np.ndarray]:
    """
    Make windows for a test, as many of each class.

    Returns
    -------
    tuple
        The windows, each uint8 [FRAMES, H, W, 3] with the frames before it in its episode; their
        classes int [N]; and whether no training episode shows the card, bool [N].

    """
    found, labels, held_out = [], [], []
    cv2.setNumThreads(1)
    for number in range(count):
        label = number % len(motions.MOTIONS)
        window, episode, end = motions.make_window((seed, part, number), label, unseen=True)
        found.append((window, episode.frames[:end - motions.FRAMES + 1]))
        labels.append(label)
        held_out.append(NAMES[episode.card] in motions.UNSEEN_CARDS)
    return found, np.array(labels), np.array(held_out)


def _reader(directory: Path, name: str) -> Callable[[_Window], np.ndarray]:
    """Return what gives a model's probabilities [C] for a window, with ONNX Runtime and NumPy."""
    session = open_session(directory / f'{name}.onnx')
    first = session.get_inputs()[0].name

    def run(array: np.ndarray) -> np.ndarray:
        return session.run(None, {first: np.ascontiguousarray(array, np.float32)})[0]

    if name in ('motion_rnn', 'motion_mlp'):
        encoder = open_session(directory / 'motion_features.onnx')
        image = encoder.get_inputs()[0].name
        return lambda window: run(encoder.run(None, {
            image: window[0].transpose(0, 3, 1, 2).astype(np.float32)})[0][None])[0]
    if name == 'motion_frames':
        return lambda window: run(window[0].transpose(0, 3, 1, 2)).mean(0)
    if name == 'motion_3dcnn':
        return lambda window: run(window[0].transpose(3, 0, 1, 2)[None])[0]
    if name != 'motion_stream':
        return lambda window: run(window[0][None])[0]

    def stream(window: _Window) -> np.ndarray:
        specs = session.get_inputs()[1:]
        states = [np.zeros((1, *spec.shape[1:]), np.int64 if spec.name == 'count' else np.float32)
                  for spec in specs]
        for frame in np.concatenate(window[::-1]):
            scores, *states = session.run(None, {
                first: frame[None, None].astype(np.float32),
                **{spec.name: state for spec, state in zip(specs, states)}})
        return scores[0]

    return stream


def measure_motions(directory: Path, seed: int, count: int, part: int = UNSEEN) -> dict[str, Any]:
    """
    Measure all exported ways on the same unseen windows.

    Parameters
    ----------
    directory
        Where the ONNX files are.
    seed, count
        Which windows, and how many.
    part
        UNSEEN, or VALIDATION for choices.

    Returns
    -------
    dict
        The figures, rounded, ready for a report.

    Raises
    ------
    FileNotFoundError
        If a way was not trained.

    """
    if missing := [name for name in WAYS if not (directory / f'{name}.onnx').exists()]:
        raise FileNotFoundError(
            f'{directory} lacks {", ".join(missing)}: train with --only motions')
    windows, labels, held_out = unseen_windows(seed, count, part)
    sides = np.isin(labels, (2, 3))
    ways: dict[str, Any] = {}
    for name, way in WAYS.items():
        path = directory / f'{name}.onnx'
        if name == 'motion_features':
            continue
        read = _reader(directory, name)
        scores = np.stack([read(window) for window in windows])
        found = scores.argmax(1)
        right = found == labels
        sure = (found != motions.NOTHING) & (scores.max(1) >= THRESHOLD)
        ways[name] = {
            'title': way.title, 'accuracy': round(float(right.mean()), 4),
            'accuracy_of_unseen_cards': round(float(right[held_out].mean()), 4),
            'by_class': {motion: round(float(right[labels == i].mean()), 4)
                         for i, motion in enumerate(motions.MOTIONS)},
            'left_or_right': round(float(
                ((scores[sides, 2] > scores[sides, 3]) == (labels[sides] == 2)).mean()), 4),
            'false_alarms': round(float(
                sure[labels == motions.NOTHING].mean()), 4),
            'reported': round(float(sure[labels != motions.NOTHING].mean()), 4),
            'reported_right': round(float(right[sure].mean()), 4) if sure.any() else 0.0,
            'reported_by_class': {motion: round(float((sure & right)[labels == i].mean()), 4)
                                  for i, motion in enumerate(motions.MOTIONS[:-1])},
            'confusion': [[int(((labels == i) & (found == j)).sum())
                           for j in range(len(motions.MOTIONS))]
                          for i in range(len(motions.MOTIONS))],
            'bytes': path.stat().st_size}
    return {'windows': count, 'unseen_cards': list(motions.UNSEEN_CARDS),
            'windows_of_unseen_cards': int(held_out.sum()), 'shipped': SHIPPED, 'ways': ways}


def measure_shipped(output: Path, measured: dict[str, Any]) -> None:
    """Add size, digest and time of the file that ships."""
    path = output / f'{SHIPPED_AS}.onnx'
    measured['bytes'] = path.stat().st_size
    measured['sha256'] = hashlib.sha256(path.read_bytes()).hexdigest()
    measured.update(time_a_frame(open_session(path), 100))


def figures(measured: dict[str, Any]) -> str:
    """Return the figures as Markdown tables."""
    classes = motions.MOTIONS
    rows = [f'| way | all | {" | ".join(classes)} | left or right | cards never trained |',
            '|---|---|' + '---|' * (len(classes) + 2)]
    for name, way in measured['ways'].items():
        marks = '**' if name == measured['shipped'] else ''
        values = [way['accuracy'], *(way['by_class'][each] for each in classes),
                  way['left_or_right'], way['accuracy_of_unseen_cards']]
        rows.append(f'| {marks}{way["title"]}{marks} (`{name}`) | '
                    + ' | '.join(f'{100 * value:.1f} %' for value in values) + ' |')
    shipped = measured['ways'][measured['shipped']]
    rows += ['', f'| `{SHIPPED_AS}` | measured | goal |', '|---|---|---|',
             f'| accuracy, {measured["windows"]} unseen windows | {shipped["accuracy"]:.4f} '
             '|  |',
             f'| results at score {THRESHOLD} that are right | '
             f'{100 * shipped["reported_right"]:.1f} % |  |',
             f'| windows with a motion that have a result at score {THRESHOLD} | '
             f'{100 * shipped["reported"]:.1f} % |  |',
             *(f'| `{motion}`, found at score {THRESHOLD} | {100 * value:.1f} % |  |'
               for motion, value in shipped['reported_by_class'].items()),
             f'| windows of nothing with a result at score {THRESHOLD} | '
             f'{100 * shipped["false_alarms"]:.2f} % |  |',
             '| time a window, model alone, one core (median / fastest) | '
             f'{measured["median_ms"]} / {measured["fastest_ms"]} ms | ≤ 15 ms |',
             f'| file | {measured["bytes"] / 1e6:.2f} MB | ≤ 3 MB |', '']
    return '\n'.join(rows)
