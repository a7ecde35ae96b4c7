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

"""Options as controls of the page, and results as its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ros2_classify.errors import OptionsError
from ros2_classify.filters import class_threshold_words, parse_class_thresholds
from ros2_classify.options import Options
from ros2_classify.results.overlay_colors import colors_of
from ros2_classify.results.results import Result

# By task: option, label, kind, help. A share is a slider from 0 to 1.
_CLASSES = (
    ('classes', 'Only these classes', 'words', 'names or ids with commas; empty means all'),
    ('class_thresholds', 'Scores of classes', 'scores', 'such as person=0.6, car=0.4'))
_CONTROLS = {
    'detection': (
        ('score_threshold', 'Score', 'share', 'results below it are dropped'),
        ('nms_iou', 'Overlap', 'share', 'of two boxes that overlap more, the better one stays'),
        ('max_detections', 'Most objects', 'count', 'the best ones'),
        ('min_area', 'Smallest size', 'share', 'part of the image that a box must cover'),
        ('max_area', 'Greatest size', 'share', 'part of the image that a box may cover'),
        ('nms_agnostic', 'Overlap of all classes', 'flag', 'boxes of different classes compete'),
        ('ioa_threshold', 'Inside others', 'share', 'drops boxes inside others; 0 is off'),
        *_CLASSES),
    'classification': (
        ('score_threshold', 'Score', 'share', 'classes below it are dropped'),
        ('top_k', 'Most classes', 'count', 'the best ones'),
        ('multi_label', 'Several at once', 'flag', 'all classes above the score'),
        *_CLASSES),
    'segmentation': (
        ('score_threshold', 'Part', 'share', 'classes that cover less are not listed'),
        _CLASSES[0]),
    'embedding': (),
}
MOST_ROWS = 50


def controls(options: Options, task: str) -> list[dict[str, Any]]:
    """Return the controls of a task with their present values."""
    found = []
    for name, label, kind, text in _CONTROLS[task]:
        value = getattr(options, name)
        if kind == 'words':
            value = ', '.join(str(each) for each in value)
        elif kind == 'scores':
            value = ', '.join(class_threshold_words(value))
        found.append({'name': name, 'label': label, 'kind': kind, 'help': text, 'value': value})
    return found


def changed(options: Options, name: Any, value: Any, task: str) -> Options:
    """Return options with one control's value; `OptionsError` if it is wrong."""
    kinds = {each[0]: each[2] for each in _CONTROLS[task]}
    if name not in kinds:
        raise OptionsError(f'there is no control {name!r}; there are {", ".join(kinds) or "none"}')
    if kinds[name] in ('words', 'scores'):
        if not isinstance(value, str):
            raise OptionsError(f'{name} is {value!r} but must be a text')
        words = [word.strip() for word in value.split(',') if word.strip()]
        value = tuple(words) if kinds[name] == 'words' else parse_class_thresholds(words)
    return options.replace(**{name: value})


def rows(result: Result) -> list[dict[str, Any]]:
    """Return a result's best rows with the colours of the overlay."""
    if result.task == 'embedding':
        return []
    found = []
    for row, (blue, green, red) in zip(result.rows()[:MOST_ROWS], colors_of(result)):
        found.append({
            'label': row['label'], 'score': row['score'],
            'color': f'#{red:02x}{green:02x}{blue:02x}', 'id': row.get('id', '')})
    return found


def rate_of(times: Sequence[float]) -> float:
    """Return how often per second something happened, one digit behind the point."""
    span = times[-1] - times[0] if len(times) > 1 else 0.0
    return round((len(times) - 1) / span, 1) if span > 0 else 0.0


def timing(result: Result) -> dict[str, float]:
    """Return the milliseconds of the steps."""
    times = result.timing
    return {'preprocess': round(1e3 * times.preprocess, 2),
            'inference': round(1e3 * times.inference, 2),
            'postprocess': round(1e3 * times.postprocess, 2)}
