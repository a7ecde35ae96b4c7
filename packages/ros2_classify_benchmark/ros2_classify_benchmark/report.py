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


"""A measurement as a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_DISTRIBUTION = ('p50', 'p95', 'p99', 'max')


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table whose columns line up."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ['| ' + ' | '.join(cell.ljust(width) for cell, width in zip(row, widths)) + ' |'
             for row in cells]
    return '\n'.join([lines[0], '|' + '|'.join('-' * (width + 2) for width in widths) + '|',
                      *lines[1:]])


def table(result: dict[str, Any]) -> str:
    """Return a report for people."""
    bare, nodes = result['bare'], result['nodes']
    latencies = [_distribution('inference alone', bare['inference_ms']),
                 _distribution('bare loop, paced', bare['paced_ms']),
                 _distribution('bare loop, saturated', bare['saturated_ms'])]
    if result['transport']:
        latencies.append(_distribution(
            'transport alone (echo)', result['transport']['stamp_to_result_ms']))
    for name, node in nodes.items():
        for runs in ('paced', 'saturated'):
            latencies.append(_distribution(
                f'{name}, {runs}: stamp to result', node[runs]['stamp_to_result_ms']))
            if node[runs]['in_node_ms']['count']:
                latencies.append(_distribution(
                    f'{name}, {runs}: in the node', node[runs]['in_node_ms']))
    frames = [_frames(f'{name}, {runs}', node[runs])
              for name, node in nodes.items() for runs in ('paced', 'saturated')]
    image = result['input']
    parts = [
        f'{result["model"]} ({result["task"]}, {result["provider"]}) on '
        f'{image["width"]}x{image["height"]} {image["encoding"]}, {image["transport"]}: '
        f'{image["count"]} images of {image["source"]}, {result["repetitions"]} round(s)',
        markdown(('ms', *_DISTRIBUTION), latencies),
        markdown(('frames', 'sent', 'received', 'processed', 'results', 'dropped by policy',
                  'lost in transport', 'offered/s', 'out/s', 'lost %', 'jitter ms', 'CPU %',
                  'PSS MiB'), frames),
        markdown(('over the bare loop', *nodes), _ratios(result))]
    if 'against' in result:
        parts.append(markdown(
            ('our node over the other', 'ratio'), [
                (key.replace('_', ' '), shown(value))
                for key, value in result['against'].items()]))
    return '\n\n'.join([*parts, *(f'Note: {note}' for note in result.get('notes', ()))])


def _distribution(title: str, values: dict[str, Any]) -> tuple[str, ...]:
    return (title, *(shown(values[key]) for key in _DISTRIBUTION))


def _frames(title: str, run: dict[str, Any]) -> tuple[str, ...]:
    return (title, *(shown(run[key]) for key in (
        'sent', 'received', 'processed', 'results', 'dropped_by_policy', 'lost_in_transport',
        'offered_per_s', 'rate_out_per_s', 'lost_percent', 'jitter_ms', 'cpu_percent',
        'pss_mib')))


def _ratios(result: dict[str, Any]) -> list[tuple[str, ...]]:
    titles = {
        'in_node_over_bare': 'in the node, over bare paced',
        'stamp_to_result_minus_bare_ms': 'stamp to result, minus bare paced (ms)',
        'throughput_over_bare': 'output rate, over bare saturated',
        'overload_latency_over_bare_paced': 'latency under overload, over bare paced',
        'overload_latency_over_bare_saturated': 'latency under overload, over bare saturated',
        'cpu_over_bare': 'CPU, over bare paced',
        'memory_over_bare_mib': 'memory, above bare (MiB)',
        'rate_below_5_percent_loss_per_s': 'highest rate with less than 5 % loss (1/s)',
        'active_s': 'start to active (s)', 'first_result_s': 'start to first result (s)'}
    return [(title, *(shown(node[key]) for node in result['nodes'].values()))
            for key, title in titles.items()]


def shown(value: Any) -> str:
    """Return a number as a table shows it: three digits, ``-`` for None."""
    if value is None:
        return '-'
    return f'{value:.3g}' if isinstance(value, float) and abs(value) < 100 else (
        f'{value:.0f}' if isinstance(value, float) else str(value))
