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

"""Work that may take minutes says so while it goes on, so that nobody takes it for a hang."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import contextvars
import logging
import threading
import time

_LOGGER = logging.getLogger(__name__)

# Seconds until the first line, and from each to the next.
PERIOD = 10.0


@contextmanager
def heartbeat(
    what: str, tell: Callable[[str], None] = _LOGGER.info, period: float = PERIOD,
) -> Iterator[None]:
    """
    Tell every few seconds that a piece of work is still going on.

    Parameters
    ----------
    what : str
        What is being done, such as ``building the TensorRT engine of yolox_s``.
    tell : callable
        Gets each line, in a thread of its own that has the caller's context variables.
    period : float
        Seconds from line to line.

    """
    done = threading.Event()
    begun = time.monotonic()

    def beat() -> None:
        while not done.wait(period):
            tell(f'still {what} after {time.monotonic() - begun:.0f} s')

    context = contextvars.copy_context()
    thread = threading.Thread(
        target=context.run, args=(beat,), name='ros2_classify heartbeat', daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
