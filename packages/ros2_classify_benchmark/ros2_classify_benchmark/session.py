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


"""One camera, one listener, and the nodes between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import json
from pathlib import Path
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

import numpy as np

from ros2_classify_benchmark.agreement import Row
from ros2_classify_benchmark.matching import match
from ros2_classify_benchmark.processes import (
    BenchError, end_of, environment, Helper, NodeProcess, PATIENCE)
from ros2_classify_benchmark.runs import Run
from ros2_classify_benchmark.settings import Settings
from ros2_classify_benchmark.shared_settings import engine_values, names, option_values
from ros2_classify_benchmark.system import cpu_seconds, memory_bytes
from ros2_classify_benchmark.systems import System

_PROGRAMS = 'ros2_classify_benchmark.nodes'
_PIXELS = 'frames.bin'

# After the last frame: quiet for this long means that all results have arrived.
_SETTLED = 0.25
_MEMORY_PERIOD = 1.0
# While a node comes up it gets images, in short runs, until it publishes results.
_PROBE = (30.0, 0.3)
# Images a second while results are compared.
_SHOWN_RATE = 15.0


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


class Session:
    """
    All processes of a benchmark; a context manager that ends them.

    Parameters
    ----------
    settings : Settings
        What is measured.
    directory : Path
        For the images, logs and times.

    Attributes
    ----------
    bare : Helper
        The loop without ROS.
    frames : dict
        What the prepared images are, their hash among it.
    task : str
        The model's task.
    facts : dict
        What the bare loop says of the model.

    """

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        # What is wrong with them is said before anything is started.
        engine, options = engine_values(settings), option_values(settings)
        self.env = environment()
        self.frames = self._prepare()
        self._source: Helper | None = None
        self._profile: str | None = None
        self._started: dict[str, Started] = {}
        self.listener = Helper(
            f'{_PROGRAMS}.listener', {}, self.env, directory / 'listener.log')
        self.bare = Helper(
            f'{_PROGRAMS}.bare',
            {'frames': str(directory), 'model': settings.model, 'engine': engine,
             'options': options},
            self.env, directory / 'bare.log')
        self.facts: dict[str, Any] = {}

    @property
    def task(self) -> str:
        """The model's task."""
        return str(self.facts['task'])

    @property
    def profile(self) -> str | None:
        """The name of the camera's DDS profile; its directory is another one on each machine."""
        return None if self._profile is None else Path(self._profile).name

    def __enter__(self) -> Session:
        """Wait until the helpers are there."""
        try:
            self.listener.ready()
            problem = self.listener.ask('unknown', names=names(self.settings))
            if problem:
                raise BenchError(problem)
            self.facts = self.bare.ready()
            if 'error' in self.facts:
                raise BenchError(self.facts['error'])
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        """End all processes."""
        self.close()

    def close(self) -> None:
        """End all processes; closing twice does nothing."""
        self.stop_nodes()
        for helper in (self._source, self.listener, self.bare):
            if helper is not None:
                helper.close()

    def open_source(self, systems: Sequence[System]) -> None:
        """Start the camera for all nodes that will be started."""
        topics = [topic for system in systems for topic in system.images]
        self._source = Helper(
            f'{_PROGRAMS}.source', {'frames': str(self.directory), 'topics': topics}, self.env,
            self.directory / 'source.log')
        self._profile = self._source.ready().get('profile')

    def start(self, system: System) -> Started:
        """Start a node and wait for its first result."""
        if system.result_type:
            self._listen(system, [system.result_type] * len(system.results))
        started = Started(system, [])
        self._started[system.name] = started
        for number, command in enumerate(system.commands):
            started.processes.append(NodeProcess(
                command, self.env, self.directory / f'{system.name}{number}.log'))
        if not system.result_type:
            self._listen(system, [self._type_of(topic, started) for topic in system.results])
        self._probe(started)
        if system.ready:
            started.active_s = max(
                process.wait_for(system.ready) for process in started.processes)
        return started

    def start_composed(self, system: System) -> Started:
        """Start our server in the camera's process, in place of `open_source` and `start`."""
        words = system.commands[0]
        self._source = Helper(f'{_PROGRAMS}.composed', {
            'frames': str(self.directory), 'topics': list(system.images),
            'words': list(words[words.index('--ros-args'):])}, self.env,
            self.directory / f'{system.name}0.log')
        self._profile = self._source.ready().get('profile')
        self._listen(system, [system.result_type] * len(system.results))
        started = self._started[system.name] = Started(system, [], self._source)
        self._probe(started)
        return started

    def run(
            self, started: Started, rate: float, seconds: float, warm: float,
            sample_memory: bool = False) -> Run:
        """Send images to a node for a while."""
        self.listener.ask('dump', out=str(self.directory / 'old.npy'))
        out, images = self.directory / 'sent.npy', list(started.system.images)
        self.source.tell('run', topics=images, rate=rate, seconds=seconds, out=str(out))
        begun = time.monotonic()
        time.sleep(warm)
        start, used = time.monotonic(), cpu_seconds(started.pids)
        memory: list[tuple[float, int]] = []
        while (left := begun + seconds - time.monotonic()) > 0:
            if not sample_memory:
                time.sleep(left)
                break
            memory.append(self._memory(started.pids))
            time.sleep(max(0.0, min(_MEMORY_PERIOD, begun + seconds - time.monotonic())))
        end, used_then = time.monotonic(), cpu_seconds(started.pids)
        self.source.result()
        memory.append(self._memory(started.pids))
        received = self._received()
        for process in started.processes:
            process.check()
        everything = match(np.load(out, allow_pickle=False), received)
        # A node with a queue may still process frames of the previous run.
        arrived = received[np.isin(received[:, 1], everything.stamps), 2] / 1e9
        run = Run(
            started.system.name, rate, everything.since(start, end), (start, end),
            int(((arrived >= start) & (arrived < end)).sum()), (used_then - used) / (end - start),
            memory, everything.duplicates, everything.unmatched, everything.out_of_order)
        started.runs.append(run)
        return run

    def detections(self, started: Started) -> dict[int, list[Row]]:
        """Return what a node detects in each of the prepared images, by the image's number."""
        found: dict[int, list[Row]] = {}
        deadline = time.monotonic() + PATIENCE
        while missing := [n for n in range(self.frames['count']) if n not in found]:
            if time.monotonic() > deadline:
                raise BenchError(
                    f'{started.system.name} has given no result for {len(missing)} of '
                    f'{self.frames["count"]} images')
            self.listener.ask('keep')
            stamps = self.source.ask(
                'show', topic=started.system.images[0], numbers=missing, rate=_SHOWN_RATE)
            self._received()
            kept = self.listener.ask('kept')
            found.update({number: [tuple(row) for row in kept[str(stamp)]]
                          for number, stamp in zip(missing, stamps) if str(stamp) in kept})
        return found

    def unheard(self, system: System, rate: float, seconds: float) -> float:
        """Measure a node that is active and that nobody listens to."""
        started = Started(system, [NodeProcess(
            command, self.env, self.directory / f'{system.name}{number}.log')
            for number, command in enumerate(system.commands)])
        self._started[system.name] = started
        for process in started.processes:
            process.wait_for(system.ready)
        if rate:
            self.source.tell('run', topics=list(system.images), rate=rate, seconds=2 * seconds,
                             out=str(self.directory / 'old.npy'))
        time.sleep(seconds)
        begun, used = time.monotonic(), cpu_seconds(started.pids)
        time.sleep(seconds)
        cores = (cpu_seconds(started.pids) - used) / (time.monotonic() - begun)
        if rate:
            self.source.result(seconds)
        return cores

    def run_bare(self, rate: float, seconds: float, warm: float = 0.0) -> dict[str, Any]:
        """Run the loop without ROS; see `ros2_classify_benchmark.nodes.bare`."""
        self.bare.tell('run', rate=rate, seconds=seconds, warm=warm)
        result: dict[str, Any] = self.bare.result(seconds)
        return result

    def bare_memory(self) -> int:
        """Return the bare loop's memory in bytes, without the images."""
        return self._memory([self.bare.pid])[1]

    def stop_nodes(self) -> None:
        """End the nodes and give the runs what these noted."""
        for started in self._started.values():
            for process in (*started.processes, started.composed):
                if process is not None:
                    process.close()
            if started.runs:
                self._read_traces(started)
        self._started.clear()

    @property
    def source(self) -> Helper:
        """The camera."""
        assert self._source is not None, 'open_source comes first'
        return self._source

    def _prepare(self) -> dict[str, Any]:
        settings = self.settings
        wanted = {
            'directory': str(self.directory), 'source': settings.source,
            'topic': settings.source_topic, 'width': settings.width, 'height': settings.height,
            'encoding': settings.encoding, 'transport': settings.transport}
        log = self.directory / 'frames.log'
        with log.open('wb') as errors:
            done = subprocess.run(
                [sys.executable, '-m', f'{_PROGRAMS}.frames', json.dumps(wanted)], env=self.env,
                stdout=subprocess.PIPE, stderr=errors, check=False)
        said = json.loads(done.stdout) if done.stdout else {}
        if 'result' not in said:
            raise BenchError(said.get('error') or f'images cannot be prepared{end_of(log)}')
        frames: dict[str, Any] = said['result']
        return frames

    def _memory(self, pids: Sequence[int]) -> tuple[float, int]:
        return time.monotonic(), memory_bytes(pids, str(self.directory / _PIXELS))[0]

    def _listen(self, system: System, types: Sequence[str]) -> None:
        for camera, (topic, kind) in enumerate(zip(system.results, types)):
            self.listener.ask('listen', topic=topic, type_name=kind, camera=camera)

    def _type_of(self, topic: str, started: Started) -> str:
        """Wait for a publisher and return the type of what it publishes."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = str(self.listener.ask('type_of', topic=topic))
            if found:
                return found
            for process in started.processes:
                process.check()
            time.sleep(0.05)
        raise BenchError(
            f'{started.system.name} publishes nothing on {topic}'
            f'{end_of(self.directory / f"{started.system.name}0.log")}')

    def _probe(self, started: Started) -> None:
        """Send images until there was a result for every camera."""
        rate, seconds = _PROBE
        deadline = time.monotonic() + 2 * PATIENCE
        waiting = set(range(len(started.system.results)))
        first: list[int] = []
        out, old = self.directory / 'probe.npy', str(self.directory / 'old.npy')
        while waiting:
            for process in started.processes:
                process.check()
            if time.monotonic() > deadline:
                raise BenchError(
                    f'{started.system.name} has given no result for camera '
                    f'{", ".join(map(str, sorted(waiting)))} on '
                    f'{", ".join(started.system.results)}'
                    f'{end_of(self.directory / f"{started.system.name}0.log")}')
            self.source.tell('run', topics=list(started.system.images), rate=rate,
                             seconds=seconds, out=old)
            self.source.result(seconds)
            self.listener.ask('dump', out=str(out))
            rows = np.load(out, allow_pickle=False)
            first += rows[:, 2].tolist()
            waiting -= set(rows[:, 0].tolist())
        if started.processes:
            started.first_result_s = min(first) / 1e9 - started.processes[0].started
        self._received()

    def _received(self) -> Any:
        """Wait until nothing arrives any more; return what has arrived since the last dump."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < _SETTLED:
            now = self.listener.ask('count')
            if now != count:
                count, since = now, time.monotonic()
            time.sleep(0.05)
        out = self.directory / 'received.npy'
        self.listener.ask('dump', out=str(out))
        return np.load(out, allow_pickle=False)

    def _read_traces(self, started: Started) -> None:
        tables = []
        for path in started.system.traces:
            if not path.is_file():
                raise BenchError(
                    f'{started.system.name} wrote no {path.name}'
                    f'{end_of(self.directory / f"{started.system.name}0.log")}')
            with np.load(path, allow_pickle=False) as arrays:
                tables.append((arrays['taken'], arrays['published'], arrays['skipped']))
        if tables:
            taken, published, skipped = (np.concatenate(parts) for parts in zip(*tables))
            for run in started.runs:
                run.add_trace(taken, published, skipped)
