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

"""``models tune``: measure candidates, compare their results, and record what is best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
import logging
import os
from pathlib import Path
import tempfile
import time
from typing import Any

import numpy as np

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines import hardware
from ros2_classify.engines.tuning_record import (
    best, environment, SLOWER, TARGETS, VERSION, write)
from ros2_classify.errors import EngineError, OptionsError
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.descriptor_writer import meaning_of
from ros2_classify.tuning import candidates as trials
from ros2_classify.tuning.candidates import Candidate
from ros2_classify.tuning.data import Data
from ros2_classify.tuning.measure import drift, Measured, rounds, WorkerProcess
from ros2_classify.tuning.parity import compare, Parity

_LOGGER = logging.getLogger(__name__)

_SLICE = 0.35
_FIRST, _LAST = 5, 11  # rounds of the waves, and of the best at the end
_FINALISTS = 4
# Seconds for a worker to load the model, within the budget; compilers need many.
_LOAD = 60.0
_LABELLED = 200
_FOR_VARIANTS = 0.5  # of the budget
# Free memory, in MiB, below which no further process is started.
_SPARE = 700.0
# Load per core that is more than a robot at rest has.
_BUSY = 0.75

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Request:
    """What the caller asks for."""

    model: str
    target: str = 'latency'
    cameras: int = 1
    budget: float = 120.0
    max_drop: float = 0.01
    precisions: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    runtimes: tuple[str, ...] = ()
    use_variants: bool = False
    data: str = ''  # as given, for labels

    def __post_init__(self) -> None:
        """Check all values."""
        if self.target not in TARGETS:
            raise OptionsError(f'target is {self.target!r} but must be {", ".join(TARGETS)}')
        if not 5.0 <= self.budget <= 86400.0:
            raise OptionsError(f'--budget is {self.budget:g} but must be from 5 to 86400 seconds')
        if not 0.0 <= self.max_drop <= 1.0:
            raise OptionsError(f'--max-drop is {self.max_drop:g} but must be from 0 to 1')
        if not 1 <= self.cameras <= 64:
            raise OptionsError(f'--cameras is {self.cameras} but must be from 1 to 64')
        if self.use_variants and not (self.precisions or self.sizes):
            raise OptionsError('--use-variants is for variants: add --precision or --input-size')


@dataclass
class Outcome:
    """The records, that of this interpreter first, and what to tell."""

    records: list[dict[str, Any]]
    paths: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    providers: list[str] = field(default_factory=list)


class Tuning:
    """One run; all processes end with the context."""

    def __init__(self, request: Request, data: Data, work: Path, say: Say) -> None:
        self.request, self.data, self.work, self.say = request, data, work, say
        self.deadline = time.monotonic() + request.budget
        # Seconds that are kept for the variants that the caller asked for.
        self.reserved = _FOR_VARIANTS * request.budget if (
            request.precisions or request.sizes) else 0.0
        self.reference = Candidate()
        self.workers: dict[Candidate, WorkerProcess] = {}
        self.measured: dict[Candidate, Measured] = {}
        self.parities: dict[Candidate, Parity] = {}
        self.refused: dict[Candidate, str] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.loaded: dict[str, Any] = {}
        self.untried: list[str] = []
        self.notes: list[str] = []
        self.models: dict[str, Path] = {}  # descriptors of variants
        self._stack = ExitStack()
        images = work / 'images.npz'
        np.savez(images, *data.images)
        self._images = str(images)

    def __enter__(self) -> Tuning:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        self._stack.close()

    @property
    def left(self) -> float:
        """Seconds of the budget that are left now."""
        return self.deadline - self.reserved - time.monotonic()

    def ask_runtimes(self) -> None:
        """Find out what each ONNX Runtime has."""
        for runtime in ('', *self.request.runtimes):
            with WorkerProcess(Candidate(runtime=runtime), self.work) as process:
                try:
                    self.facts[runtime] = process.ask('facts', _LOAD)
                except EngineError as error:
                    if not runtime:
                        raise
                    self.notes.append(f'--runtime {runtime} cannot be used: {error}')

    def start(self, wanted: Sequence[Candidate]) -> list[Candidate]:
        """Load candidates and compare their results; return those that may be measured."""
        usable = []
        for each in wanted:
            if each in self.workers:
                usable.append(each)
                continue
            if each in self.refused:
                continue
            if each != self.reference and (self.left < 8.0 or _free_mib() < _SPARE):
                why = 'memory' if _free_mib() < _SPARE else 'the budget'
                self.untried.append(f'{each.name}: {why} ended')
                continue
            try:
                self._start(each)
                usable.append(each)
            except EngineError as error:
                if each == self.reference:
                    raise
                self.refused[each] = str(error)
        return usable

    def _start(self, each: Candidate) -> None:
        process = self._stack.enter_context(WorkerProcess(each, self.work))
        patience = _LOAD if each == self.reference else min(_LOAD, max(5.0, self.left / 2.0))
        width, _, height = each.variant.partition('x')
        size = [int(width), int(height)] if width.isdigit() else None
        model = str(self.models.get(each.variant, self.request.model))
        facts = process.ask('load', patience, model=model, images=self._images,
                            settings=dict(each.settings), size=size)
        full = each.full
        if facts['parallel'] != full['parallel'] and each != self.reference:
            raise EngineError(f'it runs {facts["parallel"]} at a time, not {full["parallel"]}')
        if facts['batch'] < full['max_batch']:
            raise EngineError('the model takes no batches')
        out = self.work / f'results{len(self.workers) + len(self.refused)}.npz'
        told = process.ask('results', patience, out=str(out))
        with np.load(out, allow_pickle=False) as arrays:
            results = {name: arrays[name] for name in arrays.files}
        out.unlink()
        if each == self.reference:
            self.loaded, self._expected, self._threshold = facts, results, told['threshold']
            self.parities[each] = Parity(compared=len(self.data.images))
        else:
            parity = compare(self._expected, results, self._threshold)
            if each.variant:
                parity = self._with_accuracy(process, parity)
            self.parities[each] = parity
            if problem := parity.problem(self.request.max_drop, exact=not each.variant):
                process.close()
                raise EngineError(problem)
        self.workers[each] = process

    def _with_accuracy(self, process: WorkerProcess, parity: Parity) -> Parity:
        """Add what labelled data says of a variant; the reference is measured once."""
        if not self.data.evaluator:
            return parity
        arguments = {'evaluator': self.data.evaluator, 'data': self.request.data,
                     'limit': _LABELLED}
        if 'accuracy' not in self.loaded:
            self.loaded['accuracy'] = self.workers[self.reference].ask(
                'accuracy', max(10.0, self.left), **arguments)
        reference = self.loaded['accuracy']
        found = process.ask('accuracy', max(10.0, self.left), **arguments)
        return replace(parity, measure=found['measure'], reference=reference['value'],
                       value=found['value'])

    def wave(self, wanted: Sequence[Candidate], count: int) -> None:
        """Measure candidates beside the default."""
        usable = self.start([self.reference, *(each for each in wanted if each != self.reference)])
        if len(usable) < 2:
            return
        self.say(f'{len(usable)} candidates, {count} rounds')
        found = rounds({each: self.workers[each] for each in usable}, self.reference, count,
                       _SLICE, self.deadline - self.reserved, self.say)
        for each, row in found.items():
            known = self.measured.setdefault(each, row)
            if known is not row:
                known.rounds += row.rounds
                known.pairs += row.pairs
            if row.refused:
                self.refused[each] = row.refused

    def ranked(self, runtime: str | None = None) -> list[Candidate]:
        """Return the measured candidates, the best by the target first."""
        found = [each for each in self.measured if each not in self.refused and (
            runtime is None or each.runtime == runtime)]
        return sorted(found, key=lambda each: TARGETS[self.request.target](self.row(each)))

    def row(self, each: Candidate) -> dict[str, Any]:
        """Return a candidate's row of the record."""
        measured = self.measured.get(each) or Measured(each)
        metric = {'latency': 'latency_ms', 'throughput': 'images_per_second', 'cpu': 'cpu_ms'}
        gain, low, high = measured.gain(metric[self.request.target])
        slower, _, _ = measured.gain('latency_ms')
        if self.request.target == 'cpu' and slower < 1.0 / SLOWER:
            low = 0.0
        is_default = not each.settings and not each.variant and not each.runtime
        full = each.full
        if is_default:
            gain = low = high = 1.0
            full = {**full, 'threads': hardware.default_threads(),
                    'provider': _short(self.loaded.get('provider', ''))}
        parity = self.parities.get(each)
        return {
            'name': each.name, 'default': is_default, 'settings': full, 'runtime': each.runtime,
            'variant': each.variant, 'rounds': len(measured.rounds),
            **{name: round(measured.median(name), 4) for name in (
                'latency_ms', 'p95_ms', 'images_per_second', 'cpu_ms', 'memory_mib')},
            'gain': round(gain, 4), 'gain_low': round(low, 4),
            'gain_high': round(min(high, 1e6), 4),
            'parity': parity.to_dict() if parity is not None else None,
            'refused': self.refused.get(each, '')}


