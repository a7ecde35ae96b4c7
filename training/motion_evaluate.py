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
from training.motion_export import WAYS
from training.runner import open_session
from training.runner import time_a_frame

#: Numbers in the seed that no training episode uses: to choose what ships, and to report.
#: The validation windows, which choose thresholds, show what training shows; the unseen do not.
VALIDATION, UNSEEN = 8, 7
#: The part of the results on validation windows that a threshold leaves right.
PRECISION = 0.98
_Window = tuple[np.ndarray, np.ndarray]


def unseen_windows(seed: int, count: int, part: int = UNSEEN) -> tuple[
        list[_Window], np.ndarray, np.ndarray]:
    """
    Make windows that no training sees, as many of each class.

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
        window, episode, end = motions.make_window((seed, part, number), label, part == UNSEEN)
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


def _scores(directory: Path, windows: list[_Window]) -> dict[str, np.ndarray]:
    """Return each way's probabilities [N, C]."""
    if missing := [name for name in WAYS if not (directory / f'{name}.onnx').exists()]:
        raise FileNotFoundError(
            f'{directory} lacks {", ".join(missing)}: train with --only motions')
    readers = {name: _reader(directory, name) for name in WAYS if name != 'motion_features'}
    return {name: np.stack([read(window) for window in windows])
            for name, read in readers.items()}


def choose_thresholds(directory: Path, seed: int, count: int) -> dict[str, float]:
    """Return for each way the lowest threshold with PRECISION on validation windows."""
    windows, labels, _ = unseen_windows(seed, count, VALIDATION)
    return {name: _choose(scores, labels) for name, scores in _scores(directory, windows).items()}


def _choose(scores: np.ndarray, labels: np.ndarray) -> float:
    found, best = scores.argmax(1), scores.max(1)
    for threshold in np.arange(30, 99) / 100:
        sure = (found != motions.NOTHING) & (best >= threshold)
        if (found == labels)[sure].sum() >= PRECISION * sure.sum():
            return float(threshold)
    return 0.99


def interval(right: int, count: int) -> list[float]:
    """Return the 95 % interval of a part (Wilson's, for a normal deviate of 1.96)."""
    z2 = 1.96 ** 2
    middle = (right + z2 / 2) / (count + z2)
    half = 1.96 * (right * (count - right) / count + z2 / 4) ** 0.5 / (count + z2)
    return [round(middle - half, 4), round(middle + half, 4)]


def _threshold(directory: Path, name: str) -> float:
    text = (directory / f'{name}.yaml').read_text(encoding='utf-8')
    return float(text.split('score_threshold: ')[1].split()[0])


def measure_motions(directory: Path, seed: int, count: int) -> dict[str, Any]:
    """
    Measure all exported ways on the same unseen windows.

    Parameters
    ----------
    directory
        Where the ONNX files and descriptors are.
    seed, count
        Which windows, and how many.

    Returns
    -------
    dict
        The figures, rounded, ready for a report.

    Raises
    ------
    FileNotFoundError
        If a way was not trained.

    """
    windows, labels, held_out = unseen_windows(seed, count)
    sides = np.isin(labels, (2, 3))
    ways: dict[str, Any] = {}
    for name, scores in _scores(directory, windows).items():
        found = scores.argmax(1)
        right = found == labels
        threshold = _threshold(directory, name)
        sure = (found != motions.NOTHING) & (scores.max(1) >= threshold)
        ways[name] = {
            'title': WAYS[name].title, 'accuracy': round(float(right.mean()), 4),
            'interval': interval(int(right.sum()), count),
            'accuracy_of_unseen_cards': round(float(right[held_out].mean()), 4),
            'by_class': {motion: round(float(right[labels == i].mean()), 4)
                         for i, motion in enumerate(motions.MOTIONS)},
            'left_or_right': round(float(
                ((scores[sides, 2] > scores[sides, 3]) == (labels[sides] == 2)).mean()), 4),
            'threshold': threshold,
            'false_alarms': round(float(
                sure[labels == motions.NOTHING].mean()), 4),
            'reported': round(float(sure[labels != motions.NOTHING].mean()), 4),
            'reported_right': round(float(right[sure].mean()), 4) if sure.any() else None,
            'reported_by_class': {motion: round(float((sure & right)[labels == i].mean()), 4)
                                  for i, motion in enumerate(motions.MOTIONS[:-1])},
            'confusion': [[int(((labels == i) & (found == j)).sum())
                           for j in range(len(motions.MOTIONS))]
                          for i in range(len(motions.MOTIONS))],
            'bytes': (directory / f'{name}.onnx').stat().st_size}
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
    rows = [f'| way | all (95 % interval) | {" | ".join(classes)} | left or right '
            '| cards never trained |', '|---|---|' + '---|' * (len(classes) + 2)]
    for name, way in measured['ways'].items():
        marks = '**' if name == measured['shipped'] else ''
        low, high = (f'{100 * value:.1f}' for value in way['interval'])
        values = [*(way['by_class'][each] for each in classes),
                  way['left_or_right'], way['accuracy_of_unseen_cards']]
        rows.append(f'| {marks}{way["title"]}{marks} (`{name}`) | {100 * way["accuracy"]:.1f} % '
                    f'({low}–{high}) | '
                    + ' | '.join(f'{100 * value:.1f} %' for value in values) + ' |')
    shipped = measured['ways'][measured['shipped']]
    threshold = shipped['threshold']
    rows += ['', f'| `{SHIPPED_AS}` | measured | goal |', '|---|---|---|',
             f'| accuracy, {measured["windows"]} unseen windows | {shipped["accuracy"]:.4f} '
             '| ≥ 0.90 |',
             f'| results at score {threshold} that are right | '
             f'{100 * (shipped["reported_right"] or 0):.1f} % |  |',
             f'| windows with a motion that have a result at score {threshold} | '
             f'{100 * shipped["reported"]:.1f} % |  |',
             *(f'| `{motion}`, found at score {threshold} | {100 * value:.1f} % |  |'
               for motion, value in shipped['reported_by_class'].items()),
             f'| windows of nothing with a result at score {threshold} | '
             f'{100 * shipped["false_alarms"]:.2f} % |  |',
             '| time a window, model alone, one core (median / fastest) | '
             f'{measured["median_ms"]} / {measured["fastest_ms"]} ms | ≤ 15 ms |',
             f'| file | {measured["bytes"] / 1e6:.2f} MB | ≤ 3 MB |', '']
    return '\n'.join(rows)
