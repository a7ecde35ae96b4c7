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

"""What ``infer`` writes for many images: JSON lines, CSV, COCO results, images or a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import csv
import glob
import json
import os
from pathlib import Path
import re
from typing import Any, IO, TYPE_CHECKING

from ros2_classify.errors import InputError
from ros2_classify.limits import check_replaceable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from ros2_classify.options import Options
    from ros2_classify.results.overlay_tracks import Trails
    from ros2_classify.results.results import Result

    Image = NDArray[np.uint8]

# How OpenCV's own encoders are called; none of them needs another package.
_CODECS = {'.mp4': 'mp4v', '.mov': 'mp4v', '.avi': 'MJPG', '.mkv': 'VP80'}
# A live source that stood still for hours must not fill the disk with one image.
_MOST_REPEATED = 100


class PartFile:
    """A file that has its name only once it is whole."""

    def __init__(self, path: Path) -> None:
        try:
            check_replaceable(path)
        except OSError as error:
            raise InputError(f'{path} cannot be written: {error.strerror}') from error
        self.path = path
        self.part = path.with_name(f'.{path.stem}.part{path.suffix}')

    def open(self) -> IO[str]:  # noqa: A003
        """Open it for text."""
        try:
            return self.part.open('w', newline='', encoding='utf-8')
        except OSError as error:
            raise InputError(f'{self.path} cannot be written: {error.strerror}') from error

    def done(self) -> None:
        """Give it its name."""
        if self.part.exists():
            os.replace(self.part, self.path)


class _Text:
    """A file of results, opened at once, so that an unwritable path is an early error."""

    def __init__(self, path: Path) -> None:
        self._file = PartFile(path)
        self._out = self._file.open()

    def close(self) -> None:
        """End the file."""
        self._out.close()
        self._file.done()

    def discard(self) -> None:
        """Remove it."""
        self._out.close()
        self._file.part.unlink(missing_ok=True)


class JsonLines(_Text):
    """One JSON object a line and image."""

    def write(self, name: str, stamp: float, result: Result, row: dict[str, Any]) -> None:
        """Write one result."""
        self._out.write(json.dumps(row) + '\n')


class Csv(_Text):
    """A line for each object or class; nothing for an image without any."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._csv = csv.writer(self._out)
        self._csv.writerow(('source', 'stamp', 'class_id', 'label', 'score',
                            'x1', 'y1', 'x2', 'y2', 'id'))

    def write(self, name: str, stamp: float, result: Result, row: dict[str, Any]) -> None:
        """Write one result."""
        if result.task == 'embedding':
            raise InputError('CSV has columns for classes and boxes, not for embeddings; use '
                             '--results FILE.jsonl')
        for each in result.rows():
            self._csv.writerow((
                name, f'{stamp:.6f}', each['class_id'], each['label'], each['score'],
                *each.get('box', ('',) * 4), each.get('id', '')))


class Coco(_Text):
    """The COCO results format (https://cocodataset.org/#format-results): one list of boxes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._images = 0
        self._begin = '['

    def write(self, name: str, stamp: float, result: Result, row: dict[str, Any]) -> None:
        """Write one result; images count from 1."""
        self._images += 1
        if result.task != 'detection':
            raise InputError(f'COCO results are of detections, but this is {result.task}; use '
                             '--results FILE.jsonl or FILE.csv')
        for each in result.rows():
            x1, y1, x2, y2 = each['box']
            self._out.write(self._begin + '\n' + json.dumps({
                'image_id': self._images, 'file_name': name, 'category_id': each['class_id'],
                'bbox': [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)], 'score': each['score']}))
            self._begin = ','

    def close(self) -> None:
        """End the file."""
        self._out.write(('[' if self._begin == '[' else '') + '\n]\n')
        super().close()


_RESULTS: dict[str, Callable[[Path], Any]] = {'.jsonl': JsonLines, '.csv': Csv, '.json': Coco}


def results_file(text: str) -> Any:
    """Return what writes results to a file, by its suffix."""
    path = beside_something(text)
    if path.suffix.lower() not in _RESULTS:
        raise InputError(
            f'{path} cannot be written: results go to .jsonl (JSON lines), .csv, or .json (COCO '
            f'results), not to {path.suffix!r}')
    return _RESULTS[path.suffix.lower()](path)


class Images:
    """A directory of annotated images, named like their sources; one that exists is kept."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f'{path} cannot be written: {error.strerror}') from error
        self.path = path
        self._used: set[str] = set()

    def write(self, image: Image, name: str, stamp: float) -> None:
        """Write one image."""
        from ros2_classify.image_io import write_image

        path = Path(name)
        known = path.suffix.lower() in ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
        stem = re.sub(r'[^\w.-]+', '_', path.stem if known else path.name).strip('_.') or 'image'
        suffix = path.suffix if known else '.jpg'
        number, unique = 1, stem
        while unique + suffix in self._used:
            number += 1
            unique = f'{stem}_{number}'
        self._used.add(unique + suffix)
        write_image(self.path / (unique + suffix), image)

    def close(self) -> None:
        """Do nothing: each image is whole."""


