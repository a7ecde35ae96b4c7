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
The benchmark's images, prepared once: brought to size and encoding, and kept in one file.

Camera and bare loop map the file, so that both work on the same bytes and neither spends time on
decoding. No image is sent over and over: where the source has few, they are varied by shift,
mirror and brightness, as a moving camera's are.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
import hashlib
from itertools import islice
import json
from pathlib import Path
import sys
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError, Ros2ClassifyError
from ros2_classify.paths import shipped_directory
from ros2_classify.sources import open_source, Size
from ros2_classify.sources.image_messages import to_array
from ros2_classify_benchmark.nodes.bag import images_of_bag, is_bag
from ros2_classify_benchmark.nodes.helper import result

Pixels = NDArray[np.uint8]

INDEX = 'frames.json'
PIXELS = 'frames.bin'

_MOST = 64
_FEWEST = 8
_MOST_BYTES = 96 * 2**20
_JPEG_QUALITY = 90
_EVEN = ('bayer_rggb8', 'yuv422')


def _uyvy(bgr: Pixels) -> Pixels:
    # OpenCV has no such conversion before 4.8; that to 4:2:0 has the same range of values.
    height, width = bgr.shape[:2]
    planes = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)).reshape(-1)
    chroma = planes[height * width:].reshape(2, height // 2, width // 2).repeat(2, axis=1)
    packed = np.empty((height, width, 2), np.uint8)
    packed[..., 1] = planes[:height * width].reshape(height, width)
    packed[:, 0::2, 0], packed[:, 1::2, 0] = chroma
    return packed


def _mosaic(bgr: Pixels) -> Pixels:
    mosaic = bgr[..., 1].copy()
    mosaic[0::2, 0::2] = bgr[0::2, 0::2, 2]
    mosaic[1::2, 1::2] = bgr[1::2, 1::2, 0]
    return mosaic


# From BGR to what the message holds.
ENCODERS: dict[str, Callable[[Pixels], Any]] = {
    'bgr8': lambda bgr: bgr,
    'rgb8': lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB),
    'bgra8': lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA),
    'rgba8': lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA),
    'mono8': lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
    'bayer_rggb8': _mosaic,
    'yuv422': _uyvy,
}


def prepare(
        directory: str, source: str, width: int, height: int, encoding: str, transport: str,
        topic: str = '') -> dict[str, Any]:
    """Write the images of a run."""
    if (width % 2 or height % 2) and encoding in _EVEN:
        raise InputError(f'{encoding} images have even sides, and {width}x{height} has not')
    count = min(_MOST, max(_FEWEST, _MOST_BYTES // (width * height * 3)))
    title, images = _open(source, topic)
    size = Size(width, height)
    originals = [size.apply(image) for image in islice(images, count)]
    if not originals:
        raise InputError(f'{title} holds no image')
    digest, entries, offset = hashlib.sha256(), [], 0
    with (Path(directory) / PIXELS).open('wb') as file:
        for number in range(count):
            image = _varied(originals[number % len(originals)], number // len(originals))
            encoded = np.ascontiguousarray(ENCODERS[encoding](image))
            step = encoded.nbytes // height
            if transport == 'compressed':
                shown = encoded if encoding == 'mono8' else image
                encoded = cv2.imencode(
                    '.jpg', shown, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
            data = encoded.tobytes()
            digest.update(data)
            file.write(data)
            entries.append([offset, len(data)])
            offset += len(data)
    index = {
        'source': title, 'count': count, 'originals': len(originals), 'width': width,
        'height': height, 'step': step, 'encoding': encoding, 'transport': transport,
        'sha256': digest.hexdigest(), 'frames': entries}
    (Path(directory) / INDEX).write_text(json.dumps(index))
    return {key: value for key, value in index.items() if key != 'frames'}


class Frames:
    """
    The prepared images.

    Parameters
    ----------
    directory : str
        Where they are.

    """

    def __init__(self, directory: str) -> None:
        self.index = json.loads((Path(directory) / INDEX).read_text())
        self._bytes = cast(Any, np.memmap(Path(directory) / PIXELS, np.uint8, 'r'))

    def __len__(self) -> int:
        return int(self.index['count'])

    def bytes_of(self, number: int) -> memoryview:
        """Return an image's bytes, counted on past the last one."""
        offset, length = self.index['frames'][number % len(self)]
        return memoryview(self._bytes)[offset:offset + length]

    def pixels(self, number: int) -> Any:
        """Return a raw image as an array, shape (height, width) or (height, width, channels)."""
        pixels, _ = to_array(self.like_message(number))
        return pixels

    def like_message(self, number: int) -> Any:
        """Return what has an image message's fields, for readers of messages."""
        index = self.index
        return SimpleNamespace(
            data=self.bytes_of(number), height=index['height'], width=index['width'],
            step=index['step'], encoding=index['encoding'], is_bigendian=0, format='jpeg')

    def message(self, number: int) -> Any:
        """Return an image as a message; its header is empty."""
        from sensor_msgs.msg import CompressedImage, Image

        data = array('B')
        data.frombytes(self.bytes_of(number))
        if self.index['transport'] == 'compressed':
            return CompressedImage(format='jpeg', data=data)
        return Image(
            height=self.index['height'], width=self.index['width'], step=self.index['step'],
            encoding=self.index['encoding'], data=data)


def _open(source: str, topic: str) -> tuple[str, Iterator[Pixels]]:
    if source and is_bag(source):
        return f'bag {Path(source).name}', images_of_bag(source, topic)
    if topic:
        raise InputError(f'a topic of images needs a bag: {source or "no source"} is not a bag')
    if not source:
        models = shipped_directory()
        if models is None:
            raise InputError('the package was installed without its sample images; use --images')
        opened = open_source(str(models / 'scenes'), Size(), _say)  # words: old
        return 'the sample images', _read(opened)
    opened = open_source(source, Size(), _say)
    return Path(source).name, _read(opened)


def _read(opened: Any) -> Iterator[Pixels]:
    try:
        for frame in opened.frames():
            image = frame.read()
            if image is not None:
                yield image
    finally:
        opened.close()


def _varied(image: Pixels, round_: int) -> Pixels:
    """Return the image as it is in round 0, and another one made of it in every later round."""
    if not round_:
        return image
    varied = np.roll(image, (7 * round_, 13 * round_), (0, 1))
    if round_ % 2:
        varied = varied[:, ::-1]
    return np.asarray(cv2.convertScaleAbs(varied, alpha=1.0 - 0.02 * (round_ % 5)), np.uint8)


def _say(text: str) -> None:
    print(f'ros2_classify: {text}', file=sys.stderr)


if __name__ == '__main__':
    try:
        result({'result': prepare(**json.loads(sys.argv[1]))})
    except Ros2ClassifyError as problem:
        result({'error': str(problem)})
