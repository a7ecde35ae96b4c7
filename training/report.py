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

"""Put the measured figures into the report and into the model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training import motion_evaluate

_BEGIN = '<!-- figures: written by `python -m training` -->'
_END = '<!-- end of figures -->'
_BEGIN_MOTIONS = '<!-- figures of motions: written by `python -m training` -->'
_END_MOTIONS = '<!-- end of figures of motions -->'


def _percent(value: float) -> str:
    return f'{100 * value:.2f} %'


def _rows(title: str, rows: list[tuple[str, str, str]]) -> list[str]:
    return [f'| {title} | measured | goal |', '|---|---|---|',
            *(f'| {name} | {value} | {goal} |' for name, value, goal in rows), '']


def figures(report: dict[str, Any]) -> str:
    """Return the report as Markdown tables."""
    d, clear, c = report['detector'], report['card_free'], report['classifier']
    lines = _rows('`cards_detector`', [
        (f'mAP@0.5, {d["images"]} unseen images, {d["cards"]} cards', f'{d["mAP@0.5"]:.4f}',
         '≥ 0.95'),
        ('mAP@0.75', f'{d["mAP@0.75"]:.4f}', ''),
        (f'precision at score {d["threshold"]}', _percent(d['precision']), ''),
        (f'recall at score {d["threshold"]}', _percent(d['recall']), ''),
        *((f'recall, box {band}', _percent(value), '')
          for band, value in d['recall_by_box_side'].items()),
        *((f'false alarms an image, {clear[kind]["images"]} generated card-free images '
           f'{words}', f'{clear[kind]["alarms_per_image"]:.4f}', '')
          for kind, words in (('plain', 'without signs'),
                              ('with_lookalikes', 'with look-alikes'))),
        (f'look-alikes taken for cards, of {clear["lookalikes"]}',
         _percent(clear['lookalikes_taken_for_cards']), ''),
        *([(f'false alarms an image, {report["photographs"]["images"]} photographs',
            f'{report["photographs"]["alarms_per_image"]:.4f}', '')]
          if 'photographs' in report else []),
        ('time a frame, model alone, one core (median / fastest)',
         f'{d["median_ms"]} / {d["fastest_ms"]} ms', '≤ 15 ms'),
        ('file', f'{d["bytes"] / 1e6:.2f} MB', '≤ 3 MB')])
    lines += ['| class | AP@0.5 |', '|---|---|',
              *(f'| {name} | {value:.4f} |' for name, value in d['AP@0.5'].items()), '']
    lines += _rows('`cards_classifier`', [
        (f'top-1, {c["crops_of_cards"]} unseen crops of cards', f'{c["top1"]:.4f}', '≥ 0.98'),
        (f'{c["crops_of_nothing"]} crops of backgrounds and look-alikes called nothing',
         _percent(c['nothing_right']), ''),
        ('time a frame, model alone, one core (median / fastest)',
         f'{c["median_ms"]} / {c["fastest_ms"]} ms', '≤ 15 ms'),
        ('file', f'{c["bytes"] / 1e6:.2f} MB', '≤ 3 MB')])
    return '\n'.join(lines)


def write(report: dict[str, Any], path: Path, card: Path) -> None:
    """
    Write the report as JSON, and its tables into the model card between two marks.

    Parameters
    ----------
    report
        What the tests measured, on the detector, the classifier and maybe on photographs.
    path
        The JSON file. Figures on photographs that are in it stay if they are of this detector.
    card
        The model card; left alone where there is none.

    Raises
    ------
    ValueError
        If the card lacks the marks.

    """
    old = json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}
    merged = dict(report)
    same = old.get('detector', {}).get('sha256') == report['detector']['sha256']
    if same and 'photographs' in old:
        merged.setdefault('photographs', old['photographs'])
    if 'motions' in old:
        merged['motions'] = old['motions']
    _write_json(merged, path)
    _write_card(card, _BEGIN, figures(merged), _END)


def write_motions(measured: dict[str, Any], path: Path, card: Path) -> None:
    """Write the figures on motions into the same two files; the other figures stay."""
    old = json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}
    _write_json({**old, 'motions': measured}, path)
    _write_card(card, _BEGIN_MOTIONS, motion_evaluate.figures(measured), _END_MOTIONS)


def _write_json(report: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')


def _write_card(card: Path, begin: str, tables: str, end: str) -> None:
    if not card.exists():
        return
    text = card.read_text(encoding='utf-8')
    if begin not in text or end not in text:
        raise ValueError(f'{card} lacks the lines {begin!r} and {end!r}: put them back')
    before, rest = text.split(begin, 1)
    card.write_text(f'{before}{begin}\n\n{tables}\n{end}{rest.split(end, 1)[1]}',
                    encoding='utf-8')
