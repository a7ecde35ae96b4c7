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

"""Somebody who reads ``/diagnostics``, and nothing else."""

from __future__ import annotations

import re
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from ros_process import Peer

LEVELS = {b'\x00': 'OK', b'\x01': 'WARN', b'\x02': 'ERROR', b'\x03': 'STALE'}


class Operator:
    """
    Reads the statuses of all nodes.

    Parameters
    ----------
    peer : Peer
        The node that subscribes.

    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.messages: list[Any] = peer.collect(DiagnosticArray, '/diagnostics', 100)

    def statuses(self, part: str, since: int = 0) -> list[Any]:
        """Return all statuses of a part, such as ``server: model``, from a message on."""
        return [status for message in self.messages[since:] for status in message.status
                if status.name == part]

    def wait(self, part: str, level: str, words: str, **values: str) -> dict[str, str]:
        """
        Wait for a status that comes from now on, and return its values.

        Parameters
        ----------
        part : str
            The status's name.
        level : str
            ``OK``, ``WARN``, ``ERROR`` or ``STALE``.
        words : str
            A regular expression that its message holds.
        **values : str
            Regular expressions of values; in the names ``_`` stands for any character.

        """
        since = len(self.messages)

        def seen() -> Any:
            for status in self.statuses(part, since):
                found = {row.key: row.value for row in status.values}
                if LEVELS[status.level] == level and re.search(words, status.message) and all(
                        any(re.fullmatch(name.replace('_', '.') + r'.*', key)
                            and re.fullmatch(value, text) for key, text in found.items())
                        for name, value in values.items()):
                    return [found]
            return None

        try:
            return self._peer.spin_until(seen, f'{level} {words!r} {values} of {part!r}')[0]
        except AssertionError as error:
            last = (self.statuses(part) or [None])[-1]
            raise AssertionError(f'{error}; the last one is {last}') from None

    def wait_for_messages(self, count: int) -> list[Any]:
        """Wait for this number of further messages, and return them."""
        since = len(self.messages)
        self._peer.spin_until(
            lambda: len(self.messages) >= since + count, f'{count} diagnostics')
        return self.messages[since:since + count]
