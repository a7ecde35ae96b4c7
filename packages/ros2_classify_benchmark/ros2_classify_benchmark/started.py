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


"""A node that runs, with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ros2_classify_benchmark.processes import Helper, NodeProcess
from ros2_classify_benchmark.runs import Run
from ros2_classify_benchmark.systems import System


@dataclass
class Started:
    """
    A node that runs.

    Parameters
    ----------
    system : System
        What it is.
    processes : list of NodeProcess
        Its processes.
    composed : Helper or None
        The process that it shares with the camera.
    active_s : float or None
        Seconds from its start to the line that says it is active.
    first_result_s : float
        Seconds from its start to its first result, while a camera sent 30 images a second.
    runs : list of Run
        Its runs so far.

    """

    system: System
    processes: list[NodeProcess]
    composed: Helper | None = None
    active_s: float | None = None
    first_result_s: float = float('nan')
    runs: list[Run] = field(default_factory=list)

    @property
    def pids(self) -> list[int]:
        """The numbers of its processes."""
        shared = [self.composed.pid] if self.composed is not None else []
        return [*shared, *(process.pid for process in self.processes)]
