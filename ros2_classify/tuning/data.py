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

"""The images that candidates run on, and what labelled data says about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.convert.compare import sample_image
from ros2_classify.errors import InputError, OptionsError
from ros2_classify.image_io import read_image
from ros2_classify.model.catalog import directories
from ros2_classify.sources.files import IMAGE_SUFFIXES
from ros2_classify.sources.open import open_source

Image = NDArray[np.uint8]
# Each differs from the others; more take longer to compare and tell little.
COUNT = 16
# Of a video, neighbours are the same.
_STRIDE = 10


@dataclass(frozen=True)
class Data:
    """Images, and the module that measures accuracy if they have labels."""

    images: tuple[Image, ...]
    name: str
    evaluator: str = ''


def read_data(text: str | None) -> Data:
    """Read images of the user, or the sample images of the package."""
    if not text:
        images = tuple(_own())
        return Data(images, f'{len(images)} sample images')
    evaluator, samples = _labelled(text)
    if evaluator:
        images = tuple(sample.read() for sample in _spread(samples))
        return Data(images, f'{len(images)} of {len(samples)} labelled images of {text}',
                    evaluator)
    path = Path(text).expanduser()
    if path.is_dir() and not any(each.suffix.lower() in IMAGE_SUFFIXES for each in path.iterdir()):
        below = sorted(each for each in path.rglob('*') if each.suffix.lower() in IMAGE_SUFFIXES)
        if below:
            images = tuple(read_image(each) for each in _spread(below))
            return Data(images, f'{len(images)} images below {text}')
    source = open_source(text)
    try:
        images = tuple(_from(source))
    finally:
        source.close()
    if not images:
        raise InputError(f'--data {text} has no images')
    return Data(images, f'{len(images)} images of {text}')


def _from(source: Any) -> Iterator[Image]:
    """Return the images of a source; of a long one, some that are apart."""
    step = _STRIDE if source.length is None else max(1, min(_STRIDE, source.length // COUNT))
    for number, frame in enumerate(islice(source.frames(), COUNT * step)):
        if number % step == 0 and (pixels := frame.read()) is not None:
            yield pixels.copy()


def _spread(items: Iterable[Any]) -> list[Any]:
    listed = list(items)
    step = max(1, len(listed) // COUNT)
    return listed[::step][:COUNT]


def _own() -> Iterator[Image]:
    """Yield the sample images beside the shipped models, else an image that shows shapes."""
    for directory in directories():
        paths = sorted(Path(directory, 'scenes').glob('*.jpg'))  # words: old
        if paths:
            for path in paths[:COUNT]:
                yield read_image(path)
            return
    yield sample_image(640, 480)


def _labelled(text: str) -> tuple[str, Any]:
    """Return the module that evaluates labelled data, and its samples; empty without either."""
    point = next(iter(entry_points(group='ros2_classify.verbs', name='evaluate')), None)
    if point is None:
        return '', ()
    name = f'{point.module.partition(".")[0]}.tuning'
    try:
        return name, import_module(name).labelled_samples(text)
    except (InputError, OptionsError, ImportError):
        return '', ()
