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

"""One result for a whole video."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ros2_classify.clips.model import voted
from ros2_classify.decoders import DECODERS
from ros2_classify.decoders.classification import class_scores
from ros2_classify.engines import Tensors
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options
from ros2_classify.postprocess.postprocessor import Postprocessor
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.results.results import Classification


class WholeVideo:
    """The mean of the scores of all clips; of a model with states, the last result."""

    def __init__(self, descriptor: ModelDescriptor, labels: Labels | None) -> None:
        clip = descriptor.clip
        assert clip is not None
        decoder = DECODERS['classification']
        self._averaged = not descriptor.state
        self._options: Any = decoder.parse_options(
            (voted(descriptor) if clip.vote else descriptor).output.options)
        self._descriptor, self._labels = descriptor, labels
        self._sum: NDArray[Any] | None = None
        self._count = 0

    def add(self, outputs: Tensors, geometry: Geometry, result: Classification) -> None:
        """Add a clip."""
        if not self._count:
            self._begin = result.t0
        self._count += 1
        self._last = result
        self._geometry = geometry
        # The last outputs of a model with states are enough, but their memory is used again.
        scores = class_scores(outputs, self._options).astype(np.float64)
        self._sum = scores if self._sum is None or not self._averaged else self._sum + scores

    def __call__(self, options: Options | None = None) -> Classification:
        """Return the result; with the time of the last clip."""
        assert self._sum is not None
        count = self._count if self._averaged else 1
        mean = (self._sum / count).astype(np.float32)
        found = cast(Classification, Postprocessor(voted(self._descriptor), self._labels)(
            {'scores': mean[np.newaxis]}, self._geometry, options))
        return replace(found, t0=self._begin, t1=self._last.t1, timing=self._last.timing)
