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

"""Recordings in pieces: a file of a bag, a video, some images of a directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import glob
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify import InputError, read_image
from ros2_classify.image_io import VIDEO_SUFFIXES
from ros2_classify.sources import is_bag, KINDS, open_source
from ros2_classify_evaluation.datasets.base import IMAGE_SUFFIXES, images_in

IMAGES = 500  # of a directory, in a piece
_STORAGES = ('*.mcap', '*.db3')


@dataclass(frozen=True)
class Piece:
    """What one worker labels at a time: a recording, or the named images of a directory."""

    path: str  # absolute, as all workers see it
    images: tuple[str, ...] = ()
    topic: str = ''

    def name(self, key: str) -> str:
        """Return the name of its labels, from what it is and what labels it."""
        files = [Path(self.path) / each for each in self.images] or [Path(self.path)]
        # Reading terabytes to know whether they are the same would cost more than labelling them.
        about = [[each.name, (stat := each.stat()).st_size, stat.st_mtime_ns] for each in files]
        text = json.dumps([self.path, self.topic, about, key])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def __str__(self) -> str:
        """Return what a message calls it."""
        return f'{self.path} ({self.images[0]} to {self.images[-1]})' if self.images else self.path


class Image(NamedTuple):
    """An image of a piece; `pixels` are None if it can't be read, `stamp` is nan without one."""

    number: int
    name: str
    stamp: float
    pixels: NDArray[np.uint8] | None


def expand(sources: Sequence[str], topic: str = '') -> list[Piece]:
    """Return the pieces of what a user named, each once, in a fixed order."""
    found: dict[Piece, None] = {}
    for text in sources:
        path = Path(text).expanduser()
        paths = [path] if path.exists() else [Path(each) for each in sorted(glob.glob(str(path)))]
        pieces = [piece for each in paths for piece in _pieces(each.absolute(), topic)]
        if not pieces:
            raise InputError(f'there are no recordings at {text!r}: give bags, videos, '
                             f'directories of images or of recordings, or a pattern')
        found.update(dict.fromkeys(pieces))
    return list(found)


def _pieces(path: Path, topic: str) -> Iterator[Piece]:
    if not path.is_dir() and path.suffix.lower() in IMAGE_SUFFIXES:
        yield Piece(str(path.parent), (path.name,))
    elif not path.is_dir():
        yield Piece(str(path), (), topic if is_bag(path) else '')
    elif is_bag(path):
        # The files of a bag, so that a damaged one costs nothing of the others.
        yield from (Piece(str(file), (), topic) for pattern in _STORAGES
                    for file in sorted(path.glob(pattern)))
    else:
        images = [image.name for image in images_in(path)]
        for first in range(0, len(images), IMAGES):
            yield Piece(str(path), tuple(images[first:first + IMAGES]))
        for each in sorted(path.iterdir()):
            if is_bag(each) or each.suffix.lower() in VIDEO_SUFFIXES:
                yield from _pieces(each, topic)


def images_of(piece: Piece) -> Iterator[Image]:
    """Go through a piece; InputError if it is damaged."""
    if piece.images:
        for number, name in enumerate(piece.images):
            try:
                pixels = read_image(str(Path(piece.path) / name))
            except InputError:
                yield Image(number, name, float('nan'), None)
            else:
                yield Image(number, name, float('nan'), pixels)
        return
    source = open_source(piece.path, warn=lambda text: None, topic=piece.topic)
    try:
        if source.live:
            raise InputError(f'{source.name} is live; {KINDS}')
        number = -1
        for number, frame in enumerate(source.frames()):
            yield Image(number, f'{Path(piece.path).name}#{number}', frame.stamp, frame.read())
        if source.length is not None and number + 1 < 0.9 * source.length:
            raise InputError(f'{piece.path} is damaged: {number + 1} of {source.length} images '
                             'can be read')
    finally:
        source.close()
