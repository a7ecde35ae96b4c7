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

"""What a client that looks at a camera wants to see, and what it has seen so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
import time
from typing import Any, NamedTuple

import numpy as np
from ros2_classify.limits import shown
from ros2_classify.model.labels import Labels
from ros2_classify.results.results import (
    Classification, Detections, Embedding, Result, Segmentation)
from ros2_classify.ros.server.output import Published

# Values of the field `outcome` of Look and LookUntil.
COULD_NOT_LOOK, FOUND, NOT_FOUND = 0, 1, 2

# An image whose brightest sampled pixel is not above this shows nothing: a lens cap has noise.
_DARK = 16
_SAMPLES = 64
# By this number of seconds a stamp may be ahead of the node's clock.
_AHEAD = 0.5
# Images that have stopped for this number of seconds, or of intervals, tell nothing of now.
_STOPPED = 2.0
_INTERVALS = 3.0


class Sight(NamedTuple):
    """What one image shows: the result, reduced to what is looked for; or why it tells nothing."""

    result: Result | None = None
    header: Any = None
    class_id: str = ''
    score: float = 0.0  # of the best that is looked for; 0 if nothing is seen
    name: str = ''  # of the best
    problem: str = ''
    final: bool = False  # the next image would have the same problem
    places: Any = None  # of the result, if it has what is looked for and positions are wanted

    @property
    def seen(self) -> bool:
        """Whether it shows what is looked for."""
        return bool(self.name)

    @property
    def placed(self) -> bool:
        """Whether an object of the result has a position."""
        return self.places is not None and not all(self.places.missing)


@dataclass(frozen=True)
class Question:
    """What is looked for: any of these classes, or anything; in images not older than this."""

    classes: tuple[str, ...] = ()
    max_age: float = 0.0
    positions: bool = False  # whether it is to have one

    def look(self, published: Published, topic: str, age: float | None) -> Sight:
        """Look at a result whose image was this old when it came; None: without a stamp."""
        if problem := self._age_problem(topic, age):
            return Sight(problem=problem)
        sight = self._sight(published)
        if not sight.seen and _is_dark(published.pixels):
            return Sight(problem=(
                f'the image on {topic} is dark: no sampled pixel is brighter than {_DARK} of 255; '
                'uncover the lens, switch the light on, or set the exposure'))
        return sight

    def recall(self, published: Published, age: float) -> Sight | None:
        """Return what a result of before shows, if it is new enough and shows it."""
        if not -_AHEAD <= age <= self.max_age:
            return None
        sight = self._sight(published)
        return sight if sight.seen else None

    def _sight(self, published: Published) -> Sight:
        result = published.result
        rows = _wanted(result, self.classes)
        places = published.places if rows and self.positions else None
        if isinstance(result, Detections) and len(rows) < len(result):
            kept = np.array(rows, int)
            result, places = result.select(kept), places and places.select(kept)
            rows = list(range(len(rows)))
        score, name = 0.0, ''
        if rows and not isinstance(result, Embedding):
            best = max(rows, key=result.scores.tolist().__getitem__)
            score, name = float(result.scores[best]), str(result.labels[best])
        return Sight(result, published.header, published.class_id, score, name, places=places)

    def _age_problem(self, topic: str, age: float | None) -> str:
        if not self.max_age or age is None:
            return ''
        if age > self.max_age:
            return (f'the newest image on {topic} is {age:.1f} s old by its stamp, but max_age is '
                    f'{self.max_age:g} s: give a larger max_age, or synchronize the clocks')
        if age < -_AHEAD:
            return (f'the newest image on {topic} has a stamp {-age:.1f} s in the future: its age '
                    'is unknown; synchronize the clocks, or give max_age 0')
        return ''

    def unknown(self, labels: Labels | None, more: Sequence[str] = ()) -> str:
        """Return which class neither model nor stages know, with the nearest name; or nothing."""
        named = [] if labels is None else [name for _, name in labels.items()]
        known = [*named, *more]
        for name in self.classes:
            # Classes without names are seen as their numbers.
            if name in known or not named and name.isdecimal():
                continue
            said = repr(shown(name, 80))
            if not named:
                return (f'the model has no class {said}: its classes have no names; give their '
                        'numbers, such as 0, or a descriptor with labels')
            near = get_close_matches(name[:80], known, 1, 0.5)
            return f'the model has no class {said}: ' + (
                f'did you mean {near[0]!r}?' if near else
                f'it has {", ".join(known[:8])}{", …" if len(known) > 8 else ""}')
        return ''

    def __str__(self) -> str:
        """Return it as in ``no cup or ball``."""
        return ' or '.join(self.classes) or 'object or class'


def _wanted(result: Result, classes: Sequence[str]) -> list[int]:
    """Return the rows of a result that show one of the classes; without any, those of a thing."""
    if isinstance(result, Embedding):
        return []
    rows = [row for row, label in enumerate(result.labels.tolist())
            if (label in classes or _said(result, row) & set(classes) if classes
                else not _is_background(result, row))]
    # Of a classification, a class that another one is more likely than is not seen.
    return [row for row in rows if row == 0] if isinstance(result, Classification) else rows


def _said(result: Result, row: int) -> set[str]:
    """Return what the stages of a cascade say of an object."""
    return {label for _, label, _, _ in result.said(row)} if isinstance(
        result, Detections) else set()


def _is_background(result: Result, row: int) -> bool:
    return isinstance(result, Segmentation) and result.class_ids[row] == result.background


def _is_dark(pixels: Any) -> bool:
    """Tell from a sample of the pixels whether an image is as dark as one of a covered lens."""
    height, width = pixels.shape[:2]
    sample = pixels[::max(1, height // _SAMPLES), ::max(1, width // _SAMPLES)]
    return int(sample[..., :3].max() if sample.ndim == 3 else sample.max()) <= _DARK


class Tally:
    """Counts images until something was seen in `times` of the newest `images` (0: of all)."""

    def __init__(self, times: int, images: int) -> None:
        self._times = max(1, times)
        self._window: deque[bool] = deque(maxlen=images or self._times)
        self._in_window = 0
        self._all = not images
        self.images = 0
        self.seen = 0
        self.best: Sight | None = None
        self.best_score = 0.0
        self.newest: Sight | None = None
        self.problem = ''  # of the last image; empty if it could be looked at
        self.problems = 0
        self._begun = self._last = time.monotonic()
        self._interval = 0.0

    def add(self, sight: Sight) -> None:
        """Count what an image shows, or that it tells nothing."""
        self.problem = sight.problem
        if sight.problem:
            self.problems += 1
            return
        now = time.monotonic()
        if self.images:
            self._interval = max(self._interval, now - self._last)
        self._last = now
        self.images += 1
        if len(self._window) == self._window.maxlen:
            self._in_window -= self._window[0]
        self._window.append(sight.seen)
        self._in_window += sight.seen
        if sight.seen:
            self.seen += 1
            self.best_score = max(self.best_score, sight.score)
            self.newest = sight

    @property
    def enough(self) -> bool:
        """Whether it was seen often enough."""
        return (self.seen if self._all else self._in_window) >= self._times

    def gap(self) -> str:
        """Return why not having seen it says little: too few images, or none of late; or ''."""
        also = f'; {self.problems} could not be looked at: {self.problem}' if self.problem else ''
        if self.images < self._times:
            return (f'{self.images} image{"" if self.images == 1 else "s"} could be looked at, '
                    f'too few to see it {self._times} times{also}')
        silent = time.monotonic() - self._last
        if silent > max(_STOPPED, _INTERVALS * self._interval):
            return f'the last image that could be looked at came {silent:.1f} s ago{also}'
        return ''


def times_problem(times: int, images: int) -> str:
    """Return why these numbers can't be met, or nothing."""
    if images and times > images:
        return f'seen {times} times in {images} images cannot be: give images 0 or at least times'
    return ''
