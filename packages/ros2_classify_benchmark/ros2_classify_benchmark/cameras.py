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


"""Several cameras: one server with one model for all, against a server for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ros2_classify_benchmark.measure import Say, together
from ros2_classify_benchmark.report import markdown, shown
from ros2_classify_benchmark.runs import Run
from ros2_classify_benchmark.session import Session
from ros2_classify_benchmark.settings import Plan, Settings
from ros2_classify_benchmark.statistics import median, ratio, rounded
from ros2_classify_benchmark.systems import one_for_all, servers

_NAMES = ('one', 'servers')
_DISTRIBUTION = ('p50', 'p95', 'p99', 'max')
_FRAMES = ('sent', 'received', 'results')


def many_cameras(settings: Settings, plan: Plan, directory: Path, say: Say) -> dict[str, Any]:
    """
    Measure both alternately: saturated, and at the cameras' own rate.

    The parameter ``parallel`` is for the single server only: the others have one camera each, and
    run in parallel anyway.
    """
    count = settings.cameras
    rounds: list[dict[str, Run]] = []
    paced: list[dict[str, Run]] = []
    with Session(settings, directory) as session:
        systems = [one_for_all(settings, session.task, directory, count),
                   servers(_without_parallel(settings), session.task, directory, count)]
        session.open_source(systems)
        nodes = {}
        for system in systems:
            say(f'starting: {system.name}')
            nodes[system.name] = session.start(system)
        bare = session.run_bare(0.0, plan.saturated, plan.warm)
        rate = settings.overload * bare['rate'] / count
        for number in range(plan.repetitions):
            say(f'round {number + 1} of {plan.repetitions}')
            order = _NAMES if number % 2 == 0 else _NAMES[::-1]
            rounds.append({name: session.run(nodes[name], rate, plan.saturated, plan.warm)
                          for name in order})
            paced.append({name: session.run(nodes[name], settings.rate, plan.paced, plan.warm)
                          for name in order})
        facts, frames = session.facts, session.frames

    def over(value: str) -> float:
        return median([ratio(getattr(round_['one'], value), getattr(round_['servers'], value))
                       for round_ in rounds])

    return {
        'throughput_ratio': rounded(over('rate_out')), 'memory_ratio': rounded(over('pss_mib')),
        'cameras': count, 'model': facts['name'], 'model_sha256': facts['sha256'],
        'input': frames,
        'offered_per_s_each': rounded(rate), 'paced_per_s_each': settings.rate,
        'bare_saturated_per_s': rounded(bare['rate']),
        'fairness': rounded(median([_fairness(round_['one'], count) for round_ in rounds])),
        'nodes': {name: {'paced': together([round_[name] for round_ in paced]),
                         'saturated': together([round_[name] for round_ in rounds])}
                  for name in _NAMES},
        'rounds': [{'paced': {name: run.to_dict() for name, run in slow.items()},
                    'saturated': {name: run.to_dict() for name, run in round_.items()}}
                   for round_, slow in zip(rounds, paced)]}


def table(result: dict[str, Any]) -> str:
    """Return the comparison for people."""
    rows: list[tuple[Any, ...]] = []
    for key, title in (('rate_out_per_s', 'results a second'), ('pss_mib', 'memory (MiB)'),
                       ('cpu_percent', 'CPU (%)')):
        rows.append((title, *(shown(result['nodes'][name]['saturated'][key]) for name in _NAMES)))
    rows.append(('results, over several servers', result['throughput_ratio'], 1))
    rows.append(('memory, over several servers', result['memory_ratio'], 1))
    rows.append(('least served camera, over an even part', result['fairness'], '-'))
    for runs in ('saturated', 'paced'):
        nodes = [result['nodes'][name][runs] for name in _NAMES]
        pace = result['offered_per_s_each' if runs == 'saturated' else 'paced_per_s_each']
        for title, keys, values in (
                ('stamp to result (ms)', _DISTRIBUTION, [
                    node['stamp_to_result_ms'] for node in nodes]),
                ('in the node (ms)', _DISTRIBUTION, [node['in_node_ms'] for node in nodes]),
                ('frames', _FRAMES, nodes)):
            rows.append((
                f'{runs}, {shown(pace)}/s each, {title}: '
                f'{" / ".join(keys).replace("_", " ")}',
                *(' / '.join(shown(value[key]) for key in keys) for value in values)))
    count = result['cameras']
    return markdown(
        (f'{count} cameras, {result["model"]}', 'one server', f'{count} servers'), rows)


def _without_parallel(settings: Settings) -> Settings:
    return replace(settings, parameters=tuple(
        each for each in settings.parameters if not each.startswith('parallel:=')))


def _fairness(run: Run, cameras: int) -> float:
    found = run.matched.camera[run.matched.has_result]
    counts = [int((found == camera).sum()) for camera in range(cameras)]
    return ratio(min(counts) * cameras, sum(counts))