def busy_with(load: float, cores: int) -> str:
    """Return a sentence if other programs use the processor: what wins then may not win alone."""
    if load <= _BUSY * cores:
        return ''
    return (f'other programs keep the processor busy (load {load:.1f} on {cores} cores): '
            'intervals are wide, and gains smaller than alone; measure again on a quiet machine')


def _short(provider: str) -> str:
    return provider.removesuffix('ExecutionProvider').lower()


def _free_mib() -> float:
    """Return the available memory in MiB; much if the machine doesn't tell."""
    try:
        for line in Path('/proc/meminfo').read_text(encoding='ascii').splitlines():
            if line.startswith('MemAvailable:'):
                return int(line.split()[1]) / 1024.0
    except (OSError, ValueError, IndexError):
        pass
    return 1e9


def tune(request: Request, data: Data, say: Say = lambda _: None) -> Outcome:
    """Measure and write the records; errors are raised if the default itself does not run."""
    declared = resolve(request.model)
    if declared.source.remote:
        raise OptionsError(
            f'{declared.name} runs on {declared.source.remote}, where nothing can be tuned from '
            'here; name the model file, or remove source.remote')
    with tempfile.TemporaryDirectory(prefix='ros2_classify_tune_') as name:
        with Tuning(request, data, Path(name), say) as run:
            run.ask_runtimes()
            if busy := busy_with(os.getloadavg()[0], hardware.usable_cores()):
                run.notes.append(busy)
            _measure(run, declared)
            return _record(run, declared)


