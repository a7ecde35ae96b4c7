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

"""What is worth trying on a machine, in waves: each looks around the best of the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
import re
import shutil
from typing import Any

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines.tuning_record import DEFAULTS, directory_of, TUNED
from ros2_classify.errors import FetchError, Ros2ClassifyError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.quantize import Pixels, quantize_model, Small

# By ONNX Runtime's name, what is tried where it is installed. The others need their own devices.
_SHORT = {
    'CUDAExecutionProvider': 'cuda', 'TensorrtExecutionProvider': 'tensorrt',
    'OpenVINOExecutionProvider': 'openvino', 'MIGraphXExecutionProvider': 'migraphx',
    'ROCMExecutionProvider': 'ROCMExecutionProvider', 'CoreMLExecutionProvider': 'coreml',
    'DmlExecutionProvider': 'directml'}
_MOST_THREADS = 16


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to run the model, by the settings that differ from the defaults."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    runtime: str = ''  # another interpreter or directory with its own ONNX Runtime
    variant: str = ''  # int8, fp16 or WIDTHxHEIGHT; empty: the model as it is

    @property
    def full(self) -> dict[str, Any]:
        """The settings that a record decides, all of them."""
        return {**DEFAULTS, **self.settings}

    @property
    def name(self) -> str:
        """A short name for tables."""
        if not self.settings and not self.variant:
            return 'default'
        full = self.full
        words = [str(full['provider']) if full['provider'] != 'auto' else '',
                 f'{full["threads"]} thread{"s" if full["threads"] > 1 else ""}'
                 if full['threads'] else '',
                 f'{full["parallel"]} in parallel' if full['parallel'] > 1 else '',
                 f'batches of {full["max_batch"]}' if full['max_batch'] > 1 else '',
                 f'spinning {full["spinning"]}' if full['spinning'] != 'auto' else '',
                 f'optimization {full["graph_optimization"]}'
                 if full['graph_optimization'] != 'all' else '',
                 full['precision'] if full['precision'] != 'fp32' else '', self.variant]
        return ', '.join(filter(None, words))

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others."""
        return (*(self.full[name] for name in TUNED), self.runtime, self.variant)

    def __hash__(self) -> int:
        """Return that of the key; a mapping has none."""
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        """Compare keys."""
        return isinstance(other, Candidate) and self.key == other.key


def thread_counts(cores: int) -> list[int]:
    """Return the numbers of threads that are worth a try."""
    most = min(cores, _MOST_THREADS)
    return sorted({count for count in (1, 2, 4, most // 2, most - 1, most) if 1 <= count <= most})


def first_wave(
    providers: Sequence[str], cores: int, *, target: str, cameras: int = 1, runtime: str = '',
) -> list[Candidate]:
    """Return providers by threads, and what runs side by side if throughput counts."""
    found = [Candidate(runtime=runtime)] if not runtime else []
    accelerators = [_SHORT[name] for name in providers if name in _SHORT]
    # The other build's CPU provider is that of another version.
    cpus = [name for name in ('cpu',) if not runtime]
    for provider in (*cpus, *accelerators):
        counts = thread_counts(cores) if provider in ('cpu', 'openvino') else [0]
        found += [Candidate({'provider': provider, 'threads': count}, runtime)
                  for count in counts]
    if (cameras > 1 or target == 'throughput') and not runtime:
        for parallel in sorted({2, cores} - {1}):
            if parallel <= cores:
                found.append(Candidate({
                    'provider': 'cpu', 'threads': max(1, cores // parallel),
                    'parallel': parallel}))
    if cameras > 1:
        found += [Candidate({
            'provider': provider, 'max_batch': min(cameras, 32),
            **({'threads': cores} if provider in ('cpu', 'openvino') else {})}, runtime)
            for provider in (*accelerators, *cpus)]
    return _unique(found)


def second_wave(best: Candidate) -> list[Candidate]:
    """Return variations of the best so far, one thing changed in each."""
    full = best.full
    changes: list[dict[str, Any]] = []
    if full['provider'] in ('cpu', 'auto'):
        if full['threads'] > 1:
            changes += [{'spinning': value} for value in ('inference', 'never')]
        changes += [{'graph_optimization': 'extended'}]
    elif full['provider'] == 'openvino':
        changes += [{'graph_optimization': 'none'}]
    return _unique([
        Candidate({**best.settings, **change}, best.runtime, best.variant) for change in changes])


def variants(names: Iterable[str], bases: Sequence[Candidate]) -> list[Candidate]:
    """Return the variants that were asked for, each on the best base of its runtime."""
    return _unique([Candidate(base.settings, base.runtime, name)
                    for name in names for base in bases])


def _unique(candidates: Iterable[Candidate]) -> list[Candidate]:
    return list({each.key: each for each in candidates}.values())


_SMALL: dict[str, Small] = {'int8': 'int8', 'fp16': 'fp16'}


def make_variants(
    declared: ModelDescriptor, wanted: Sequence[str], images: Sequence[Pixels], work: Path,
    say: Callable[[str], Any],
) -> tuple[list[str], dict[str, Path], list[str]]:
    """Write the variants; return those that are ready, their descriptors, and what failed."""
    ready: list[str] = []
    models: dict[str, Path] = {}
    failed: list[str] = []
    for name in wanted:
        if name not in _SMALL:
            # Another size needs no file.
            ready.append(name)
            continue
        say(f'making the {name} variant on {len(images)} images')
        output = work / f'{name}.onnx'
        try:
            made = quantize_model(
                declared, lambda: images, output, precision=_SMALL[name])
        except Ros2ClassifyError as error:
            failed.append(f'{name}: {error}')
            continue
        models[name] = made.descriptor
        ready.append(name)
    return ready, models, failed


def keep_variant(descriptor: Path, variant: str, sha256: str) -> dict[str, str]:
    """Copy a variant to the records of its model; return what a record says of it."""
    directory = directory_of(sha256)
    model, target = descriptor.with_suffix('.onnx'), directory / f'{variant}.yaml'
    try:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, directory / f'{variant}.onnx')
        # Its source is the file beside it, wherever that is.
        text = re.sub(re.escape(str(descriptor.parent)) + '/?', '',
                      descriptor.read_text(encoding='utf-8'))
        target.write_text(text, encoding='utf-8')
    except OSError as error:
        raise FetchError(f'the variant {variant} cannot be kept: {error}') from error
    kept = directory / f'{variant}.onnx'
    return {'variant': variant, 'model': str(kept), 'descriptor': str(target),
            'sha256': sha256_of_file(kept)}
