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

"""Options of the conversion."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
import threading

from ros2_classify.download.options import FetchOptions
from ros2_classify.progress import log_step_progress, StepProgress


@dataclass(frozen=True)
class ConvertOptions:
    """How to convert models."""

    cache: Path | None = None  # None: ``ROS2_CLASSIFY_CACHE``, or the user's cache directory
    # with tensorflow and tf2onnx; None: ``ROS2_CLASSIFY_CONVERTER_PYTHON``, or this one
    python: str | None = None
    timeout: float = 1800.0  # seconds
    image: Path | None = None  # to compare outputs on; None: a generated one
    # gets ``(text, done)``; None: the terminal, or the log ``ros2_classify``
    progress: StepProgress | None = field(default=None, compare=False)
    # stops with FetchCancelledError
    cancel: threading.Event | None = field(default=None, compare=False)
    # why nothing is converted: only a conversion in the cache is used; empty allows it
    refused: str = ''

    @classmethod
    def like(cls, fetch: FetchOptions | None) -> ConvertOptions:
        """Return options with the cache, the cancel event and the progress of a download."""
        if fetch is None:
            return cls()
        return cls(cache=fetch.cache, cancel=fetch.cancel,
                   # Own progress there means no line on the terminal, here neither.
                   progress=log_step_progress() if fetch.progress else None)