def _measure(run: Tuning, declared: ModelDescriptor) -> None:
    request = run.request
    cores = hardware.usable_cores()
    run.wave([each for runtime, facts in run.facts.items() for each in trials.first_wave(
        facts['providers'], cores, target=request.target, cameras=request.cameras,
        runtime=runtime)], _FIRST)
    best_of = [ranked[0] for runtime in run.facts if (ranked := run.ranked(runtime))]
    run.wave([each for base in best_of for each in trials.second_wave(base)], _FIRST)
    run.reserved = 0.0
    wanted = [*request.precisions, *(f'{width}x{height}' for width, height in request.sizes)]
    if wanted:
        ready, run.models, failed = trials.make_variants(
            declared, wanted, run.data.images, run.work, run.say)
        run.untried += failed
        best_of = [ranked[0] for runtime in run.facts if (ranked := run.ranked(runtime))]
        run.wave(trials.variants(ready, best_of), _FIRST)
    finalists = run.ranked()[:_FINALISTS]
    finalists += [ranked[0] for runtime in run.facts if (ranked := run.ranked(runtime))]
    run.wave(list(dict.fromkeys(finalists)), _LAST)
    if told := drift(run.measured.get(run.reference, Measured(run.reference))):
        run.notes.append(told)


def _record(run: Tuning, declared: ModelDescriptor) -> Outcome:
    request, data = run.request, run.data
    file = Path(run.loaded['file'])
    sha256 = sha256_of_file(file)
    rows = [run.row(each) for each in {**run.measured, **run.refused}]
    rows.sort(key=lambda row: (bool(row['refused']), TARGETS[request.target](row)))
    _mark_pareto(rows)
    records: list[dict[str, Any]] = []
    outcome = Outcome(
        records, notes=run.notes, untried=run.untried,
        providers=sorted({name for facts in run.facts.values() for name in facts['providers']}))
    for runtime, facts in run.facts.items():
        own = [row for row in rows if row['runtime'] == runtime or row['default']]
        record = {
            'version': VERSION, 'made': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
            'model': {'name': run.loaded['name'], 'sha256': sha256, 'file': str(file)},
            'target': request.target, 'cameras': request.cameras, 'max_drop': request.max_drop,
            'data': data.name, 'environment': facts['environment'], 'rows': own,
            'in_use': None}
        if request.use_variants:
            record['in_use'] = _use_variant(run, own, request, sha256, meaning_of(declared))
        records.append(record)
        outcome.paths.append(write(record))
    if records[0]['environment'] != environment():
        run.notes.append('the environment of the workers is another one: the record is for it')
    return outcome


def _use_variant(
    run: Tuning, rows: list[dict[str, Any]], request: Request, sha256: str, meaning: str,
) -> dict[str, Any] | None:
    """Keep the files of the best variant, if it is better than the model as it is."""
    usable = [row for row in rows if row['variant'] and row['variant'] in run.models]
    row = best(usable, request.target)
    plain = best([row for row in rows if not row['variant']], request.target)
    if row is None or (plain is not None and TARGETS[request.target](plain) <= TARGETS[
            request.target](row)):
        run.notes.append('no variant is better than the model as it is: none is used')
        return None
    return {**trials.keep_variant(run.models[row['variant']], row['variant'], sha256),
            'meaning': meaning}


def _mark_pareto(rows: list[dict[str, Any]]) -> None:
    """Mark the rows that no other one beats in latency, processor time and accuracy."""
    def costs(row: dict[str, Any]) -> tuple[float, float, float]:
        parity = row['parity'] or {}
        value = parity.get('value')
        loss = 1.0 - (value if value is not None else parity.get('agreement', 0.0))
        # What differs by rounding only is as accurate.
        return row['latency_ms'], row['cpu_ms'], loss if row['variant'] else 0.0

    fine = [row for row in rows if not row['refused'] and row['rounds']]
    for row in rows:
        mine = costs(row)
        row['pareto'] = row in fine and not any(
            all(a <= b for a, b in zip(costs(other), mine)) and costs(other) != mine
            for other in fine)
