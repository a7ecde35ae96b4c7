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

"""Where images are kept: PNG files with an index, or recordings; both within a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError, OptionsError
from ros2_classify.keeping.mcap import mend, Message, Recording

_INDEX = 'kept.jsonl'
# Images of a recording: what follows the last one is written again with each.
_MOST_IMAGES = 200


@dataclass(frozen=True)
class Candidate:
    """
    An image, decoded only if it is looked at; `stamp` is in nanoseconds.

    `messages` makes the ROS messages of a recording from the PNG file and why it is kept.
    """

    read: Callable[[], NDArray[np.uint8]]
    result: Any
    stamp: int
    model: str
    messages: Callable[[bytes, dict[str, Any]], Sequence[Message]] | None = None


class FullError(Exception):
    """There is no room for one image more."""


class Store:
    """A directory that never takes more than `most` bytes; nothing in it is ever deleted."""

    def __init__(self, directory: Path, most: int) -> None:
        self.directory, self._most = directory, most
        self._used: int | None = None

    def add(self, candidate: Candidate, image: NDArray[np.uint8], about: dict[str, Any]) -> bool:
        """Write an image if there is room (else FullError); False if it is there already."""
        if self._used is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._open()
            self._used = sum(each.stat().st_size for each in self.directory.iterdir())
        data = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        added = self._write(candidate, data, about)
        self._used += added
        return added > 0

    def _open(self) -> None:
        """Look at what earlier runs left."""

    def _write(self, candidate: Candidate, data: bytes, about: dict[str, Any]) -> int:
        """Return how many bytes it took; 0 if the image is there."""
        raise NotImplementedError

    def _reserve(self, more: int) -> int:
        assert self._used is not None
        if self._used + more > self._most:
            raise FullError(
                f'{self.directory} is full: it has {self._used / 1e6:.1f} MB, the bound is '
                f'{self._most / 1e6:g} MB; no more images are kept: move them away (curate '
                'chooses among them) and start again, or raise keep_megabytes')
        return more


class PngStore(Store):
    """A PNG file for each image, and a line of an index."""

    def _write(self, candidate: Candidate, data: bytes, about: dict[str, Any]) -> int:
        name = f'{_name(candidate.stamp)}.png'
        path = self.directory / name
        if path.exists():
            return 0
        line = (json.dumps({'file': name, 'stamp': candidate.stamp, **about}) + '\n').encode()
        size = self._reserve(len(data) + len(line))
        temporary = path.with_suffix('.part')
        try:
            temporary.write_bytes(data)
            with (self.directory / _INDEX).open('ab') as index:
                index.write(line)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return size


class McapStore(Store):
    """Recordings with the images, their results, and why they were kept."""

    def __init__(self, directory: Path, most: int, say: Callable[[str], Any]) -> None:
        super().__init__(directory, most)
        self._say = say
        self._stamps: set[int] = set()
        self._recording: Recording | None = None
        self._size = 0

    def _open(self) -> None:
        for path in sorted(self.directory.glob('*.mcap')):
            try:
                self._stamps.update(mend(path))
            except (InputError, OSError) as error:
                self._say(f'{error}; it stays as it is')

    def _write(self, candidate: Candidate, data: bytes, about: dict[str, Any]) -> int:
        stamp = candidate.stamp
        if stamp in self._stamps:
            return 0
        if candidate.messages is None:
            raise InputError('recordings need messages')
        messages = candidate.messages(data, about)
        recording = self._recording
        if recording is None or len(recording.chunks) >= _MOST_IMAGES:
            recording, self._size = Recording(self._free(stamp)), 0
            recording.begin(messages)
        growth = recording.grow(stamp, messages)
        more = self._reserve(growth.size - self._size)
        try:
            recording.append(growth)
        except OSError:
            # Such as a full disk: what was kept stays readable.
            if recording.chunks:
                mend(recording.path)
            raise
        self._recording, self._size = recording, growth.size
        self._stamps.add(stamp)
        return more

    def _free(self, stamp: int) -> Path:
        """Return a name that no file has: never is a recording replaced."""
        name, number = _name(stamp), 1
        while (path := self.directory / f'{name}.mcap').exists():
            name, number = f'{_name(stamp)}-{number}', number + 1
        return path


def _name(stamp: int) -> str:
    return f'{stamp // 10**9}.{stamp % 10**9:09d}'


FORMATS = ('png', 'mcap')


def make_store(form: str, directory: Path, most: int, say: Callable[[str], Any]) -> Store:
    """Return what writes images of a format; OptionsError if there is none."""
    if form == 'png':
        return PngStore(directory, most)
    if form == 'mcap':
        return McapStore(directory, most, say)
    raise OptionsError(f'keep_format is {form!r} but must be {" or ".join(FORMATS)}')
