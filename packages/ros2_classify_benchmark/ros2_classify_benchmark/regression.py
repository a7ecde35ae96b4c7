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


"""Has a change made the node worse? Ratios are compared, for times differ between machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
import json
from pathlib import Path
from typing import Any

from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.report import markdown
from ros2_classify_benchmark.settings import Plan, Settings

# By how much a ratio may be worse than the recorded one: what differs from run to run on a
# machine that does nothing else.
TOLERANCE = {
    'in_node_over_bare': 0.08,
    'throughput_over_bare': 0.08,
    'overload_latency_over_bare_paced': 0.20,
    'cpu_over_bare': 0.15,
}
# What a report says of what it was made with.
IDENTITY = ('model', 'model_sha256', 'provider', 'dds_profile', 'input')
_OLD_KEY = 'network_sha256'  # words: old
_MORE_IS_BETTER = {'throughput_over_bare'}


@dataclass(frozen=True)
class Comparison:
    """A ratio, then and now."""

    name: str
    recorded: float
    measured: float
    limit: float
    passed: bool


def read(path: Path) -> dict[str, Any]:
    """Read a recorded measurement."""
    try:
        text = path.read_text().strip()
        record = json.loads(text if text.startswith('{') else text.rpartition('\n')[2])
        # Records of the last release.
        if _OLD_KEY in record:
            record['model_sha256'] = record.pop(_OLD_KEY)
        ratios(record)
        settings_of(record)
    except OSError as error:
        raise BenchError(f'the record {path} cannot be read: {error.strerror}') from error
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(
            f'{path} is no record of a measurement ({type(error).__name__}: {error}); make one '
            'with: scripts/bench --json --output FILE') from error
    assert isinstance(record, dict)
    return record


def settings_of(record: Mapping[str, Any]) -> Settings:
    """Return what a recorded measurement was made with."""
    names = {field.name for field in fields(Settings)}
    values = {key: value for key, value in record['settings'].items() if key in names}
    values['parameters'] = tuple(values.get('parameters', ()))
    return Settings(**values)


def plan_of(record: Mapping[str, Any], usual: Plan, rounds: int | None) -> Plan:
    """Return the plan of a recorded measurement, with another number of rounds if given."""
    names = {field.name for field in fields(Plan)}
    values = {key: value for key, value in (record.get('plan') or {}).items() if key in names}
    plan = replace(usual, **values)
    return replace(plan, repetitions=rounds) if rounds else plan


def changed(record: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Say what is not as it was when the record was made, in a sentence each."""
    then, now = _made_with(record), _made_with(found)
    return [f'{title} is not that of the record, so the ratios say little: {now[title]} in the '
            f'place of {then[title]}'
            for title in then if then[title] is not None and then[title] != now[title]]


def _made_with(record: Mapping[str, Any]) -> dict[str, Any]:
    return {'the model (sha256)': record.get('model_sha256'),
            'the provider': record.get('provider'),
            'the input (sha256)': (record.get('input') or {}).get('sha256')}


def ratios(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the ratios of a measurement that are guarded."""
    node = record['nodes']['node']
    return {name: float(node[name]) for name in TOLERANCE if node[name] is not None}


def compare(recorded: Mapping[str, float], measured: Mapping[str, float]) -> list[Comparison]:
    """Compare ratios."""
    result = []
    for name, before in recorded.items():
        now = measured.get(name, float('nan'))
        more = name in _MORE_IS_BETTER
        limit = before * (1.0 - TOLERANCE[name] if more else 1.0 + TOLERANCE[name])
        result.append(Comparison(name, before, now, limit, now >= limit if more else now <= limit))
    return result


def table(comparisons: list[Comparison]) -> str:
    """Return the comparison for people."""
    return markdown(
        ('ratio', 'recorded', 'measured', 'limit', ''),
        [(each.name, f'{each.recorded:.3f}', f'{each.measured:.3f}', f'{each.limit:.3f}',
          'ok' if each.passed else 'WORSE') for each in comparisons])
