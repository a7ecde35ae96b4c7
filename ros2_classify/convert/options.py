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
    """
    How to convert models.

    Parameters
    ----------
    cache : Path or None
        The cache's directory; None means ``ROS2_CLASSIFY_CACHE``, or ``ros2_classify`` in the
        user's cache directory.
    python : str or None
        The interpreter that has tensorflow and tf2onnx; None means that of
        ``ROS2_CLASSIFY_CONVERTER_PYTHON``, or else the running one.
    timeout : float
        Maximum duration of a conversion in seconds.
    image : Path or None
        The image to compare outputs on; None means a generated one.
    progress : callable or None
        Called with ``(text, done)``; None means a line on the terminal, or lines in the log of
        `logging`'s logger ``ros2_classify``.
    cancel : threading.Event or None
        Set it in another thread to stop with FetchCancelledError.

    """

    cache: Path | None = None
    python: str | None = None
    timeout: float = 1800.0
    image: Path | None = None
    progress: StepProgress | None = field(default=None, compare=False)
    cancel: threading.Event | None = field(default=None, compare=False)

    @classmethod
    def like(cls, fetch: FetchOptions | None) -> ConvertOptions:
        """Return options with the cache, the cancel event and the progress of a download."""
        if fetch is None:
            return cls()
        return cls(cache=fetch.cache, cancel=fetch.cancel,
                   # Own progress there means no line on the terminal, here neither.
                   progress=log_step_progress() if fetch.progress else None)
