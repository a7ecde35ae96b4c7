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


"""The table of targets: every row measured, with the command that measures it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
import json
import math
import os
from pathlib import Path
from typing import Any

from ros2_classify_benchmark import cameras, endurance
from ros2_classify_benchmark.measure import bare_ms, measure, report, Say
from ros2_classify_benchmark.processes import BenchError, NodeProcess
from ros2_classify_benchmark.report import markdown
from ros2_classify_benchmark.session import Session
from ros2_classify_benchmark.settings import Plan, Settings
from ros2_classify_benchmark.statistics import median, rounded
from ros2_classify_benchmark.systems import server

_LONG_COMMAND = 60

_BEGIN, _END = '<!-- targets: begin -->', '<!-- targets: end -->'

_CAMERAS = 4
_FULL_HD = (1920, 1080)
_IDLE_SECONDS = 6.0
_SHORT_ROUNDS = 3
# Allowed memory above the bare process: MiB, and a number of images.
_MEMORY, _IMAGES = 60.0, 3


@dataclass(frozen=True)
class Row:
    """
    A target and what was measured.

    Parameters
    ----------
    name : str
        What is measured.
    target : float
        The limit.
    measured : float or None
        The value, None where it could not be measured.
    at_least : bool
        Whether more is better.
    unit : str
        The unit; empty for a ratio.
    command : str
        What measures this row alone.
    note : str
        What else is to be known.

    """

    name: str
    target: float
    measured: float | None
    at_least: bool = False
    unit: str = ''
    command: str = ''
    note: str = ''

    @property
    def verdict(self) -> str:
        """PASS, MISSED, or 'not measured'."""
        if self.measured is None or not math.isfinite(self.measured):
            return 'not measured'
        good = self.measured >= self.target if self.at_least else self.measured <= self.target
        return 'PASS' if good else 'MISSED'

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {**{key: rounded(value) for key, value in asdict(self).items()},
                'verdict': self.verdict}


def plan_of(asked: Plan) -> Plan:
    """
    Return how long the rows are measured: of what was asked, the repetitions count.

    A millisecond between two of a dozen each is looked for, on machines that are slower for a
    second now and then: so the rounds are short, and three times as many.
    """
    return Plan(
        repetitions=_SHORT_ROUNDS * asked.repetitions, paced=2.0, saturated=1.5, warm=0.5,
        search=False)


def measure_all(
        settings: Settings, plan: Plan, endurance_seconds: float, directory: Path, say: Say,
        messages: Callable[[], dict[str, Any]], recorded: Path | None = None,
        long_run: Path | None = None,
) -> tuple[list[Row], dict[str, Any]]:
    """Measure all rows."""
    # What is wrong with a record is said before anything is measured.
    long = read_long_run(long_run) if long_run else None
    predecessor = read_predecessor(recorded) if recorded else None
    vga = replace(settings, width=640, height=480, cameras=1)
    full_hd = replace(vga, width=_FULL_HD[0], height=_FULL_HD[1])
    # Several servers use all cores whatever is set; allow it for the single one, too.
    parallel = f'parallel:={(os.cpu_count() or 1) + 1}'
    evidence: dict[str, Any] = {}

    def step(name: str, work: Callable[[Path], Any]) -> Any:
        say(f'--- {name}')
        place = directory / name
        place.mkdir(exist_ok=True)
        evidence[name] = work(place)
        return evidence[name]

    small = step('640x480', lambda at: report(measure(vga, plan, at, say)))
    large = step('1920x1080', lambda at: report(measure(full_hd, plan, at, say)))
    composed = step('composed', lambda at: _composed(vga, plan, at, say))
    made = step('messages', lambda at: messages())
    idle = step('idle', lambda at: _idle(vga, at))
    started = step('start', lambda at: _start(vga, plan.repetitions, at))
    many = step('cameras', lambda at: cameras.many_cameras(
        replace(vga, cameras=_CAMERAS, parameters=(*vga.parameters, parallel)), plan, at, say))
    if long is None:
        long = step('duration', lambda at: endurance.run_test(full_hd, endurance_seconds, at, say))
    else:
        evidence['duration'] = long
        # What doesn't count at the beginning was part of the run.
        endurance_seconds = round(long['run']['seconds'] + endurance.WARM)
    rows = [
        *_rows_of_latency(small, large, composed), *_rows_of_load(small),
        *_rows_of_messages(made), *_rows_of_predecessor(predecessor),
        Row('active, nobody listens, a camera at 30 Hz', 3.0, idle['camera_percent'],
            unit='% of a core', command='bench --targets'),
        Row('active, no camera', 1.0, idle['no_camera_percent'], unit='% of a core',
            command='bench --targets'),
        *_rows_of_memory(vga, small, long, endurance_seconds),
        Row('start to active', 1.0, started['active_s'], unit='s', command='bench'),
        Row('four cameras on one server over four servers: results', 1.3,
            many['throughput_ratio'], at_least=True,
            command=f'bench --cameras {_CAMERAS} -p {parallel}'),
        Row('the same: memory', 0.35, many['memory_ratio'],
            command=f'bench --cameras {_CAMERAS} -p {parallel}'),
    ]
    return rows, evidence


def read_long_run(path: Path) -> dict[str, Any]:
    """Read a record of the long run."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BenchError(f'{path} cannot be read: {error}') from error
    if not isinstance(record, dict) or not {'memory', 'run', 'input'} <= set(record) or (
            record['input'].get('width'), record['input'].get('height')) != _FULL_HD:
        raise BenchError(
            f'{path} is no record of --duration at 1920x1080; make one: bench --duration 600 '
            f'--size 1920x1080 --output {path}')
    return record


