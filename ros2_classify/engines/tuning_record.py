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
What ``models tune`` measured for a model on this machine, and the settings that follow from it.

::

    tuning/<sha256 of the model>/<key>.json

The key is the hash of what a measurement depends on beside the model: processor, cores, driver,
ONNX Runtime and its package, and whether several cameras share the model. A record of other
versions is never used; it is the reason for a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.download.options import default_cache_directory
from ros2_classify.engines import hardware
from ros2_classify.engines.providers import import_onnxruntime, imported_distribution
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import EngineError, FetchError

_LOGGER = logging.getLogger(__name__)

VERSION = 1
# The settings that a record decides.
TUNED = ('provider', 'threads', 'parallel', 'spinning', 'graph_optimization', 'max_batch',
         'precision')
DEFAULTS = {each.name: each.default for each in fields(EngineSettings) if each.name in TUNED}
# A gain counts from here: below it, it may be chance and is not worth another path.
WORTH = 1.03
TARGETS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    'latency': lambda row: float(row['latency_ms']),
    'throughput': lambda row: -float(row['images_per_second']),
    'cpu': lambda row: float(row['cpu_ms']),
}
# With the target cpu, what is slower than the default by more than this does not count.
SLOWER = 1.1
_DRIVER = Path('/proc/driver/nvidia/version')


@dataclass(frozen=True)
class Tuned:
    """
    The settings to run a model with; `settings` are the given ones if there is nothing to add.

    `text` says which record was used and what it gained, or why it was not; `warning` tells
    whether this needs somebody's attention. `descriptor` is that of a variant that is
    used instead of the model, which had a descriptor of this `meaning` then.
    """

    settings: EngineSettings
    text: str = ''
    warning: bool = False
    descriptor: Path | None = None
    meaning: str = ''
    row: Mapping[str, Any] = field(default_factory=dict)


def environment() -> dict[str, str]:
    """Return what a measurement depends on beside the model."""
    ort = import_onnxruntime()
    try:
        driver = _DRIVER.read_text(encoding='utf-8').splitlines()[0].partition(':')[2].strip()
    except (OSError, IndexError):
        driver = 'none'
    return {
        'processor': hardware.cpu_features(), 'cores': str(hardware.usable_cores()),
        'NVIDIA driver': driver,
        'ONNX Runtime': f'{imported_distribution(ort)} {ort.__version__}'}


def directory_of(sha256: str, cache: Path | None = None) -> Path:
    """Return where the records of a model are."""
    return (cache or default_cache_directory()) / 'tuning' / sha256


