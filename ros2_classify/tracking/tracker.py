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
from dataclasses import dataclass
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
from ros2_classify.tracking.motion import centered, Motion

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
        return detections.with_track_ids(names)

    def _update(self, detections: Detections, stamp: float, again: bool) -> Rows:
        """Match boxes with tracks and begin new ones; return the track of each row, or -1."""
        options = self.options
        # Sides in front, and few large steps: with cold caches each call of NumPy takes 5 us.
        boxes = detections.boxes.T.astype(np.float64)
        measured = centered(boxes)
        scores, classes = detections.scores, detections.class_ids
        # A model's score of 0.1 as float32 is above 0.1.
        strong = scores >= np.float32(options.high)
        track_of = np.full(len(scores), -1, np.intp)
        was_present, self._present = self._present, np.zeros(len(self._names), bool)
        if len(self._names) and len(scores):
            overlap = self._overlap(boxes, measured, classes)
            if not was_present.all():
                missed = np.where(was_present, 0.0, stamp - self._seen)
                overlap -= np.minimum(_STRICTER * missed, _MOST_STRICT)[:, np.newaxis]
            self._match_all(overlap, strong, scores, track_of)
            found = (track_of >= 0).nonzero()[0]
            tracks = track_of[found]
            self._motion.correct(tracks, measured[:, found])
            self._classes[tracks] = classes[found]
            self._hits[tracks] += not again
            self._seen[tracks] = stamp
        new = (strong & (track_of < 0)).nonzero()[0]
        if len(new):
            new = new[~_seen_twice(boxes, track_of >= 0, new)]
        if len(new):
            track_of[new] = len(self._names) + np.arange(len(new))
            self._begin(measured[:, new], classes[new], stamp)
        if '' in self._names:
            self._name()
        return track_of

    def _overlap(self, boxes: Array, measured: Array, classes: NDArray[np.int64]) -> Array:
        """Return the intersection over union of expected and found boxes, 0 where it is absurd."""
        expected = self._motion.state[0]
        size = np.maximum(expected[2:], 1.0)
        half = 0.5 * size
        growth = np.minimum(self._motion.doubt(), _MOST_GROWTH)
        overlap = _grown_iou(
            expected[:2] - half, expected[:2] + half, size, boxes[:2], boxes[2:], measured[2:],
            growth)
        others = self._classes[:, np.newaxis] != classes
        if others.any():
            overlap[others & (overlap < _SAME_OTHER_CLASS)] = 0.0
            # Of two that fit equally well, the one of the same class.
            overlap[others] *= 0.8
        return overlap

    def _match_all(self, overlap: Array, strong: NDArray[np.bool_], scores: NDArray[np.float32],
                   track_of: Rows) -> None:
        """Pair confirmed tracks with strong rows, then with weak ones, then the other tracks."""
        confirmed = self._hits >= self.options.confirm
        if confirmed.all() and strong.all():
            self._pair(assign(overlap - _SAME), track_of)
            return
        weak = ~strong & (scores >= np.float32(self.options.low))
        for among, rows, least in (
                (confirmed, strong, _SAME), (confirmed, weak, _SAME_LOW),
                (~confirmed, strong, _SAME)):
            tracks = (among & ~self._present).nonzero()[0]
            left = (rows & (track_of < 0)).nonzero()[0]
            if len(tracks) and len(left):
                chosen, found = assign(overlap[tracks[:, np.newaxis], left] - least)
                self._pair((tracks[chosen], left[found]), track_of)

    def _pair(self, pairs: Pairs, track_of: Rows) -> None:
        tracks, rows = pairs
        track_of[rows] = tracks
        self._present[tracks] = True

    def _name(self) -> None:
        """Give new ids to those that have been found often enough."""
        due = self._present & (self._hits >= self.options.confirm)
        for track in due.nonzero()[0].tolist():
            if not self._names[track]:
                self._names[track] = str(next(self._ids))

    def _begin(self, measured: Array, classes: NDArray[np.int64], stamp: float) -> None:
        self._motion.add(measured)
        count = len(classes)
        self._names += [''] * count
        self._classes = np.concatenate((self._classes, classes))
        self._hits = np.concatenate((self._hits, np.ones(count, np.int64)))
        self._seen = np.concatenate((self._seen, np.full(count, stamp)))
        self._present = np.concatenate((self._present, np.ones(count, bool)))

    def _drop(self, stamp: float) -> None:
        """Forget tracks that were not found for long."""
        if self._present.all():
            return
        patience = np.where(self._hits >= self.options.confirm, 1.0, _UNCONFIRMED)
        kept = self._present | (
            stamp - self._seen <= patience * self.options.lost_seconds)
        if kept.all():
            return
        self._motion.keep(kept)
        self._names = [name for name, keep in zip(self._names, kept.tolist()) if keep]
        self._classes, self._hits = self._classes[kept], self._hits[kept]
        self._seen, self._present = self._seen[kept], self._present[kept]


def _grown_iou(low: Array, high: Array, size: Array, other_low: Array, other_high: Array,
               other_size: Array, growth: Array) -> Array:
    """Return the intersection over union of each with each, both grown by a share of the first."""
    # The two axes in front, then the first ones, then the others.
    more = (growth * size)[:, :, np.newaxis]
    shared = np.minimum(high[:, :, np.newaxis], other_high[:, np.newaxis])
    shared -= np.maximum(low[:, :, np.newaxis], other_low[:, np.newaxis])
    shared += more
    np.maximum(shared, 0.0, out=shared)
    size = size[:, :, np.newaxis] + more
    other_size = other_size[:, np.newaxis] + more
    area: Array = shared[0] * shared[1]
    both = other_size[0] * other_size[1]
    both += size[0] * size[1]
    both -= area
    area /= np.maximum(both, 1e-9, out=both)
    return area


def _seen_twice(boxes: Array, matched: NDArray[np.bool_], new: Rows) -> NDArray[np.bool_]:
    """Return which new rows are about an object that has a track, with another class."""
    if not matched.any():
        return np.zeros(len(new), bool)
    (low, high), (new_low, new_high) = (
        (each[:2], each[2:]) for each in (boxes[:, matched], boxes[:, new]))
    overlap = _grown_iou(low, high, high - low, new_low, new_high, new_high - new_low,
                         np.zeros(low.shape[1]))
    return np.asarray((overlap >= _TWICE).any(axis=0))


def lowered_options(options: Options, low: float) -> Options:
    """Return the options of a call whose detections are for a tracker."""
    thresholds = {name: min(score, low) for name, score in options.class_thresholds.items()}
    return options.replace(
        score_threshold=min(options.score_threshold, low), class_thresholds=thresholds)


def wanted_results(found: Detections, options: Options, labels: Labels | None) -> Detections:
    """Return the detections that the options of the caller ask for."""
    classes = class_filter(options, labels)
    if classes is None:
        least = np.float32(options.score_threshold)
        # Best first: if the last one counts, all do.
        if not len(found) or found.scores[-1] >= least:
            return found
        return found.select(found.scores >= least)
    rows = classes.passes(found.class_ids, found.scores)
    return found if rows.all() else found.select(rows)
