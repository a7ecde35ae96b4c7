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

"""Options for downloads, from Python or environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path
import threading

from ros2_classify.errors import FetchError
from ros2_classify.progress import Progress

CACHE = 'ROS2_CLASSIFY_CACHE'
OFFLINE = 'ROS2_CLASSIFY_OFFLINE'

_YES = ('1', 'true', 'yes', 'on')
_NO = ('', '0', 'false', 'no', 'off')


@dataclass(frozen=True)
class FetchOptions:
    """
    How model files are downloaded.

    Parameters
    ----------
    cache : Path or None
        The cache's directory; None means ``ROS2_CLASSIFY_CACHE``, or ``ros2_classify`` in the
        user's cache directory.
    offline : bool or None
        True: no internet access, use local and cached files only; None means the value of
        ``ROS2_CLASSIFY_OFFLINE``.
    allow_unverified : bool
        Whether a URL without a sha256 may be used, for a trial.
    timeout : float
        Seconds to wait for a connection, and for the next bytes.
    attempts : int
        Maximum number of attempts for a download.
    progress : callable or None
        Receives each `ros2_classify.progress.Status`; None means a line on the terminal, or
        lines in the log of `logging`'s logger ``ros2_classify``.
    cancel : threading.Event or None
        Set it from another thread to stop with FetchCancelledError.

    Examples
    --------
    >>> from ros2_classify import FetchOptions, Pipeline
    >>> with Pipeline.load('cards_detector', fetch=FetchOptions(offline=True)) as pipeline:
    ...     print(pipeline.file.name)
    cards_detector.onnx

    """

    cache: Path | None = None
    offline: bool | None = None
    allow_unverified: bool = False
    timeout: float = 20.0
    attempts: int = 5
    progress: Progress | None = field(default=None, compare=False)
    cancel: threading.Event | None = field(default=None, compare=False)

    def cache_directory(self) -> Path:
        """Return the cache's directory, which may not exist yet."""
        return self.cache.expanduser().absolute() if self.cache else default_cache_directory()

    def is_offline(self) -> bool:
        """Return whether internet access is off."""
        return offline_by_environment() if self.offline is None else self.offline


def default_cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return the cache's directory by environment variables and the XDG specification."""
    return _user_directory(environ, CACHE, '', 'XDG_CACHE_HOME', '.cache')


def default_import_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return the directory of imported descriptors: ``…/share/ros2_classify/models``."""
    return _user_directory(environ, None, 'models', 'XDG_DATA_HOME', '.local/share')


def _user_directory(environ: Mapping[str, str] | None, ours: str | None, below: str, xdg: str,
                    fallback: str) -> Path:
    environ = os.environ if environ is None else environ
    try:
        if ours and environ.get(ours, '').strip():
            return Path(environ[ours].strip()).expanduser().absolute()
        # The specification: ignore paths that aren't absolute.
        base = Path(environ.get(xdg, ''))
        if not base.is_absolute():
            base = Path.home() / fallback
    except RuntimeError as error:
        raise FetchError(
            f'there is no home directory for the models ({error}); set {ours or xdg} to a '
            'writable directory') from None
    return base / 'ros2_classify' / below


def offline_by_environment(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether ``ROS2_CLASSIFY_OFFLINE`` is on."""
    value = (os.environ if environ is None else environ).get(OFFLINE, '').strip()
    if value.lower() in _YES:
        return True
    if value.lower() in _NO:
        return False
    raise FetchError(f'the environment variable {OFFLINE} is {value!r}; allowed are '
                     f'{", ".join(_YES)} and {", ".join(word or "nothing" for word in _NO)}')
