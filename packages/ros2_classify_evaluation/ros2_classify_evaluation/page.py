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


"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from importlib.resources import files
import json
import math
from typing import Any

import numpy as np

from ros2_classify_evaluation.compare import Comparison
from ros2_classify_evaluation.metrics import detection
from ros2_classify_evaluation.report import latency, Report, Value
from ros2_classify_evaluation.worst import Mistake, mistakes

_COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7f7f7f', '#000000')
_CURVES = {
    'precision_recall': ('Precision against recall', 'recall', 'precision'),
    'roc': ('ROC', 'false positive rate', 'true positive rate'),
    'f1_confidence': ('F1 against the threshold', 'threshold', 'F1')}
_MOST_CURVES = len(_COLORS)


def to_html(report: Report, comparison: Comparison | None = None) -> str:
    """Return the page; it has no links to anything outside."""
    found, dataset = report.predictions, report.dataset
    package = files('ros2_classify_evaluation')
    title = f'{found.model} on {dataset["source"]}'
    times = latency(found)
    parts = [
        f'<h1>{escape(found.model)}</h1>',
        f'<p class=sub>{escape(found.task)} on {escape(dataset["source"])}: '
        f'{dataset["images"]} images, {len(dataset["classes"])} classes; '
        f'{times["median"]:.1f} ms an image on {escape(found.provider)}</p>',
        *(f'<p class=warning>{escape(text)}</p>' for text in report.warnings),
        '<div class=cards>', *(_card(name, value) for name, value in report.measures.items()),
        '</div>']
    if comparison is not None:
        parts += [f'<h2>Against {escape(comparison.other.predictions.model)} '
                  f'({escape(comparison.other.predictions.provider)})</h2>',
                  f'<pre>{escape(str(comparison))}</pre>']
    data = _slider_data(report)
    if data is not None:
        parts += [
            '<h2>Threshold</h2><p><label>Results count from the score '
            f'<input id=threshold type=range min=0 max=1 step=0.005 value={found.threshold:.3f}>'
            ' <output id=value></output></label></p><table id=classes></table>',
            '<h2>Confusion</h2><p class=sub>Rows: what is there. Columns: what the model says.</p>'
            '<div class=scroll><table id=confusion></table></div>',
            f'<script type="application/json" id=data>{_json(data)}</script>']
    else:
        parts.append(_class_table(report))
    parts += [_curves(report), _calibration(report), _mistakes(mistakes(found))]
    script = package.joinpath('report.js').read_text(encoding='utf-8')
    style = package.joinpath('report.css').read_text(encoding='utf-8')
    return (
        '<!doctype html><html lang=en><meta charset=utf-8>'
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style>{style}</style><main>{"".join(parts)}</main>'
        f'<script>{script}</script></html>\n')


def _json(data: Any) -> str:
    # What would end the script element can't be written as such.
    return json.dumps(data, separators=(',', ':')).replace('<', '\\u003c')


def _slider_data(report: Report) -> dict[str, Any] | None:
    """Return the predictions, best first, each with the truth that it took."""
    found = report.predictions
    names = list(found.classes.names)
    if found.task == 'detection':
        matched = detection.operating(found.objects, found.boxes)
        support = np.zeros(len(names), int)
        for truth in found.objects:
            support += np.bincount(truth.class_ids[~truth.ignored], minlength=len(names))
        kept = matched.truths != -2
        return {'names': names, 'none': 'background', 'support': support.tolist(),
                'scores': matched.scores[kept].round(4).tolist(),
                'said': matched.class_ids[kept].tolist(), 'is': matched.truths[kept].tolist()}
    if found.task == 'classification' and not found.multi_label:
        order = np.argsort(-found.best_scores, kind='stable')
        truth = found.truth.argmax(axis=1)
        return {'names': names, 'none': 'none of these',
                'support': np.bincount(truth, minlength=len(names)).tolist(),
                'scores': found.best_scores[order].round(4).tolist(),
                'said': found.best[order].tolist(), 'is': truth[order].tolist()}
    return None


