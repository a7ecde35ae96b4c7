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

"""One directory for each class; or images beside label images of the same names."""

from __future__ import annotations

from functools import partial
import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify import InputError
from ros2_classify.image_io import pixel_chunks
from ros2_classify_evaluation.datasets.base import Dataset, images_in, Sample
from ros2_classify_evaluation.datasets.reading import image_size, read_bytes, read_text

# Where label images are, beside a directory of images.
_MASKS = ('masks', 'labels', 'annotations')
_MOST_BYTES = 256 << 20


def fits(path: Path) -> bool:
    """Tell whether there are directories with images in them."""
    return path.is_dir() and any(
        images_in(each) for each in path.iterdir() if each.is_dir())


def load(path: Path) -> Dataset:
    """Read it: segmentation if there are ``images`` and ``masks``, else classification."""
    masks = next((path / name for name in _MASKS if (path / name).is_dir()), None)
    if (path / 'images').is_dir() and masks is not None:
        return segmentation(path, path / 'images', masks, class_names(path), 'directories')
    classes = sorted(each for each in path.iterdir() if each.is_dir() and images_in(each))
    samples = [
        Sample(str(image.relative_to(path)), image, frozenset((number,)))
        for number, directory in enumerate(classes) for image in images_in(directory)]
    return Dataset('classification', tuple(each.name for each in classes), samples, str(path),
                   'directories')


def class_names(path: Path) -> tuple[str, ...]:
    """Return the names in ``classes.txt`` or ``labels.txt``, one for each id."""
    for name in ('classes.txt', 'labels.txt'):
        if (path / name).is_file():
            lines = read_text(path / name).splitlines()
            return tuple(line.strip() for line in lines if line.strip())
    raise InputError(
        f'{path} has label images but no classes.txt with the names of their numbers, one on '
        'each line, that of 0 first; write it')


def segmentation(path: Path, images: Path, masks: Path, names: tuple[str, ...],
                 kind: str) -> Dataset:
    """Return a dataset of label images, by the names of these."""
    by_stem = {image.stem: image for image in images_in(images)}
    samples = []
    for mask in images_in(masks):
        if mask.stem not in by_stem:
            raise InputError(f'{mask} has no image {mask.stem}.* in {images}')
        samples.append(Sample(mask.stem, by_stem[mask.stem], partial(read_labels, mask)))
    return Dataset('segmentation', names, samples, str(path), kind)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Return the numbers of a label image; those of a palette are its indices."""
    # Checks its size, too, before a pixel of it is decoded.
    image_size(path)
    data = pixel_chunks(read_bytes(path, _MOST_BYTES))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f'the label image {path} cannot be read')
    if image.ndim == 3 and path.suffix.lower() == '.png':
        # OpenCV turns palettes into colours.
        indices = _palette_indices(path, data)
        image = image[..., 0] if indices is None else indices
    if image.ndim != 2 or image.dtype != np.uint8:
        raise InputError(
            f'the label image {path} is {image.dtype} {image.shape} but must have one 8-bit '
            'number for each pixel')
    return np.asarray(image, np.uint8)


def _palette_indices(path: Path, data: bytes | memoryview) -> NDArray[np.uint8] | None:
    """Return the indices of a PNG with a palette; None if it has none."""
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            f'the label image {path} has colours; if it has a palette, pip install pillow reads '
            'its numbers') from error
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image, np.uint8) if image.mode == 'P' else None
