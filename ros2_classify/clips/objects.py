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

"""A clip for each object that a tracker follows: what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ros2_classify.clips.stream import BETWEEN, ClipStream, REPEATED, STRIDE
from ros2_classify.errors import InputError
from ros2_classify.model.clip_spec import ClipSpec
from ros2_classify.preprocess.preprocessor import Image
from ros2_classify.preprocess.views import box_of_crop
from ros2_classify.results.results import Classification, Detections

# Frames after which the result before still stands.
_STANDS = (BETWEEN, REPEATED, STRIDE)


class ClipModel(Protocol):
    """What is needed of a model that sees time; a `Pipeline` is one."""

    @property
    def clip(self) -> ClipSpec | None:
        """Which frames it sees."""

    def stream(self) -> ClipStream:
        """Return an empty stream."""


class ObjectClips:
    """
    What each object of one camera does: a model that sees time, on the crops of its box.

    Parameters
    ----------
    pipeline : Pipeline
        A model that sees clips. It is not closed with this.
    name : str
        The name of what it says, in `Detections.attributes`.
    padding : float
        How much larger than the box a crop is on each side, as a part of the box.
    classes : sequence of str
        The classes of the objects it looks at; empty: all.
    max_crops : int
        The best this number of objects of an image.

    Raises
    ------
    InputError
        If the model sees single images.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import ObjectClips, Pipeline, Tracker
    >>> detector = Pipeline.load('cards_detector', task='detection')
    >>> motions = Pipeline.load('cards_motion', task='classification')
    >>> tracker, what_it_does = Tracker(), ObjectClips(motions, name='motion')
    >>> for number in range(3):
    ...     image = np.zeros((240, 320, 3), np.uint8)
    ...     found = tracker(detector(image), number / 10)
    ...     found = what_it_does(number / 10, found, image)
    >>> found.attributes
    {'motion': ()}
    >>> detector.close(); motions.close()

    """

    def __init__(self, pipeline: ClipModel, *, name: str = 'clip', padding: float = 0.1,
                 classes: Sequence[str] = (), max_crops: int = 32) -> None:
        if pipeline.clip is None:
            raise InputError('the model sees single images, not clips: use a cascade')
        self.pipeline = pipeline
        self._longest_pause = pipeline.clip.longest_pause
        self._name, self._padding = name, padding
        self._classes, self._max_crops = frozenset(classes), max_crops
        self._streams: dict[str, ClipStream] = {}
        self._said: dict[str, Classification | None] = {}
        self._seen: dict[str, float] = {}

    def __call__(self, stamp: float, found: Detections, image: Image,
                 color: str = 'rgb') -> Detections:
        """
        Give the clips of all objects their next frame.

        Parameters
        ----------
        stamp : float
            The time of the image in seconds.
        found : Detections
            Its objects, with `track_ids`; those without an id have no clip.
        image : ndarray of uint8, shape (H, W) or (H, W, 3)
            Its pixels.
        color : str
            The order of its channels.

        Returns
        -------
        Detections
            The same with what the model says of each object in `attributes`: a Classification
            with `t0` and `t1`, or None as long as a clip is not complete.

        Raises
        ------
        InputError, EngineError, OutputError
            As `ClipStream.offer`.

        """
        said: list[Classification | None] = [None] * len(found)
        ids = found.track_ids
        rows = [row for row in range(len(found)) if ids is not None and ids[row] and (
            not self._classes or found.labels[row] in self._classes)]
        for row in rows[:self._max_crops]:
            left, top, right, bottom = box_of_crop(
                found.boxes[row], self._padding, found.image_size)
            if left < right and top < bottom:
                assert ids is not None
                said[row] = self._offer(
                    str(ids[row]), stamp, image[top:bottom, left:right], color)
        self._forget(stamp)
        return replace(found, attributes={**found.attributes, self._name: tuple(said)})

    def reset(self) -> None:
        """Forget all objects."""
        for kept in (self._streams, self._said, self._seen):
            kept.clear()

    def _offer(self, name: str, stamp: float, crop: Image, color: str) -> Classification | None:
        if name not in self._streams:
            self._streams[name] = self.pipeline.stream()
        stream = self._streams[name]
        self._seen[name] = stamp
        result = stream.offer(stamp, crop, color)
        if result is not None or stream.reason not in _STANDS:
            self._said[name] = result
        return self._said.get(name)

    def _forget(self, now: float) -> None:
        for name, seen in tuple(self._seen.items()):
            if abs(now - seen) > self._longest_pause:
                del self._streams[name], self._seen[name]
                self._said.pop(name, None)
