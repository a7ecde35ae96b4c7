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

"""Which images are worth labelling; a thread of its own looks at them and has them written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
import queue
import threading
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import OptionsError
from ros2_classify.keeping.stores import Candidate, FullError, Store

_SIDE, _LOW = 32, 8
# From this doubt a result is uncertain, and from this many of 64 bits an image has changed.
_UNSURE = 0.6
_CHANGED = 8
# How many images wait to be looked at and written.
_WAITING = 4
_KINDS = 'uncertain, changed, or every N (seconds), several separated by commas'


@dataclass(frozen=True)
class KeepRules:
    """Which images are kept; `every` is in seconds, 0: none for that reason."""

    uncertain: bool = False
    changed: bool = False
    every: float = 0.0

    @classmethod
    def parse(cls, text: str) -> KeepRules:
        """Read such as ``uncertain, every 30``; OptionsError if it is something else."""
        values: dict[str, Any] = {}
        for word in filter(None, (each.strip() for each in text.split(','))):
            name, _, number = word.partition(' ')
            try:
                values[name] = float(number) if name == 'every' else True
            except ValueError:
                values[name] = math.nan
            if name not in ('uncertain', 'changed', 'every') or (number and name != 'every') or (
                    name == 'every' and not 0 < values[name] <= 86400):
                raise OptionsError(f'keep has {word!r} but must be {_KINDS}')
        return cls(**values)


def doubt(result: Any) -> float:
    """
    Return how near a result is to another one, from 0 to 1.

    Of classes the margin between the best two counts, of boxes the score nearest to a half.
    """
    if not len(result):
        return 0.0
    scores = result.scores.astype(float)
    if result.task == 'classification':
        second = scores[1] if len(scores) > 1 else 1 - scores[0]
        return float(np.clip(1 - (scores[0] - second), 0, 1))
    return float(np.clip(1 - 2 * np.abs(scores - 0.5), 0, 1).max())


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """Return 64 bits: which low frequencies of a BGR image are above their median."""
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_LOW, :_LOW]
    bits = (low > np.median(low)).ravel()
    return int(np.packbits(bits).view('>u8')[0])


class Keeper:
    """
    Looks at images and writes some of them, in a thread of its own.

    `offer` only puts an image into a short queue: if that is full, the image is not looked at.
    At most one image for each `period` (in seconds of the stamps) is kept. `say` gets a sentence
    when the directory is full or can't be written.
    """

    def __init__(self, store: Store, rules: KeepRules, period: float,
                 say: Callable[[str], Any]) -> None:
        self._store, self._rules, self._period = store, rules, period
        self._say = say
        self._queue: queue.Queue[Candidate | None] = queue.Queue(_WAITING)
        self._last: int | None = None
        self._hash: int | None = None
        self._full = False
        self.kept = 0
        self._thread = threading.Thread(target=self._run, name='keep', daemon=True)
        self._thread.start()

    def offer(self, candidate: Candidate) -> None:
        """Let an image be looked at, unless it can't be kept anyway; returns at once."""
        if self._full or not self._due(candidate):
            return
        try:
            self._queue.put_nowait(candidate)
        except queue.Full:
            pass

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _due(self, candidate: Candidate) -> bool:
        """Tell whether enough time has passed; going back begins again."""
        if self._last is None or candidate.stamp < self._last:
            return True
        return candidate.stamp - self._last >= self._period * 1e9

    def _run(self) -> None:
        while (candidate := self._queue.get()) is not None:
            if self._full or not self._due(candidate):
                continue
            try:
                self._look(candidate)
            except FullError as error:
                self._full = True
                self._say(str(error))
            except Exception as error:  # noqa: B902 - keeping must never stop the camera
                self._full = True
                self._say(f'no more images are kept in {self._store.directory}: {error}')

    def _look(self, candidate: Candidate) -> None:
        image = candidate.read()
        unsure = doubt(candidate.result)
        bits = perceptual_hash(image) if self._rules.changed else 0
        reasons = [name for name, holds in (
            ('uncertain', self._rules.uncertain and unsure >= _UNSURE),
            ('changed', self._rules.changed and (
                self._hash is None or (bits ^ self._hash).bit_count() >= _CHANGED)),
            ('every', self._rules.every and (
                self._last is None or candidate.stamp < self._last
                or candidate.stamp - self._last >= self._rules.every * 1e9))) if holds]
        if not reasons:
            return
        if self._store.add(candidate, image, {
                'reasons': reasons, 'doubt': round(unsure, 4), 'model': candidate.model}):
            self._last, self._hash = candidate.stamp, bits
            self.kept += 1
