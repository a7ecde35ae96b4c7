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

"""The table of a tuning, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ros2_classify.engines.tuning_record import best
from ros2_classify.tuning.tune import Outcome

Row = Mapping[str, Any]
_HEAD = ('candidate', 'latency ms', 'p95', 'images/s', 'cpu ms', 'MiB', 'gain', 'interval',
         'results')
_INSTALL = {
    'OpenVINOExecutionProvider': (
        'openvino was not tried: install it beside this ONNX Runtime and measure again: pip '
        'install --no-deps --target DIRECTORY onnxruntime-openvino; models tune … --runtime '
        'DIRECTORY')}


def lines(outcome: Outcome, target: str) -> list[str]:
    """Return the table, the Pareto line, what was refused, and what the server does now."""
    rows = _rows(outcome)
    found = [outcome.records[0]['model']['name'],
             *_table([row for row in rows if not row['refused']]), '', _pareto(rows)]
    found += [f'refused: {_name(row)}: {row["refused"]}' for row in rows if row['refused']]
    found += [f'not tried: {each}' for each in outcome.untried]
    found += outcome.notes
    record = outcome.records[0]
    found.append(_verdict(record, target))
    for other in outcome.records[1:]:
        row = best([each for each in other['rows'] if not each['default']], target)
        if row is not None:
            found.append(
                f'with {other["environment"]["ONNX Runtime"]} ({row["runtime"]}) it would be '
                f'{row["name"]}, {row["gain"]:.2f} times as good as the default: run the node '
                'there, and its record is used')
    return [*found, *(f'record: {path}' for path in outcome.paths)]


def _rows(outcome: Outcome) -> list[Row]:
    """Return the rows of all records, each once."""
    rows: list[Row] = []
    for record in outcome.records:
        rows += [row for row in record['rows'] if row not in rows]
    return rows


def untried_providers(providers: Sequence[str]) -> list[str]:
    """Return what to install for providers that this processor could use."""
    return [text for name, text in _INSTALL.items() if name not in providers]


def _name(row: Row) -> str:
    return str(row['name']) + (' *' if row['runtime'] else '')


def _table(rows: Sequence[Row]) -> list[str]:
    cells = [_HEAD]
    for row in rows:
        if not row['rounds']:
            continue
        cells.append((
            _name(row), f'{row["latency_ms"]:.2f}', f'{row["p95_ms"]:.2f}',
            f'{row["images_per_second"]:.1f}', f'{row["cpu_ms"]:.2f}',
            f'{row["memory_mib"]:.0f}', f'{row["gain"]:.2f}',
            'default' if row['default'] else f'{row["gain_low"]:.2f} to {row["gain_high"]:.2f}',
            _results(row)))
    widths = [max(map(len, column)) for column in zip(*cells)]
    found = ['  '.join(f'{cell:{width}}' for cell, width in zip(line, widths)).rstrip()
             for line in cells]
    if any(row['runtime'] for row in rows):
        found.append('* by another ONNX Runtime (--runtime)')
    return found


def _results(row: Row) -> str:
    parity = row['parity']
    if row['default'] or parity is None:
        return 'reference' if row['default'] else ''
    if parity['value'] is not None:
        return f'{parity["measure"]} {parity["value"]:.4f} ({parity["reference"]:.4f})'
    if not parity['compared']:
        return f'outputs within {parity["raw"]:.1g} of their range'
    return f'{100 * parity["agreement"]:.4g} % the same, scores within {parity["score"]:.1g}'


def _pareto(rows: Sequence[Row]) -> str:
    line = sorted((row for row in rows if row['pareto']), key=lambda row: float(row['latency_ms']))
    return 'Pareto, latency against processor time and accuracy: ' + '; '.join(
        f'{_name(row)} ({row["latency_ms"]:.2f} ms, {row["cpu_ms"]:.2f} ms cpu'
        f'{", " + _results(row) if row["variant"] else ""})' for row in line)


def _verdict(record: Mapping[str, Any], target: str) -> str:
    in_use = record['in_use'] or {}
    row = best([each for each in record['rows'] if each['variant'] in (
        '', in_use.get('variant', ''))], target)
    if row is None:
        return f'nothing is better than the default for certain (target {target}): it stays'
    return (f'from now on (parameter tuning: auto): {row["name"]}, {row["gain"]:.2f} times as '
            f'good as the default (target {target})')
