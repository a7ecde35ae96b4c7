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
The thread that runs the network, off the executor's thread, so that callbacks never wait for it.

It takes the newest frame or the next request out of its mailbox and hands it to a function; no
exception of such a function ends it.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

from ros2_classify.ros.mailbox import Mailbox


class Worker:
    """
    A thread with a mailbox.

    Parameters
    ----------
    on_frame : callable
        Called with every frame taken.
    on_request : callable
        Called with every request taken, and with those left over when the worker stops; the
        second argument tells whether the worker still serves.
    on_error : callable
        Called with an exception that one of them raised.

    """

    def __init__(
            self, on_frame: Callable[[Any], None], on_request: Callable[[Any, bool], None],
            on_error: Callable[[Exception], None]) -> None:
        self._on_frame = on_frame
        self._on_request = on_request
        self._on_error = on_error
        self.mailbox: Mailbox[Any, Any] = Mailbox()
        self._thread = threading.Thread(target=self._work, name='inference', daemon=True)

    def start(self) -> None:
        """Start to work."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """
        Finish what is being worked on, and nothing after it.

        Parameters
        ----------
        timeout : float
            How many seconds to wait for it.

        Returns
        -------
        bool
            Whether the thread has ended.

        """
        for request in self.mailbox.close():
            self._guarded(self._on_request, request, False)
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            taken = self.mailbox.take()
            if taken is None:
                return
            if taken.frame is not None:
                self._guarded(self._on_frame, taken.frame)
            else:
                self._guarded(self._on_request, taken.request, True)
            # Without this the last frame's megabytes stay alive until the next one comes.
            del taken

    def _guarded(self, function: Callable[..., None], *args: Any) -> None:
        try:
            function(*args)
        except Exception as error:  # noqa: B902 - whatever it is, the next frame may be fine
            self._on_error(error)
