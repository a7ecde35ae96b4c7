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

"""One camera's frames on their way through a model that sees time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
import threading
import time
from typing import Protocol

from ros2_classify.clips.frames import Taken
from ros2_classify.clips.memory import Memory
from ros2_classify.clips.sampler import Sampler
from ros2_classify.engines import Tensors
from ros2_classify.errors import InputError
from ros2_classify.model.clip_spec import ClipSpec
from ros2_classify.options import Options
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.preprocess.preprocessor import Image
from ros2_classify.preprocess.views import view_of
from ros2_classify.results.results import Classification

# Why there is no result of a frame.
BETWEEN, REPEATED, FILLING, HOLE, STRIDE = (
    'between frames of the rate', 'repeated stamp', 'filling', 'hole', 'between results')


@dataclass
class ClipCounts:
    """
    What became of the frames of a stream.

    Attributes
    ----------
    frames : int
        All frames.
    skipped : int
        Those between two frames of the model's rate.
    repeated : int
        Those with the stamp of the frame before.
    results : int
        Those with a result.
    filling : int
        Those without a result, because the clip was not complete yet.
    stride : int
        Those without a result, because the next one was not due.
    failed : int
        Those that could not be read, or on which the model failed.
    holes : int
        Frames of the model's rate for which there was no frame of the camera.
    resets_gap, resets_time : int
        New clips after a pause, and after time went back.
    resets : int
        New clips for any reason but the first frame.

    """

    frames: int = 0
    skipped: int = 0
    repeated: int = 0
    results: int = 0
    filling: int = 0
    stride: int = 0
    failed: int = 0
    holes: int = 0
    resets_gap: int = 0
    resets_time: int = 0
    resets: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return all counts by their names."""
        return asdict(self)


class Whole(Protocol):
    """Makes one result of those of all clips."""

    def add(self, outputs: Tensors, geometry: Geometry, result: Classification) -> None:
        """Add a clip."""

    def __call__(self, options: Options | None = None) -> Classification:
        """Return the result."""


class Finish(Protocol):
    """Turns model outputs into a result; `Pipeline.postprocess` does."""

    def __call__(
        self, outputs: Tensors, geometry: Geometry, options: Options | None = None, *,
        preprocess_time: float = 0.0, inference_time: float = 0.0,
    ) -> Classification:
        """Return the result."""


