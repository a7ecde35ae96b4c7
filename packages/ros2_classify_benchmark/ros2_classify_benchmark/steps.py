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

"""
Measures the steps around a model: preparing images, feeding the model, reading its outputs.

Each step stands beside the plain way of doing it, in alternation within one run on one thread, and
what counts is this thread's time on the processor: so ratios hold although the machine's load
changes. In scripts/shell:

    python -m ros2_classify_benchmark.steps [--model cards_detector] [--repeat 60]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
import time
from typing import Any

import cv2
import numpy as np

from ros2_classify import Pipeline
from ros2_classify.decoders import DecodeContext, DECODERS, PixelClasses
from ros2_classify.decoders.base import row_maxima
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.postprocess.label_image import label_image
from ros2_classify.postprocess.nms import non_maximum_suppression
from ros2_classify.preprocess.geometry import make_plan
from ros2_classify.preprocess.preprocessor import AreaShrinker, Preprocessor

CAMERAS = {'640x480': (640, 480), '1920x1080': (1920, 1080)}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Ways = dict[str, Callable[[], object]]


def measure(ways: Ways, repeat: int) -> dict[str, float]:
    """Return the median milliseconds of each way, measured alternately."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeat + 3):
        for name, way in ways.items():
            start = time.thread_time()
            way()
            # The first rounds fill buffers and caches.
            if number >= 3:
                times[name].append(time.thread_time() - start)
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def show(title: str, ways: Ways, repeat: int, whole: str = '') -> None:
    """Print one line: each way and its part of the first one's time, or of another's."""
    found = measure(ways, repeat)
    first = found[whole or next(iter(ways))]
    print(f'{title:34}', '  '.join(
        f'{name} {value:.3f} ms ({value / first:.2f})' for name, value in found.items()))


def noise(size: tuple[int, int]) -> Any:
    """Return a random image, BGR."""
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)


def preparing(repeat: int) -> None:
    """Measure images to tensors."""
    for camera, size in CAMERAS.items():
        image = noise(size)
        for side in (224, 416, 640):
            target = (side, side)

            def naive(target: tuple[int, int] = target) -> Any:
                small = cv2.resize(image, target)[..., ::-1].astype(np.float32) / 255
                return np.ascontiguousarray(((small - MEAN) / STD).transpose(2, 0, 1)[np.newaxis])

            def blob(target: tuple[int, int] = target) -> Any:
                return cv2.dnn.blobFromImage(image, 1 / 58, target, (123, 117, 104), swapRB=True)

            ways: Ways = {'naive numpy': naive, 'blobFromImage': blob}
            for filter_name in ('linear', 'pyramid', 'area'):
                preprocessor = Preprocessor(InputSpec(
                    name='x', size=target, layout='nchw', dtype='float32', color='rgb',
                    resize='stretch', interpolation=filter_name, scale=1 / 255, mean=MEAN,
                    std=STD))
                ways[filter_name] = partial(preprocessor, image, 'bgr')
            small = np.empty((side, side, 3), np.uint8)
            ways['resize alone'] = partial(cv2.resize, image, target, dst=small)
            show(f'prepare {camera} -> {side}', ways, repeat)


def averaging(repeat: int) -> None:
    """Measure the filter 'area'."""
    for source, target in (((640, 480), (341, 256)), ((1280, 720), (455, 256)),
                           ((1920, 1080), (455, 256)), ((1920, 1080), (416, 234))):
        image = noise(source)
        shrinker = AreaShrinker(source, target, (3,))
        small = np.empty((target[1], target[0], 3), np.uint8)
        show(f'area {source[0]}x{source[1]} -> {target[0]}x{target[1]}', {
            'INTER_AREA': lambda: cv2.resize(
                image, target, dst=small, interpolation=cv2.INTER_AREA),
            'rows first': lambda: shrinker(image, small)}, repeat)


def scaling(repeat: int) -> None:
    """Measure the pass that folding scale and mean into a model would save."""
    for side in (224, 416, 640):
        planes = [np.ascontiguousarray(noise((side, side))[..., c]) for c in range(3)]
        target = np.empty((3, side, side), np.float32)

        def scaled(planes: Any = planes, target: Any = target) -> None:
            for plane, out in zip(planes, target):
                cv2.addWeighted(plane, 0.017, plane, 0.0, -2.1, dst=out, dtype=cv2.CV_32F)

        def cast(planes: Any = planes, target: Any = target) -> None:
            for plane, out in zip(planes, target):
                np.copyto(out, plane)

        show(f'three planes of {side}x{side}', {'scale': scaled, 'cast only': cast}, repeat)