class Video:
    """An annotated video; its size is that of the first image, others are fitted into it."""

    def __init__(self, path: Path, rate: float, live: bool) -> None:
        self.path = path
        self._file = PartFile(path)
        self._rate = rate
        self._live = live
        self._writer: Any = None
        self._begin = 0.0
        self._count = 0

    def write(self, image: Image, name: str, stamp: float) -> None:
        """Write one image; repeat it where a live source was slower than the video."""
        import cv2

        if self._writer is None:
            height, width = image.shape[:2]
            self._size = width - width % 2 or 2, height - height % 2 or 2
            self._begin = stamp
            self._writer = cv2.VideoWriter(
                str(self._file.part), cv2.VideoWriter.fourcc(*_CODECS[self.path.suffix.lower()]),
                self._rate, self._size)
            if not self._writer.isOpened():
                raise InputError(f'{self.path} cannot be written: this OpenCV has no encoder for '
                                 'it; use .avi, or a directory of images')
        fitted, times = self._fitted(image), 1
        if self._live:
            due = round((stamp - self._begin) * self._rate) + 1
            times = min(max(due - self._count, 0), _MOST_REPEATED)
            self._count = max(due, self._count)
        for _ in range(times):
            self._writer.write(fitted)

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.release()
            self._file.done()

    def _fitted(self, image: Image) -> Image:
        import cv2
        import numpy as np

        width, height = self._size
        rows, columns = image.shape[:2]
        if (columns, rows) == self._size:
            return image
        factor = min(width / columns, height / rows)
        if abs(columns - width) <= 1 and abs(rows - height) <= 1:
            return np.ascontiguousarray(image[:height, :width])
        small = cv2.resize(image, (max(round(columns * factor), 1), max(round(rows * factor), 1)),
                           interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        canvas = np.zeros((height, width, 3), np.uint8)
        top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
        canvas[top:top + small.shape[0], left:left + small.shape[1]] = small
        return canvas


def drawn(image: Image, result: Result, options: Options, *, stamp: float = 0.0,
          trails: Trails | None = None, **places: Any) -> Image:
    """Return a copy of an image with the result; ``places`` are for `draw_regions`."""
    from ros2_classify.preprocess.views import shown_tiles
    from ros2_classify.results.detections import Detections
    from ros2_classify.results.overlay import draw
    from ros2_classify.results.overlay_regions import draw_regions

    canvas = image.copy()
    draw_regions(
        canvas, roi=options.roi, tiles=shown_tiles(options, result.image_size), **places)
    if trails is not None and isinstance(result, Detections):
        trails.draw(canvas, result, stamp)
    return draw(canvas, result, copy=False)


def is_video(text: str) -> bool:
    """Return whether a path is one of the videos that can be written."""
    return Path(text).suffix.lower() in _CODECS


def drawings(text: str, rate: float, live: bool) -> Any:
    """Return what writes annotated images: a video by its suffix, or else a directory."""
    path = Path(os.path.expanduser(text))
    if is_video(text):
        return Video(beside_something(text), rate, live)
    if path.suffix and not path.is_dir() and not text.endswith('/'):
        raise InputError(
            f'{path} cannot be written: several images go into a directory, or into a video '
            f'({", ".join(_CODECS)})')
    return Images(path)


def refuse_overwriting(output: str | None, sources: Sequence[str]) -> None:
    """Raise `InputError` if an output would replace what it is made from."""
    if output is None or not os.path.exists(path := os.path.expanduser(output)):
        return
    for text in sources:
        source = os.path.expanduser(text)
        for each in [source] if os.path.exists(source) else glob.iglob(source, recursive=True):
            # Annotated images have the names of their sources; of a video, names of their own.
            images = each if os.path.isdir(each) else os.path.dirname(each) or '.'
            if os.path.samefile(path, each) or (
                    os.path.isdir(path) and os.path.samefile(path, images)
                    and not is_video(each)):
                raise InputError(
                    f'{output} cannot be written: the images are read from it, and would be '
                    'replaced; name another')


def beside_something(text: str) -> Path:
    path = Path(os.path.expanduser(text))
    if not path.parent.is_dir():
        raise InputError(
            f'{path} cannot be written: there is no directory {path.parent}; create it')
    if path.is_dir():
        raise InputError(f'{path} cannot be written: it is a directory; add a file name')
    return path
