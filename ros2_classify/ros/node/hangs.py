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

"""How many threads of a process never came back from a model, and how many are too many."""

from __future__ import annotations

import threading

# Each leaves its memory behind, and may keep a processor busy for ever.
MOST_HANGS = 3


class Hangs:
    """
    Counts the threads that were left behind; one for the life of a process, for any thread.

    Attributes
    ----------
    count : int
        How many there are.

    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    @property
    def too_many(self) -> bool:
        """Whether there are so many that the process had better be started anew."""
        return self.count > MOST_HANGS

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.count += 1