def table(rows: int, columns: int, certain: int) -> Any:
    """Return boxes and scores, most of them low."""
    rng = np.random.default_rng(0)
    numbers = (rng.random((rows, columns)) ** 8 * 0.2).astype(np.float32)
    numbers[:, :4] = rng.random((rows, 4)) * 300
    some = rng.choice(rows, certain, replace=False)
    numbers[some, 4], numbers[some, 6] = 0.9, 0.8
    return numbers


def reading(repeat: int) -> None:
    """Measure decoders and suppression on outputs of the usual sizes."""
    wide = table(8400, 85, 60)
    narrow = table(8400, 84, 60)
    scores = narrow[:, 4:]
    show('best of 8400x80', {
        'numpy': lambda: scores.max(axis=1), 'row_maxima': lambda: row_maxima(scores)}, repeat)
    show('find the few of 8400x80', {
        'nonzero': lambda: np.nonzero(scores >= 0.3),
        'flatnonzero': lambda: np.divmod(np.flatnonzero(scores >= 0.3), 80)}, repeat)
    outputs: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        'yolox 8400x85': ('yolox', {}, {'o': wide[np.newaxis]}),
        'yolo 84x8400': ('yolo', {}, {'o': np.ascontiguousarray(narrow.T)[np.newaxis]}),
        'yolo 8400x84': ('yolo', {'axes': 'channels_last', 'objectness': False},
                         {'o': narrow[np.newaxis]}),
        'boxes_scores 8400x80': ('boxes_scores', {'normalized': False}, {
            'boxes': narrow[np.newaxis, :, :4], 'scores': scores[np.newaxis]})}
    for title, (name, settings, given) in outputs.items():
        decoder = DECODERS[name]
        options = decoder.parse_options(settings)
        context = DecodeContext((640, 640), 0.3, label_count=80)
        found: Any = decoder.decode(given, options, context)
        show(f'decode {title}, {len(found)} found', {
            'decode': lambda: decoder.decode(given, options, context),
            'suppress': lambda: non_maximum_suppression(
                found.boxes, found.scores, found.class_ids, 0.45)}, repeat)


def labelling(repeat: int) -> None:
    """Measure the label image of a segmentation: background and two objects, or noise."""
    rng = np.random.default_rng(0)
    scores = rng.normal(scale=0.3, size=(21, 65, 65)).astype(np.float32)
    y, x = np.mgrid[:65, :65] / 65
    objects = scores.copy()
    objects[0] += 3
    objects[15] += 6 * np.exp(-((x - 0.5) ** 2 / 0.02 + (y - 0.6) ** 2 / 0.06))
    objects[7] += 6 * np.exp(-((x - 0.15) ** 2 / 0.01 + (y - 0.7) ** 2 / 0.01))
    for camera, size in CAMERAS.items():
        geometry = make_plan(InputSpec(size=(513, 513)), size).geometry
        ways: Ways = {}
        for name, values in (('noise', scores), ('two objects', objects)):
            found = PixelClasses(np.zeros((65, 65), np.uint8), 255, 0, values)
            ways[name] = partial(label_image, found, geometry)
        show(f'label image, 21 classes, {camera}', ways, max(repeat // 6, 3))


def whole(model: str, repeat: int) -> None:
    """Measure the three steps of a model."""
    with Pipeline.load(model, provider='cpu', threads=1) as pipeline:
        for camera, size in CAMERAS.items():
            image = noise(size)
            batch = pipeline.new_batch()
            state: dict[str, Any] = {}

            def prepare() -> None:
                batch.clear()
                batch.add(image, 'bgr')

            def run() -> None:
                state['outputs'] = pipeline.infer(batch)

            def unbound() -> None:
                pipeline.engine.infer(batch.tensors)

            def result() -> None:
                pipeline.postprocess(state['outputs'][0], batch.geometries[0])

            # Each run follows a preparation, as in the server.
            show(f'{model} {camera}', {
                'prepare': prepare, 'run, not bound': unbound, 'once more': prepare, 'run': run,
                'postprocess': result}, repeat, 'run')


def main() -> None:
    """Measure all steps."""
    parser = argparse.ArgumentParser(description=str(__doc__).split('\n')[1])
    parser.add_argument('--model', action='append', help='a model whose steps are measured')
    parser.add_argument('--repeat', type=int, default=60, help='how often (default: 60)')
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    preparing(arguments.repeat)
    averaging(arguments.repeat)
    scaling(arguments.repeat)
    reading(arguments.repeat)
    labelling(arguments.repeat)
    for model in arguments.model or ['cards_detector', 'cards_classifier']:
        whole(model, arguments.repeat)


if __name__ == '__main__':
    main()
