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

"""Choose and write the few sample images that ship for the demo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from training.cards import NAMES
from training.samples import make_sample
from training.samples import Sample

#: Of these images alone; chosen by eye for variety. Neither training nor evaluation uses it.
_SEED = (2, 11)
_BYTES = 150_000


def _sides(sample: Sample) -> np.ndarray:
    return np.sqrt(np.prod(sample.boxes[:, 2:] - sample.boxes[:, :2], axis=1))


def _whole(sample: Sample) -> bool:
    height, width = sample.image.shape[:2]
    return bool((sample.boxes[:, :2] > 3).all() and (sample.boxes[:, 2:] < (width - 3, height - 3)
                                                     ).all())


def _one(sample: Sample) -> bool:
    return len(sample.boxes) == 1 and _whole(sample) and 200 < _sides(sample)[0] < 330


def _several(sample: Sample) -> bool:
    return (len(sample.boxes) == len(set(sample.classes.tolist())) in (4, 5, 6) and _whole(sample)
            and _sides(sample).min() > 50)


def _small(sample: Sample) -> bool:
    return (3 <= len(sample.boxes) <= 6 and _whole(sample) and not sample.others
            and np.ptp(sample.boxes[:, 0]) > 200
            and 22 < _sides(sample).min() and _sides(sample).max() < 40)


def _many(sample: Sample) -> bool:
    return (len(sample.boxes) >= 10 and len(set(sample.classes.tolist())) >= 8 and _whole(sample)
            and _sides(sample).min() > 35)


def _dark(sample: Sample) -> bool:
    return (2 <= len(sample.boxes) <= 4 and _whole(sample) and _sides(sample).min() > 40
            and 30 < sample.image.mean() < 50)


def _none(sample: Sample) -> bool:
    return not len(sample.boxes) and 3 <= sample.others <= 6


_WANTED = {'one_card': _one, 'several_cards': _several, 'small_cards': _small,
           'many_cards': _many, 'dark': _dark}


def write_sample_images(directory: Path) -> None:
    """
    Write JPEG files, and a YAML file with the cards and boxes in each.

    The first generated sample that fits each kind is taken, whatever a model makes of it.

    Parameters
    ----------
    directory
        Where to; made if missing.

    """
    directory.mkdir(parents=True, exist_ok=True)
    lines = ['# Written by `python -m training`: what is in each sample image.',
             '# box: x1, y1, x2, y2 in pixels, cut at the border of the image.', 'images:']
    samples = {name: next(s for s in _stream(number, 0.0) if fits(s))
               for number, (name, fits) in enumerate(_WANTED.items())}
    samples['no_cards'] = next(s for s in _stream(len(samples), 1.0) if _none(s))
    for name, sample in samples.items():
        _write_jpeg(directory / f'{name}.jpg', sample.image)
        lines.append(f'  - image: {name}.jpg')
        lines.append('    cards:' + ('' if len(sample.boxes) else ' []'))
        for label, box in zip(sample.classes, sample.boxes):
            numbers = ', '.join(f'{v:.1f}' for v in box)
            lines.append(f'      - {{label: {NAMES[label]}, box: [{numbers}]}}')
    (directory / f'{directory.name}.yaml').write_text('\n'.join(lines) + '\n', encoding='utf-8')


def _stream(number: int, empty: float) -> Iterator[Sample]:
    for i in range(100_000):
        yield make_sample(np.random.default_rng([*_SEED, number, i]), 640, 480, 24.0, empty)
    raise RuntimeError(f'no sample fits kind {number}: loosen its condition')


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write an image at the best quality that stays small enough."""
    for quality in range(92, 40, -4):
        _, data = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                               [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) <= _BYTES:
            path.write_bytes(data.tobytes())
            return
    raise ValueError(f'{path.name} does not fit into {_BYTES} bytes')
