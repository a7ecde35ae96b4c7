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


"""A report as text for people, as CSV, and as LaTeX."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from ros2_classify_evaluation.report import latency, Report, Value

_LATEX = str.maketrans({
    '&': r'\&', '%': r'\%', '_': r'\_', '#': r'\#', '$': r'\$', '{': r'\{', '}': r'\}',
    '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '\\': r'\textbackslash{}'})
_SHOWN = 30


def to_text(report: Report) -> str:
    """Return the measures and the classes in columns."""
    found, dataset = report.predictions, report.dataset
    times = latency(found)
    lines = [
        f'{found.model} ({found.task}) on {dataset["source"]} ({dataset["format"]}): '
        f'{dataset["images"]} images, {len(dataset["classes"])} classes'
        + (f', {dataset["objects"]} objects' if 'objects' in dataset else ''), '']
    width = max(map(len, report.measures))
    lines += [f'{name:<{width}}  {_value(value)}' for name, value in report.measures.items()]
    lines += ['', *_columns(report.per_class[:_SHOWN])]
    if len(report.per_class) > _SHOWN:
        lines.append(f'and {len(report.per_class) - _SHOWN} more classes: see --json or --csv')
    lines += ['', f'precision, recall and F1 at the score {found.threshold:g}; '
                  f'{times["median"]:.1f} ms an image (median; 95 %: {times["p95"]:.1f} ms), '
                  f'{found.provider}']
    return '\n'.join(lines)


def to_csv(report: Report) -> str:
    """Return one row for each class, and one for each measure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    header = list(report.per_class[0])
    writer.writerow(header)
    for row in report.per_class:
        writer.writerow([_number(row[name]) for name in header])
    writer.writerow([])
    writer.writerow(['measure', 'value', 'low', 'high'])
    for name, value in report.measures.items():
        writer.writerow([name, *map(_number, (value.value, value.low, value.high))])
    return out.getvalue()


def to_latex(report: Report) -> str:
    """Return a table of the classes, for booktabs."""
    header = list(report.per_class[0])
    lines = [
        r'\begin{tabular}{l' + 'r' * (len(header) - 1) + '}', r'\toprule',
        ' & '.join(_escaped(name.replace('_', ' ')) for name in header) + r' \\', r'\midrule']
    lines += [' & '.join(_escaped(_number(row[name], 3)) for name in header) + r' \\'
              for row in report.per_class]
    name, value = next(iter(report.measures.items()))
    lines += [r'\midrule', r'\multicolumn{' + str(len(header)) + '}{l}{'
              + _escaped(f'{name.replace("_", " ")}: {_value(value)}') + r'} \\',
              r'\bottomrule', r'\end{tabular}']
    return '\n'.join(lines) + '\n'


def _value(value: Value) -> str:
    if math.isnan(value.value):
        return 'not defined: nothing to find'
    if math.isnan(value.low):
        return f'{value.value:.4f}'
    return f'{value.value:.4f} ({value.low:.4f} to {value.high:.4f})'


def _number(value: Any, digits: int = 6) -> str:
    if not isinstance(value, float):
        return str(value)
    return '' if math.isnan(value) else f'{value:.{digits}f}'


def _escaped(text: str) -> str:
    return text.translate(_LATEX)


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    header = list(rows[0])
    cells = [header] + [
        [str(row[name]) if not isinstance(row[name], float)
         else '-' if math.isnan(row[name]) else f'{row[name]:.3f}' for name in header]
        for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return ['  '.join(cell.ljust(width) if not column else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in cells]
