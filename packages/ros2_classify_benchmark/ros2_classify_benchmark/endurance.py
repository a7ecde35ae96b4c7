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


"""A long run: whether a frame is lost that nobody chose to drop, and whether memory grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ros2_classify_benchmark.measure import Say
from ros2_classify_benchmark.report import markdown
from ros2_classify_benchmark.runs import MIB
from ros2_classify_benchmark.session import Session
from ros2_classify_benchmark.settings import Settings
from ros2_classify_benchmark.statistics import median, rounded, slope
from ros2_classify_benchmark.systems import server

# Seconds at the beginning that don't count; see `settings.SHORTEST`.
WARM = 2.0
# What `ros2_classify.ros.server.trace` keeps of a frame.
_TRACE_BYTES = 32
# Caches and pools fill up in the first part of the run.
_SETTLING = 0.2
# MiB in ten minutes that are no growth: allocators round.
FLAT = 2.0
# Shorter runs are of a process whose caches still fill: they say nothing of growth.
LONG_SECONDS = 600.0
_GROWTH = 'growth_mib_in_10_min'


def run_test(settings: Settings, seconds: float, directory: Path, say: Say) -> dict[str, Any]:
    """Send images at the paced rate for a long time."""
    with Session(settings, directory) as session:
        system = server(settings, session.task, directory)
        session.open_source([system])
        node = session.start(system)
        say(f'{seconds:.0f} s at {settings.rate:g} images a second')
        run = session.run(node, settings.rate, seconds, WARM, sample_memory=True)
        bare = session.run_bare(settings.rate, 5.0, 1.0)
        facts, frames, profile = session.facts, session.frames, session.profile
    return {
        'model': facts['name'], 'model_sha256': facts['sha256'], 'input': frames,
        'dds_profile': profile,
        'run': run.to_dict(), 'bare_paced_ms': rounded(median(bare['latencies'])),
        'memory': growth(run.memory, settings.rate)}


def growth(samples: list[tuple[float, int]], rate: float) -> dict[str, Any]:
    """Return how a process' memory went."""
    times = np.array([when for when, _ in samples])
    sizes = np.array([size for _, size in samples]) / MIB
    sizes -= _TRACE_BYTES * rate * (times - times[0]) / MIB
    settled = times >= times[0] + _SETTLING * (times[-1] - times[0])
    values = {
        'first_mib': median(sizes[:5].tolist()), 'last_mib': median(sizes[-5:].tolist()),
        'max_mib': float(sizes.max()),
        _GROWTH: 600.0 * slope(times[settled], sizes[settled])}
    return {key: rounded(value) for key, value in values.items()}


def table(result: dict[str, Any]) -> str:
    """Return a long run for people."""
    run, memory = result['run'], result['memory']
    keys = ('seconds', 'sent', 'received', 'processed', 'results', 'dropped_by_policy',
            'lost_in_transport', 'rate_out_per_s', 'jitter_ms', 'cpu_percent', 'grows')
    rows: list[tuple[Any, ...]] = [(key.replace('_', ' '), run[key]) for key in keys]
    rows += [(f'stamp to result, {key} (ms)', run['stamp_to_result_ms'][key])
             for key in ('p50', 'p95', 'p99', 'max')]
    if round(run['seconds'] + WARM) < LONG_SECONDS:
        # It is in the JSON all the same.
        memory = {**memory, _GROWTH: f'- (needs a run of {LONG_SECONDS:.0f} s)'}
    rows += [(f'memory, {key.replace("_", " ")}', value) for key, value in memory.items()]
    return markdown(('long run', result['model']), rows)
