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

"""Ids that stay with objects over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
import math

import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError, OptionsError
from ros2_classify.filters import class_filter
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options
from ros2_classify.results.detections import Detections
from ros2_classify.tracking.assignment import assign, Pairs
from ros2_classify.tracking.motion import Motion

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

# Intersection over union of a box with the expected one, from which they may be the same object:
# in general, by a low score, and where the classes differ.
_SAME = 0.3
_SAME_LOW = 0.4
_SAME_OTHER_CLASS = 0.5
# An object that was missed for a second must fit by this much better, and at most by that much.
_STRICTER = 1 / 3
_MOST_STRICT = 0.3
# A box that covers one of another class more than this is the same object once more.
_TWICE = 0.8
# Boxes grow by the doubt about the expected one, in object sizes, up to this.
_MOST_GROWTH = 0.25
# The share of `lost_seconds` for which a track that has no id yet is kept.
_UNCONFIRMED = 0.5
# After a gap of this many times `lost_seconds` without an image nothing is known any more.
_GAPS = 10.0


@dataclass(frozen=True)
class TrackOptions:
    """
    When boxes begin, continue and end tracks.

    Parameters
    ----------
    high : float
        From 0 to 1: boxes with this score begin tracks.
    low : float
        From 0 to 1: boxes with this score continue tracks; at most ``high``.
    lost_seconds : float
        Seconds for which a track is kept without a box.
    confirm : int
        In how many images an object must be found before it has an id.

    Raises
    ------
    OptionsError
        If a value is out of range.

    """

    high: float = 0.5
    low: float = 0.1
    lost_seconds: float = 1.0
    confirm: int = 2

    def __post_init__(self) -> None:
        """Check all ranges."""
        for name in ('high', 'low', 'lost_seconds'):
            value = getattr(self, name)
            most = 1.0 if name != 'lost_seconds' else 3600.0
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not (
                    0.0 <= value <= most):
                raise OptionsError(f'{name} is {value!r} but must be a number from 0 to {most:g}')
        if self.low > self.high:
            raise OptionsError(
                f'low is {self.low} but must be at most high, which is {self.high}')
        if isinstance(self.confirm, bool) or not isinstance(self.confirm, int) or not (
                1 <= self.confirm <= 1000):
            raise OptionsError(
                f'confirm is {self.confirm!r} but must be a whole number from 1 to 1000')


class Tracker:
    """
    Gives the objects of one camera ids that stay, in the manner of ByteTrack.

    Boxes of one image are compared with where a Kalman filter expects the known objects: first
    the boxes with high scores, then those with low ones, which continue tracks but never begin
    any. Time is that of the stamps, so dropped images and other rates lead to the same ids. A
    class that flickers keeps its id.

    Call it with all detections down to ``low``, such as from a pipeline with
    ``Options(score_threshold=0.1)``, and drop the weak ones afterwards.

    Parameters
    ----------
    high, low : float
        From 0 to 1: boxes from ``high`` begin tracks, from ``low`` they continue them.
    lost_seconds : float
        Seconds for which an id is kept while its object is not found.
    confirm : int
        In how many images an object must be found before it has an id.
    ids : iterator of int, optional
        Where new ids come from; by default 1, 2, 3, …

    Raises
    ------
    OptionsError
        If a value is out of range.

    References
    ----------
    Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", 2022,
    https://arxiv.org/abs/2110.06864; the filters, the comparison and the assignment are own ones.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Detections, Timing, Tracker
    >>> tracker = Tracker()
    >>> for frame in range(3):
    ...     found = Detections(
    ...         np.array([[10 + 5 * frame, 20, 60 + 5 * frame, 90]]), np.array([1]),
    ...         np.array([0.75]), np.array(['dog'], object), image_size=(640, 480),
    ...         timing=Timing(0.0, 0.0, 0.0))
    ...     print(tracker(found, stamp=frame / 30).track_ids)
    ['']
    ['1']
    ['1']

    """

    def __init__(self, high: float = 0.5, low: float = 0.1, lost_seconds: float = 1.0,
                 confirm: int = 2, *, ids: Iterator[int] | None = None) -> None:
        self.options = TrackOptions(high, low, lost_seconds, confirm)
        self._ids = count(1) if ids is None else ids
        self._stamp = math.nan
        self._forget()

    def _forget(self) -> None:
        self._motion = Motion()
        # For each track: its id or '', its class, in how many images it was found, when last, and
        # whether it was in the last image.
        self._names: list[str] = []
        self._classes = np.zeros(0, np.int64)
        self._hits = np.zeros(0, np.int64)
        self._seen = np.zeros(0)
        self._present = np.zeros(0, bool)

    @property
    def live_ids(self) -> frozenset[str]:
        """The ids of all objects that are found or may still be found again."""
        return frozenset(filter(None, self._names))

    def reset(self) -> None:
        """Forget all objects; their ids are not used again."""
        self._stamp = math.nan
        self._forget()

    def __call__(self, detections: Detections, stamp: float) -> Detections:
        """
        Find the objects of an image again.

        Parameters
        ----------
        detections : Detections
            Of the next image of the camera.
        stamp : float
            When the image was taken, in seconds. An earlier one than before resets the tracker.

        Returns
        -------
        Detections
            The same with ``track_ids``, which are empty for boxes without a confirmed track.

        Raises
        ------
        InputError
            If ``stamp`` is not finite.

        """
        if not math.isfinite(stamp):
            raise InputError(f'stamp is {stamp!r} but must be a finite number of seconds')
        passed = stamp - self._stamp
        if passed < 0 or passed > max(_GAPS * self.options.lost_seconds, 1.0):
            self._forget()
        elif passed > 0:
            self._motion.predict(passed)
        self._stamp = stamp
        # An image that comes twice confirms nothing; the first one has no time before it.
        track_of = self._update(detections, stamp, again=passed == 0)
        names = [self._names[track] if track >= 0 else '' for track in track_of.tolist()]
        self._drop(stamp)
        return replace(detections, track_ids=np.array(names, np.object_))

    def _update(self, detections: Detections, stamp: float, again: bool) -> Rows:
        """Match boxes with tracks and begin new ones; return the track of each row, or -1."""
        boxes = detections.boxes.astype(np.float64)
        scores, classes = detections.scores, detections.class_ids
        options = self.options
        # A model's score of 0.1 as float32 is above 0.1.
        strong = scores >= np.float32(options.high)
        track_of = np.full(len(boxes), -1, np.intp)
        confirmed = self._hits >= options.confirm
        was_present, self._present = self._present, np.zeros(len(self._names), bool)
        if len(self._names) and len(boxes):
            overlap = self._overlap(boxes, classes)
            missed = np.where(was_present, 0.0, stamp - self._seen)
            overlap -= np.minimum(_STRICTER * missed, _MOST_STRICT)[:, np.newaxis]
            weak = ~strong & (scores >= np.float32(options.low))
            for among, rows, least in (
                    (confirmed, strong, _SAME), (confirmed, weak, _SAME_LOW),
                    (~confirmed, strong, _SAME)):
                self._match(overlap, least, np.flatnonzero(among & ~self._present),
                            np.flatnonzero(rows & (track_of < 0)), track_of)
            found = np.flatnonzero(track_of >= 0)
            tracks = track_of[found]
            self._motion.correct(tracks, boxes[found])
            self._classes[tracks] = classes[found]
            self._hits[tracks] += not again
            self._seen[tracks] = stamp
        new = np.flatnonzero(strong & (track_of < 0))
        if len(new):
            new = new[~_seen_twice(boxes, track_of >= 0, new)]
        if len(new):
            track_of[new] = len(self._names) + np.arange(len(new))
            self._begin(boxes[new], classes[new], stamp)
        for track in np.flatnonzero(self._present & (self._hits >= options.confirm)).tolist():
            if not self._names[track]:
                self._names[track] = str(next(self._ids))
        return track_of

    def _overlap(self, boxes: Array, classes: NDArray[np.int64]) -> Array:
        """Return the intersection over union of expected and found boxes, 0 where it is absurd."""
        expected = self._motion.boxes
        growth = np.minimum(self._motion.doubt(), _MOST_GROWTH)
        overlap = _grown_iou(expected, boxes, growth)
        others = self._classes[:, np.newaxis] != classes
        overlap[others & (overlap < _SAME_OTHER_CLASS)] = 0.0
        # Of two that fit equally well, the one of the same class.
        overlap[others] *= 0.8
        return overlap

    def _match(self, overlap: Array, least: float, tracks: Rows, rows: Rows,
               track_of: Rows) -> None:
        """Pair some tracks with some rows."""
        if not len(tracks) or not len(rows):
            return
        chosen: Pairs = assign(overlap[tracks[:, np.newaxis], rows] - least)
        track_of[rows[chosen[1]]] = tracks[chosen[0]]
        self._present[tracks[chosen[0]]] = True

    def _begin(self, boxes: Array, classes: NDArray[np.int64], stamp: float) -> None:
        self._motion.add(boxes)
        count = len(boxes)
        self._names += [''] * count
        self._classes = np.concatenate((self._classes, classes))
        self._hits = np.concatenate((self._hits, np.ones(count, np.int64)))
        self._seen = np.concatenate((self._seen, np.full(count, stamp)))
        self._present = np.concatenate((self._present, np.ones(count, bool)))

    def _drop(self, stamp: float) -> None:
        """Forget tracks that were not found for long."""
        patience = np.where(self._hits >= self.options.confirm, 1.0, _UNCONFIRMED)
        kept = self._present | (
            stamp - self._seen <= patience * self.options.lost_seconds)
        if kept.all():
            return
        self._motion.keep(kept)
        self._names = [name for name, keep in zip(self._names, kept.tolist()) if keep]
        self._classes, self._hits = self._classes[kept], self._hits[kept]
        self._seen, self._present = self._seen[kept], self._present[kept]


def _grown_iou(first: Array, second: Array, growth: Array) -> Array:
    """Return the intersection over union of each with each, both grown by a share of the first."""
    # The two axes in front: small arrays of three dimensions are slow the other way round.
    low, high = first.T.reshape(2, 2, -1, 1)
    other_low, other_high = second.T.reshape(2, 2, 1, -1)
    size, other_size = high - low, other_high - other_low
    more = growth[:, np.newaxis] * size
    shared = np.minimum(high, other_high)
    shared -= np.maximum(low, other_low)
    shared += more
    np.maximum(shared, 0.0, out=shared)
    size = size + more
    other_size = other_size + more
    area = shared[0] * shared[1]
    both = other_size[0] * other_size[1]
    both += size[0] * size[1]
    both -= area
    return np.asarray(area / np.maximum(both, 1e-9, out=both))


def _seen_twice(boxes: Array, matched: NDArray[np.bool_], new: Rows) -> NDArray[np.bool_]:
    """Return which new rows are about an object that has a track, with another class."""
    others = boxes[matched]
    if not len(others):
        return np.zeros(len(new), bool)
    overlap = _grown_iou(others, boxes[new], np.zeros(len(others)))
    return np.asarray((overlap >= _TWICE).any(axis=0))


def lowered_options(options: Options, low: float) -> Options:
    """Return the options of a call whose detections are for a tracker."""
    thresholds = {name: min(score, low) for name, score in options.class_thresholds.items()}
    return options.replace(
        score_threshold=min(options.score_threshold, low), class_thresholds=thresholds)


def wanted_results(found: Detections, options: Options, labels: Labels | None) -> Detections:
    """Return the detections that the options of the caller ask for."""
    classes = class_filter(options, labels)
    rows: NDArray[np.bool_] = (
        found.scores >= np.float32(options.score_threshold) if classes is None
        else classes.passes(found.class_ids, found.scores))
    return found if rows.all() else found.select(rows)
