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

"""What a cache holds, for tests that look at what is left behind."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ros2_classify.download.fetch import Request


def files_in(cache: Path) -> list[str]:
    """Return the names of all files of a cache, without its tag."""
    return sorted(path.relative_to(cache).as_posix() for path in cache.rglob('*')
                  if path.is_file() and path.name != 'CACHEDIR.TAG')


def sha256(body: bytes) -> str:
    """Return the sha256 of bytes."""
    return hashlib.sha256(body).hexdigest()


def request(url: str, body: bytes | None = None, **changes: object) -> Request:
    """Return a request for a URL whose file has this content."""
    return Request(**{  # type: ignore
        'label': 'tiny', 'origin': '/robot/tiny.yaml', 'model': 'tiny', 'url': url,
        'sha256': None if body is None else sha256(body), **changes})