def read_predecessor(path: Path) -> dict[str, Any]:
    """Read a record of the comparison with the predecessor."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BenchError(f'{path} cannot be read: {error}') from error
    if not isinstance(record, dict) or not {'against', 'date', 'command'} <= set(record):
        raise BenchError(
            f'{path} is no record of --against; docs/performance.md tells how to make one')
    return record


def table(rows: list[Row]) -> str:
    """Return the rows for people and for docs/performance.md."""
    return markdown(('what', 'target', 'measured', '', 'command'), [(
        row.name + (f' ({row.note})' if row.note else ''),
        f'{"≥" if row.at_least else "≤"} {row.target:g} {row.unit}'.strip(),
        '-' if row.measured is None else f'{row.measured:.3g}', row.verdict,
        _command_cell(row.command)) for row in rows])


def _command_cell(command: str) -> str:
    """Return what stands for a command; a long one is in the JSON, and told of below the table."""
    if len(command) > _LONG_COMMAND:
        return '[below](#against-other-nodes)'
    return f'`{command}`' if command else ''


def _rows_of_latency(
        small: dict[str, Any], large: dict[str, Any], composed: dict[str, Any]) -> list[Row]:
    full_hd = 'bench --size 1920x1080'
    one, two = small['nodes']['node'], large['nodes']['node']
    above = 'stamp_to_result_minus_bare_ms'
    return [
        Row('in the node over bare paced, 640x480', 1.05, one['in_node_over_bare'],
            command='bench'),
        Row('in the node over bare paced, 1920x1080', 1.10, two['in_node_over_bare'],
            command=full_hd),
        Row('stamp to result in another process minus bare paced, 640x480', 2.0, one[above],
            unit='ms', command='bench'),
        Row('stamp to result in another process minus bare paced, 1920x1080', 5.0, two[above],
            unit='ms', command=full_hd),
        Row('camera and server in one process: stamp to result minus bare paced', 1.3,
            composed[above], unit='ms', command='bench --targets')]


def _rows_of_load(small: dict[str, Any]) -> list[Row]:
    node = small['nodes']['node']
    growth = 'never growing' if not node['saturated']['grows'] else 'GROWING'
    paced = node['paced']
    return [
        Row('output rate of a saturating camera over bare saturated', 0.95,
            node['throughput_over_bare'], at_least=True, command='bench'),
        Row('median latency under that overload over bare paced', 1.3,
            node['overload_latency_over_bare_paced'], command='bench',
            note=f'{growth}; over bare saturated '
                 f'{node["overload_latency_over_bare_saturated"]}'),
        Row('30 Hz, 640x480: frames lost', 0.0, float(paced['sent'] - paced['results']),
            command='bench', note=f'of {paced["sent"]}'),
        Row('30 Hz, 640x480: CPU over bare paced', 1.15, node['cpu_over_bare'], command='bench')]


def _rows_of_messages(made: dict[str, Any]) -> list[Row]:
    titles = {'detections_100': 'a Detection2DArray of 100 boxes, built and published',
              'classification_999': 'a Classification of 999 scores, built and published'}
    return [Row(title, 1.0, made['results'][key]['bytes'], unit='ms', command='bench --messages')
            for key, title in titles.items()]


def _rows_of_predecessor(record: dict[str, Any] | None) -> list[Row]:
    """Return the comparison as it was recorded; see docs/performance.md for how."""
    limits = {'stamp_to_result': 0.7, 'throughput': 2.0, 'latency_under_overload': 0.2,
              'cpu': 0.5, 'memory': 0.27, 'start': 0.15}
    found: dict[str, Any] = {}
    date, command = 'not recorded', ''
    if record is not None:
        found, date = record['against'], f'recorded {record["date"][:10]}'
        command = record['command'].removeprefix('python -m ros2_classify ')
    return [Row(f'over the predecessor: {key.replace("_", " ")}', limit, found.get(key),
                at_least=key == 'throughput', command=command, note=date)
            for key, limit in limits.items()]


def _rows_of_memory(
        settings: Settings, small: dict[str, Any], long: dict[str, Any], seconds: float,
) -> list[Row]:
    frame = small['input']['step'] * settings.height / 2**20
    run, memory = long['run'], long['memory']
    command = f'bench --duration {seconds:g} --size 1920x1080'
    short = seconds < endurance.LONG_SECONDS
    made = f'; recorded {long["date"][:10]}' if 'date' in long else ''
    return [
        Row('memory above the bare process', round(_MEMORY + _IMAGES * frame, 1),
            small['nodes']['node']['memory_over_bare_mib'], unit='MiB', command='bench'),
        Row('growth of memory in ten minutes, 1920x1080 at 30 Hz', endurance.FLAT,
            None if short else memory['growth_mib_in_10_min'], unit='MiB',
            command=f'bench --duration {max(seconds, endurance.LONG_SECONDS):g} --size 1920x1080',
            note=f'the run took {seconds:g} s: too short' if short else ''),
        Row('that run: frames lost that nobody chose to drop', 0.0,
            float(run['lost_in_transport']), command=command,
            note=f'of {run["sent"]}; {run["dropped_by_policy"]} dropped by the policy{made}')]


def _composed(settings: Settings, plan: Plan, directory: Path, say: Say) -> dict[str, Any]:
    """Measure camera and server in one process, alternately with the bare loop."""
    above, latencies = [], []
    with Session(settings, directory) as session:
        node = session.start_composed(server(settings, session.task, directory, 'composed'))
        for number in range(plan.repetitions):
            say(f'round {number + 1} of {plan.repetitions}')
            bare = bare_ms(session.run_bare(settings.rate, plan.paced, plan.warm))
            run = session.run(node, settings.rate, plan.paced, plan.warm)
            above.append(run.latency_ms - bare)
            latencies.append(run.to_dict())
    return {'stamp_to_result_minus_bare_ms': rounded(median(above)),
            'rounds': [rounded(value) for value in above], 'runs': latencies}


def _idle(settings: Settings, directory: Path) -> dict[str, Any]:
    """Measure an active node without subscribers."""
    cores = {}
    for name, rate in (('camera', settings.rate), ('no_camera', 0.0)):
        with Session(settings, directory) as session:
            system = server(settings, session.task, directory, name, trace=False)
            session.open_source([system])
            cores[name] = session.unheard(system, rate, _IDLE_SECONDS)
    return {f'{name}_percent': rounded(100.0 * value) for name, value in cores.items()}


def _start(settings: Settings, repetitions: int, directory: Path) -> dict[str, Any]:
    """Measure the time from the start of the process to the line that says it is active."""
    times = []
    with Session(settings, directory) as session:
        system = server(settings, session.task, directory, 'start', trace=False)
        for _ in range(repetitions):
            with NodeProcess(system.commands[0], session.env, directory / 'start.log') as node:
                times.append(node.wait_for(system.ready))
    return {'active_s': rounded(median(times)), 'times_s': [rounded(each) for each in times]}


def around_table(document: Path) -> tuple[str, str]:
    """Return what stands before and after the marks of a document."""
    try:
        before, begin, rest = document.read_text().partition(_BEGIN)
    except OSError as error:
        raise BenchError(f'{document} cannot be read: {error.strerror}') from error
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise BenchError(f'{document} has no lines {_BEGIN} and {_END}')
    return before, after


def into_document(document: Path, text: str) -> None:
    """Put a table between the two marks of a document."""
    before, after = around_table(document)
    document.write_text(f'{before}{_BEGIN}\n{text}\n{_END}{after}')