class ClipStream:
    """
    The clips of one camera; `Pipeline.stream` makes one.

    Frames are offered in the order of their stamps. The stream chooses those that the model
    needs, remembers what the model needs of them, and starts again when the past no longer
    counts. Any thread may call it; calls take turns.

    Attributes
    ----------
    counts : ClipCounts
        What became of the frames.
    reason : str
        Why the last frame had no result; empty if it had one.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import ModelDescriptor, Pipeline
    >>> from ros2_classify.testing import FakeEngine, tensor
    >>> descriptor = ModelDescriptor.from_mapping({
    ...     'source': {'path': 'fake.onnx'}, 'labels': ['still', 'moves'],
    ...     'input': {'name': 'in', 'size': [8, 8], 'layout': 'nthwc', 'dtype': 'float32'},
    ...     'clip': {'frames': 4, 'rate': 10}, 'output': {'decoder': 'classification'}})
    >>> engine = FakeEngine([tensor('in', [1, 4, 8, 8, 3])], [tensor('out', [1, 2])],
    ...                     {'out': np.array([[0.25, 0.75]], np.float32)})
    >>> stream = Pipeline(descriptor, engine, descriptor.load_labels()).stream()
    >>> frame = np.zeros((120, 160, 3), np.uint8)
    >>> results = [stream.offer(stamp, frame) for stamp in (0.0, 0.1, 0.2, 0.3)]
    >>> results[2], results[3].labels[0], results[3].t0, results[3].t1
    (None, 'moves', 0.0, 0.3)

    """

    def __init__(
        self, clip: ClipSpec, memory: Memory, finish: Finish, options: Options,
        whole: Whole | None = None,
    ) -> None:
        self._clip = clip
        self._memory = memory
        self._finish = finish
        self._options = options
        self._sampler = Sampler(clip.rate, clip.longest_pause)
        self._lock = threading.Lock()
        self._since = clip.stride  # frames of the rate since the last result
        self._holes = False  # since the last result
        self._all = whole
        self.counts = ClipCounts()
        self.reason = ''

    def needs(self, stamp: float) -> bool:
        """
        Tell whether `offer` would use a frame, before it is read.

        Parameters
        ----------
        stamp : float
            Its time in seconds.

        Returns
        -------
        bool
            False for a frame that would be skipped; offer it all the same, so that it is counted.

        """
        with self._lock:
            return self._sampler.needs(stamp)

    def offer(
        self, stamp: float, image: Image | Callable[[], Image], color: str = 'rgb',
        options: Options | None = None,
    ) -> Classification | None:
        """
        Give the stream its next frame.

        Parameters
        ----------
        stamp : float
            Its time in seconds, from any start.
        image : ndarray of uint8, shape (H, W), (H, W, 3) or (H, W, 4), or callable
            The pixels; never modified. Or a function that returns them, which is called only if
            the frame is needed.
        color : str
            The order of its channels: 'mono', 'rgb', 'bgr', 'rgba' or 'bgra'.
        options : Options, optional
            Thresholds and limits of this call.

        Returns
        -------
        Classification or None
            What the model says of the clip that ends with this frame, with `t0` and `t1`; None
            if there is nothing to say, see `reason`.

        Raises
        ------
        InputError
            If the stamp is not a number, or the image can't be used. The frame is a hole.
        EngineError, OutputError
            If the model fails. The frame is a hole.

        """
        if not abs(stamp) < float('inf'):
            raise InputError(f'the stamp is {stamp!r} but must be seconds, a finite number')
        with self._lock:
            self.counts.frames += 1
            choice = self._sampler(stamp)
            if choice.reset:
                self._reset(choice.reset)
            if choice.holes:
                self.counts.holes += choice.holes
                self._memory.hole()
                self._holes = True
            self._since += choice.holes + choice.times
            if not choice.times:
                if choice.repeated:
                    self.counts.repeated += 1
                else:
                    self.counts.skipped += 1
                self.reason = REPEATED if choice.repeated else BETWEEN
                return None
            try:
                return self._take(stamp, choice.times, image, color, options)
            except BaseException:
                self.counts.failed += 1
                self._memory.hole()
                self.reason = HOLE
                raise

    def _take(
        self, stamp: float, times: int, image: Image | Callable[[], Image], color: str,
        options: Options | None,
    ) -> Classification | None:
        """Remember a frame, and return the result if it completes a clip."""
        pixels = image() if callable(image) else image
        view = view_of(pixels, self._options if options is None else options)
        taken = self._memory.take(stamp, times, pixels, color, view)
        if not self._memory.ready:
            self.counts.filling += 1
            self.reason = HOLE if self._holes else FILLING
            return None
        self._holes = False
        if self._since < self._clip.stride:
            self.counts.stride += 1
            self.reason = STRIDE
            return None
        result = replace(self._result(taken, options), t0=self._memory.begin, t1=stamp)
        self._since = 0
        self.counts.results += 1
        self.reason = ''
        if self._all is not None:
            self._all.add(*self.last, result)
        return result

    def _result(self, taken: Taken, options: Options | None) -> Classification:
        begun = time.perf_counter()
        outputs = self._memory.infer()
        self.last = outputs, taken.geometry  # valid until the next frame
        return self._finish(
            outputs, taken.geometry, options, preprocess_time=taken.preprocess,
            inference_time=taken.inference + time.perf_counter() - begun)

    def whole(self, options: Options | None = None) -> Classification:
        """
        Return one result for all clips so far.

        Parameters
        ----------
        options : Options, optional
            Thresholds and limits.

        Returns
        -------
        Classification
            The mean of the scores of all clips; of a model with states, the last result.

        Raises
        ------
        InputError
            If there was no clip yet.

        """
        with self._lock:
            if self._all is None or not self.counts.results:
                raise InputError('there was no clip yet, so there is no result for all of them')
            return self._all(options)

    def reset(self) -> None:
        """Forget all frames and states, as after a pause; the next frame starts a new clip."""
        with self._lock:
            self._sampler.reset()
            self._reset('')

    def _reset(self, why: str) -> None:
        self.counts.resets += 1
        self.counts.resets_gap += why == 'gap'
        self.counts.resets_time += why == 'time went back'
        self._memory.clear()
        self._holes = False
        self._since = self._clip.stride

    @property
    def problem(self) -> str:
        """A sentence if the frames come too seldom for the model; empty if not."""
        interval, rate = self._sampler.interval, self._clip.rate
        if not self._holes or not interval or rate is None:
            return ''
        return (f'no complete clip: frames come at {1 / interval:.3g} Hz, and the model needs one '
                f'at least every {1.25 / rate:.3g} s ({rate:g} Hz)')

    def warm_up(self, image: Image) -> Classification:
        """Return the result of a clip that shows one image only; the stream must be new."""
        with self._lock:
            taken = self._memory.take(0.0, self._clip.frames or 1, image, 'rgb', None)
            result = replace(self._result(taken, None), t0=0.0, t1=0.0)
            self._memory.clear()
            return result
