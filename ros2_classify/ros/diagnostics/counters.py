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

"""What happened to the frames of a stream, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """
    Counts of one stream since the activation; one thread at a time writes each of them.

    Parameters
    ----------
    received : int
        Frames that came.
    answered : int
        Frames whose answer was published.
    replaced : int
        Frames dropped because a newer one came before the model was free.
    unwanted : int
        Frames dropped because nobody listened.
    malformed : int
        Frames that could not be read.
    failed : int
        Frames that the model or the publishing failed on.
    skipped : int
        Frames dropped because a model that had failed was left alone for a while.
    stopped : int
        Frames dropped because the node stopped, or left a model behind that hangs, before it
        was their turn.

    """

    received: int = 0
    answered: int = 0
    replaced: int = 0
    unwanted: int = 0
    malformed: int = 0
    failed: int = 0
    skipped: int = 0
    stopped: int = 0

    def __str__(self) -> str:
        """Return one line for people."""
        skipped = f', {self.skipped} skipped after faults' if self.skipped else ''
        stopped = f', {self.stopped} dropped at the stop' if self.stopped else ''
        return (
            f'{self.received} frames received, {self.answered} answered, {self.replaced} replaced '
            f'by newer ones, {self.unwanted} not wanted by anybody, {self.malformed} unusable, '
            f'{self.failed} failed{skipped}{stopped}')