def records_of(sha256: str, cache: Path | None = None) -> list[dict[str, Any]]:
    """Return the readable records of a model, the newest first."""
    found = []
    for path in sorted(directory_of(sha256, cache).glob('*.json')):
        try:
            record = json.loads(path.read_text(encoding='utf-8'))
            _check(record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _LOGGER.warning('the tuning record %s cannot be read and is not used: %s', path, error)
            continue
        if record['version'] == VERSION and record['model']['sha256'] == sha256:
            found.append(record)
    return sorted(found, key=lambda record: str(record['made']), reverse=True)


def _check(record: dict[str, Any]) -> None:
    """Raise if a file is no record: anybody may have edited it."""
    if record['version'] != VERSION:
        return
    if record['target'] not in TARGETS or record['cameras'] < 1:
        raise ValueError(f'target {record["target"]!r}, cameras {record["cameras"]!r}')
    str(record['made']), dict(record['environment']), str(record['model']['sha256'])
    for row in record['rows']:
        EngineSettings(**{name: row['settings'][name] for name in TUNED})
        for name in ('latency_ms', 'images_per_second', 'cpu_ms', 'gain', 'gain_low'):
            float(row[name])
        str(row['refused']), str(row['variant']), str(row['name'])


def write(record: Mapping[str, Any], cache: Path | None = None) -> Path:
    """Write a record, whole or not at all; it replaces that of the same key."""
    parts = [record['environment'], record['cameras'] > 1]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    directory = directory_of(record['model']['sha256'], cache)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f'{key}.json'
        part = path.with_name(f'.{key}.{os.getpid()}.part')
        part.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
        os.replace(part, path)
    except OSError as error:
        raise FetchError(f'the tuning record cannot be written: {error}') from error
    return path


def tuned(path: Path, given: EngineSettings) -> Tuned:
    """Return the settings for a model file; those that differ from the defaults stay."""
    if given.tuning == 'off':
        return Tuned(given, 'off')
    try:
        cache = given.cache_directory or default_cache_directory()
    except FetchError:
        return Tuned(given)
    # Never tuned anything: the model is not read for its hash.
    if not (cache / 'tuning').is_dir():
        return Tuned(given)
    try:
        sha256 = sha256_of_file(path)
    except (OSError, EngineError):
        return Tuned(given)
    records = records_of(sha256, cache)
    if not records:
        return Tuned(given)
    here = environment()
    fitting = [record for record in records if record['environment'] == here]
    if not fitting:
        return Tuned(given, _stale(records[0], here), warning=True)
    # One that was made for several cameras is for several.
    fitting.sort(key=lambda record: (record['cameras'] > 1) != (given.cameras > 1))
    return _choose(fitting[0], given)


def _stale(record: Mapping[str, Any], here: Mapping[str, str]) -> str:
    before = record['environment']
    changed = '; '.join(f'{name} was {before.get(name, "unknown")} and is {value}'
                        for name, value in here.items() if before.get(name) != value)
    return (f'the tuning of {str(record["made"])[:10]} is not used: {changed}; measure again: '
            f'models tune {record["model"]["name"]}')


def best(rows: Sequence[Mapping[str, Any]], target: str) -> Mapping[str, Any] | None:
    """Return the best row that is better than the default for certain; None if none is."""
    sure = [row for row in rows if not row['refused'] and row['gain_low'] >= WORTH]
    return min(sure, key=TARGETS[target], default=None)


def _choose(record: Mapping[str, Any], given: EngineSettings) -> Tuned:
    fixed = {name: getattr(given, name) for name in TUNED
             if getattr(given, name) != DEFAULTS[name]}
    in_use = record.get('in_use') or {}
    rows = [row for row in record['rows']
            if all(row['settings'][name] == value for name, value in fixed.items())
            and row['variant'] in ('', in_use.get('variant', ''))
            and (given.cameras > 1 or row['settings']['parallel'] == 1 or 'parallel' in fixed)]
    made = f'tuning of {str(record["made"])[:10]} (target {record["target"]})'
    kept = f', with {", ".join(f"{name} {value}" for name, value in fixed.items())} as given' \
        if fixed else ''
    if not rows:
        return Tuned(given, f'{made}: nothing was measured{kept}, which stay as they are')
    row = best(rows, record['target'])
    if row is None:
        return Tuned(given, f'{made}: nothing is better than the defaults{kept}')
    changes = {name: row['settings'][name] for name in TUNED if name not in fixed}
    # A batch is for several cameras, and its caller asks for it.
    changes.pop('max_batch', None)
    parity = row.get('parity') or {}
    text = (f'{made}: {row["name"]}{kept}, {row["gain"]:.2f} times as good as the defaults; '
            f'results as theirs in {100 * float(parity.get("agreement", 1.0)):.4g} %, scores '
            f'within {float(parity.get("score", 0.0)):.2g}')
    descriptor = None
    if row['variant']:
        descriptor = Path(in_use['descriptor'])
        if not _intact(in_use):
            return Tuned(given, f'{made} is not used: its {row["variant"]} variant '
                                f'{in_use["model"]} is missing or changed', warning=True)
    return Tuned(given.replace(**changes), text, descriptor=descriptor,
                 meaning=str(in_use.get('meaning', '')) if descriptor else '', row=row)


def _intact(in_use: Mapping[str, Any]) -> bool:
    try:
        return Path(in_use['descriptor']).is_file() and (
            sha256_of_file(Path(in_use['model'])) == in_use['sha256'])
    except (OSError, EngineError):
        return False
