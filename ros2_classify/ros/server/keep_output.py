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

"""Images that the server keeps for labelling: no topic, but a listener as long as it is on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ros2_classify.keeping import Candidate, Keeper, KeepRules
from ros2_classify.ros.server.output import Output, Published
from ros2_classify.sources.image_messages import to_bgr


class KeepOutput(Output):
    """Offers each image and its result to a thread that writes some of them."""

    def __init__(self, parameters: Any, topic: str, say: Callable[[str], Any],
                 model: str) -> None:
        super().__init__(None)
        name = topic.strip('/').replace('/', '_') or 'image'
        self._model = model
        self._keeper = Keeper(
            Path(parameters['keep_directory']).expanduser() / name,
            KeepRules.parse(parameters['keep']), int(parameters['keep_megabytes'] * 1e6),
            parameters['keep_period'], say)

    @property
    def listeners(self) -> int:
        """Images are looked at without any subscriber, too."""
        return 1

    def write(self, published: Published) -> None:
        """Offer the image, which is converted and written elsewhere."""
        stamp = published.header.stamp
        self._keeper.offer(Candidate(
            lambda: np.ascontiguousarray(to_bgr(published.pixels, published.color)),
            published.result, stamp.sec * 10**9 + stamp.nanosec, self._model))

    def close(self) -> None:
        """Write what waits."""
        self._keeper.close()
