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

"""How models are converted: what a user may choose."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
import threading

from ros2_classify.convert.progress import log_progress, Progress
from ros2_classify.download.options import FetchOptions


@dataclass(frozen=True)
class ConvertOptions:
    """
    How models are converted.

    Parameters
    ----------
    cache : Path or None
        The cache's directory; None means ``ROS2_CLASSIFY_CACHE``, or ``ros2_classify`` in the
        user's cache directory.
    python : str or None
        The interpreter that has tensorflow and tf2onnx; None means as
        ``ROS2_CLASSIFY_CONVERTER_PYTHON`` says, or else this very one.
    timeout : float
        Seconds a conversion may take.
    image : Path or None
        The image that the answers are compared on; None means one that is computed.
    progress : callable or None
        Told ``(what is done, whether it was the last)``; None means a line on the terminal, or
        lines in the log of `logging`'s logger ``ros2_classify``.
    cancel : threading.Event or None
        Set from elsewhere, it ends the work with FetchCancelledError.

    """

    cache: Path | None = None
    python: str | None = None
    timeout: float = 1800.0
    image: Path | None = None
    progress: Progress | None = field(default=None, compare=False)
    cancel: threading.Event | None = field(default=None, compare=False)

    @classmethod
    def like(cls, fetch: FetchOptions | None) -> ConvertOptions:
        """Return options with the cache and the cancel of fetching, and progress where its is."""
        if fetch is None:
            return cls()
        return cls(cache=fetch.cache, cancel=fetch.cancel,
                   # Who wants no line on the terminal there wants none here.
                   progress=log_progress() if fetch.progress else None)
