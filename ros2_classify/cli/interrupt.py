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

"""
Ctrl-C ends a verb also inside a model that never returns.

Python raises KeyboardInterrupt when C++ code returns to it, which a looping model never does. The
signal itself arrives at once, as a byte in a pipe that another thread reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
import signal
import threading
from typing import Any

# Seconds that Python code has to notice the signal; then it is C++ code that does not return.
_PATIENCE = 0.5


@contextmanager
def interruptible(give_up: Callable[[], Any]) -> Iterator[None]:
    """Call `give_up`, in another thread, if Ctrl-C has not raised KeyboardInterrupt soon."""
    if (threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler):
        # Somebody else decides what Ctrl-C does, or it is ignored.
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    noticed = threading.Event()

    def on_signal(number: int, frame: Any) -> None:
        noticed.set()
        signal.default_int_handler(number, frame)

    def watch() -> None:
        try:
            while byte := os.read(reading, 1):
                if byte[0] == signal.SIGINT and not noticed.wait(_PATIENCE):
                    give_up()
        finally:
            os.close(reading)

    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, on_signal)
    threading.Thread(target=watch, name='interrupt', daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(before)
        os.close(writing)