def _card(name: str, value: Value) -> str:
    known = '–' if math.isnan(value.value) else f'{value.value:.3f}'
    between = '' if math.isnan(value.low) else f'{value.low:.3f} to {value.high:.3f}'
    return (f'<div class=card><b>{known}</b><span>{escape(name.replace("_", " "))}</span>'
            f'<small>{between}</small></div>')


def _class_table(report: Report) -> str:
    header = list(report.per_class[0])
    rows = ''.join(
        '<tr>' + ''.join(
            f'<td>{escape(str(cell) if not isinstance(cell, float) else f"{cell:.3f}")}</td>'
            for cell in row.values()) + '</tr>' for row in report.per_class)
    head = ''.join(f'<th>{escape(name)}</th>' for name in header)
    return f'<h2>Classes</h2><table><tr>{head}</tr>{rows}</table>'


def _curves(report: Report) -> str:
    parts = []
    for kind, (title, x, y) in _CURVES.items():
        if lines := report.curves.get(kind):
            parts.append(f'<figure>{_plot(lines, x, y)}<figcaption>{title}</figcaption></figure>')
    return f'<h2>Curves</h2><div class=figures>{"".join(parts)}</div>' if parts else ''


def _calibration(report: Report) -> str:
    bins = report.curves.get('calibration')
    if not bins:
        return ''
    bars = ''.join(
        f'<rect x={40 + 240 * number / len(bins["counts"]):.1f} '
        f'y={260 - 240 * accuracy:.1f} width={240 / len(bins["counts"]) - 1:.1f} '
        f'height={240 * accuracy:.1f} fill="#0072b2" opacity=.75 />'
        for number, (count, accuracy) in enumerate(zip(bins['counts'], bins['accuracy']))
        if count)
    diagonal = '<path d="M40 260L280 20" stroke="currentColor" stroke-dasharray="4 4" />'
    return (f'<h2>Calibration</h2><div class=figures><figure><svg viewBox="0 0 300 300">'
            f'{_axes("confidence", "how often right")}{bars}{diagonal}</svg><figcaption>Right as '
            'often as sure: bars reach the line</figcaption></figure></div>')


def _axes(x: str, y: str) -> str:
    ticks = ''.join(
        f'<text x={40 + 240 * part:.0f} y=275 text-anchor=middle>{part:g}</text>'
        f'<text x=34 y={264 - 240 * part:.0f} text-anchor=end>{part:g}</text>'
        for part in (0, 0.5, 1))
    return (f'<path d="M40 20V260H280" stroke="currentColor" fill=none />{ticks}'
            f'<text x=160 y=294 text-anchor=middle>{x}</text>'
            f'<text x=12 y=140 text-anchor=middle transform="rotate(-90 12 140)">{y}</text>')


def _plot(lines: dict[str, list[list[float]]], x: str, y: str) -> str:
    paths, legend = [], []
    for number, (name, (xs, ys)) in enumerate(list(lines.items())[:_MOST_CURVES]):
        color = _COLORS[number]
        points = ' '.join(f'{40 + 240 * across:.1f},{260 - 240 * up:.1f}'
                          for across, up in zip(xs, ys))
        paths.append(f'<polyline points="{points}" fill=none stroke="{color}" stroke-width=2 />')
        legend.append(f'<span><i style="background:{color}"></i>{escape(name)}</span>')
    more = len(lines) - _MOST_CURVES
    if more > 0:
        legend.append(f'<span>and {more} more classes</span>')
    return (f'<svg viewBox="0 0 300 300">{_axes(x, y)}{"".join(paths)}</svg>'
            f'<div class=legend>{"".join(legend)}</div>')


def _mistakes(found: list[Mistake]) -> str:
    parts = []
    for kind, title in (('false alarm', 'Surest false alarms'), ('wrong class', 'Surest mistakes'),
                        ('missed', 'Missed objects, the largest first')):
        mine = [each for each in found if each.kind == kind]
        if mine:
            parts.append(f'<h2>{title}</h2><div class=thumbs>' + ''.join(
                f'<figure><img alt="{escape(each.text, quote=True)}" '
                f'src="data:image/jpeg;base64,{each.jpeg}"><figcaption>{escape(each.text)}<br>'
                f'<small>{escape(each.image)}</small></figcaption></figure>'
                for each in mine) + '</div>')
    return ''.join(parts)
