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

"""Check a model's outputs for images against its descriptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from dataclasses import dataclass, replace
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

from ros2_classify.autoconfig.trial import Run
from ros2_classify.decoders import Candidates, DecodeContext, DECODERS
from ros2_classify.decoders.base import find_name, ScoreError
from ros2_classify.errors import DescriptorError, OutputError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Embedding, Result, Segmentation

Kind = Literal['probabilities', 'scores', 'logits']

# Sums of 1 are this imprecise with float16 and 8-bit weights.
_SUM_TOLERANCE = 0.05
_RANGE_TOLERANCE = 0.01
# Boxes beyond this multiple of the input's sides are in other units.
_FAR = 8.0
_BEST = 50
# A best score below this part of the threshold points to the settings rather than to the image.
_FAR_BELOW = 0.1
_USUAL_THRESHOLD = 0.3
# By whether boxes are fractions of the image; a decoder has one of the two options.
_UNITS = {True: (({'normalized': True}, 'use normalized: true'),
                 ({'units': 'normalized'}, 'use units: normalized')),
          False: (({'normalized': False}, 'use normalized: false'),
                  ({'units': 'model'}, 'use units: model'))}


@dataclass(frozen=True)
class Issue:
    """A sentence; a problem makes results wrong, otherwise they may be."""

    problem: bool
    text: str
    # Options of the decoder that may help, and what to tell if they do.
    advice: tuple[tuple[Mapping[str, Any], str], ...] = ()


Issues = list[Issue]


def run_on(
    pipeline: Pipeline[Result], images: Sequence[NDArray[np.uint8]], color: str,
) -> list[Run]:
    """Run a model on images in RGB or BGR order."""
    runs = []
    for image in images:
        # One for each image, since outputs may use its memory.
        batch = pipeline.new_batch()
        batch.add(image, color)
        runs.append(Run(pipeline.infer(batch)[0], batch.geometries[0]))
    return runs


def kind_of(rows: Sequence[NDArray[Any]]) -> Kind | None:
    """Tell what a classifier's numbers are; None if one is not finite, or there are none."""
    flat = [np.asarray(row, np.float64).reshape(-1) for row in rows]
    if not flat or not all(row.size and np.isfinite(row).all() for row in flat):
        return None
    low, high = min(row.min() for row in flat), max(row.max() for row in flat)
    if low < -1e-3 or high > 1 + _RANGE_TOLERANCE:
        return 'logits'
    return 'probabilities' if all(abs(row.sum() - 1) < _SUM_TOLERANCE for row in flat) \
        else 'scores'


def class_numbers(descriptor: ModelDescriptor, runs: Sequence[Run]) -> list[NDArray[Any]]:
    """Return a classifier's numbers for each image; none if its output is ambiguous."""
    rows = []
    for run in runs:
        declared = descriptor.output.options.get('output')
        name = find_name(run.outputs, declared) if declared else (
            next(iter(run.outputs)) if len(run.outputs) == 1 else None)
        if name is None or run.outputs[name].dtype.kind not in 'fiu':
            return []
        rows.append(run.outputs[name])
    return rows


def judge(pipeline: Pipeline[Result], runs: Sequence[Run]) -> Issues:
    """Compare a model's outputs with its descriptor; only advice that was tried is given."""
    return [_advised(pipeline, runs, issue) for issue in _judge(pipeline, runs)]


def _advised(pipeline: Pipeline[Result], runs: Sequence[Run], issue: Issue) -> Issue:
    """Try each advice on the same outputs, and tell those after which nothing is wrong."""
    told = []
    for changes, words in issue.advice:
        output = pipeline.descriptor.output
        options = FrozenMapping({**output.options, **changes})
        try:
            changed = pipeline.with_output(replace(output, options=options))
            if not any(each.problem or each.text == issue.text
                       for each in _judge(changed, runs)):
                told.append(words)
        except (DescriptorError, OutputError):
            continue
    if not issue.advice:
        return issue
    told = told or ['no other value of this option fits either: check output.decoder']
    return Issue(issue.problem, f'{issue.text}: {", or ".join(told)}')


def _judge(pipeline: Pipeline[Result], runs: Sequence[Run]) -> Issues:
    found = _numbers(runs)
    outside = None
    for run in runs:
        try:
            pipeline.postprocess(run.outputs, run.geometry)
        except ScoreError as error:
            outside = Issue(True, str(error))
        except OutputError as error:
            found.append(Issue(True, str(error)))
            break
    descriptor = pipeline.descriptor
    if any(issue.problem for issue in found):
        return found
    found += _classes(descriptor, class_numbers(descriptor, runs)) \
        if descriptor.output.decoder == 'classification' else _boxes(pipeline, runs)
    # A sentence with the range of all numbers says more.
    if outside and not any(issue.problem for issue in found):
        found.append(outside)
    return found


def _numbers(runs: Sequence[Run]) -> Issues:
    """Look for NaN, infinity, and outputs that don't depend on the image."""
    found = []
    for name in runs[0].outputs:
        arrays = [run.outputs[name] for run in runs if name in run.outputs]
        floats = [array for array in arrays if array.dtype.kind == 'f' and array.size]
        total = sum(array.size for array in floats)
        bad = sum(int((~np.isfinite(array)).sum()) for array in floats)
        if bad:
            nan = sum(int(np.isnan(array).sum()) for array in floats)
            kind = 'NaN' if nan == bad else 'infinite' if not nan else 'NaN or infinite'
            found.append(Issue(True, (
                f'the output {name!r} is {kind} in {bad} of {total} numbers; a float16 overflow '
                'and wrong pre-processing are the usual causes: check input.scale, mean and std, '
                'and try a float32 export')))
        elif floats and total > len(floats) and all(
                np.ptp(array) == 0 and array.size > 1 for array in floats):
            found.append(Issue(len(runs[0].outputs) == 1, (
                f'all numbers of the output {name!r} are equal ({float(floats[0].flat[0]):g}), '
                'whatever the image; the weights may be missing or the export may have failed')))
    if len(runs) > 1 and not found and all(
            name in run.outputs and np.array_equal(run.outputs[name], array)
            for run in runs[1:] for name, array in runs[0].outputs.items()):
        found.append(Issue(False, (
            f'the outputs are the same for {len(runs)} very different images; the input may be '
            'cut off by its scale, mean and std')))
    return found


def _classes(descriptor: ModelDescriptor, rows: Sequence[NDArray[Any]]) -> Issues:
    kind = kind_of(rows)
    if kind is None:
        return []
    options = descriptor.output.options
    activation = options.get('activation', 'none')
    low, high = min(row.min() for row in rows), max(row.max() for row in rows)
    span = f'from {low:.3g} to {high:.3g}'
    if activation == 'none' and kind == 'logits':
        return [Issue(True, (
            f'these are logits ({span}), but the descriptor says probabilities '
            '(output.activation: none)'), (
                ({'activation': 'softmax'}, 'use activation: softmax'),
                ({'activation': 'sigmoid'}, 'sigmoid if classes are independent')))]
    if activation != 'none' and kind == 'probabilities':
        return [Issue(True, (
            f'these are probabilities already ({span}, with a sum of 1), but the descriptor says '
            f'output.activation: {activation}, which would flatten them'), (
                ({'activation': 'none'}, 'use activation: none'),))]
    if activation != 'none' and kind == 'scores':
        return [Issue(False, (
            f'these numbers are from 0 to 1 already ({span}), but the descriptor says '
            f'output.activation: {activation}; if the model ends in a sigmoid'), (
                ({'activation': 'none', 'multi_label': True},
                 'use activation: none and multi_label: true'),
                ({'activation': 'none'}, 'use activation: none')))]
    if kind == 'scores' and not options.get('multi_label'):
        return [Issue(False, (
            f'these numbers are from 0 to 1 ({span}) but their sum is not 1; if several classes '
            'can apply to an image'), (({'multi_label': True}, 'use multi_label: true'),))]
    return []


def _boxes(pipeline: Pipeline[Result], runs: Sequence[Run]) -> Issues:
    """Check the scores, units and classes of all boxes, whatever their scores."""
    descriptor = pipeline.descriptor
    options = descriptor.output.options
    candidates = _decoded(pipeline, runs, {})
    if not candidates:
        return []
    found = []
    size = runs[0].geometry.model_size
    activation = options.get('activation', _option(descriptor, 'activation'))
    scores = np.concatenate([piece.scores for piece in candidates])
    if not len(scores):
        return [Issue(False, 'no box was found in the sample images, whatever its score')]
    if scores.max() > 1 + _RANGE_TOLERANCE:
        found.append(Issue(True, (
            f'these are logits (scores up to {scores.max():.3g}), but the descriptor says '
            'probabilities'), (({'activation': 'sigmoid'}, 'use output.activation: sigmoid'),)
            if activation == 'none' else ()))
    elif activation == 'sigmoid' and (raw := _decoded(pipeline, runs, {'activation': 'none'})):
        plain = np.concatenate([piece.scores for piece in raw])
        count = sum(len(piece) for piece in candidates)
        # Nothing is below 0 or above 1: the model has a sigmoid.
        if len(plain) == count and plain.max(initial=0.0) <= 1:
            found.append(Issue(True, (
                'the scores are from 0 to 1 already, but the descriptor says output.activation: '
                'sigmoid, which would raise all of them above 0.5'), (
                    ({'activation': 'none'}, 'use activation: none'),)))
    elif activation == 'softmax' and _have_softmax(pipeline, runs):
        found.append(Issue(True, (
            'the scores of each box are probabilities already (from 0 to 1, with a sum of 1), but '
            'the descriptor says output.activation: softmax, which would flatten them'), (
                ({'activation': 'none'}, 'use activation: none'),)))
    best = _best(candidates)
    far = float(np.abs(best).max(initial=0.0)) / max(size)
    if far > _FAR:
        found.append(Issue(True, (
            f'boxes are up to {far:.3g} times the input away from it: the descriptor takes pixels '
            'for fractions of the image'), _UNITS[False]))
    elif len(best) and min(size) > 16 and float(np.abs(best).max()) <= 2 \
            and not candidates[0].in_source_pixels:
        found.append(Issue(True, (
            'all boxes are within 2 pixels of the corner: the descriptor takes fractions of the '
            'image, from 0 to 1, for pixels'), _UNITS[True]))
    return found + _names(pipeline.labels, candidates)


def _have_softmax(pipeline: Pipeline[Result], runs: Sequence[Run]) -> bool:
    """Tell whether each box's scores have a sum of 1, for decoders that report all of them."""
    descriptor = pipeline.descriptor
    decoder = DECODERS[str(descriptor.output.decoder)]
    if descriptor.output.decoder not in ('boxes_scores', 'ssd'):
        return False
    options = decoder.parse_options(descriptor.output.options)
    classes = decoder.class_count(runs[0].outputs, options)
    raw = _decoded(pipeline, runs, {'activation': 'none', 'background': None})
    scores = np.concatenate([piece.scores for piece in raw])
    # Boxes that are not finite are missing, with all their scores.
    return bool(classes and classes > 1 and scores.size and scores.max() <= 1 and abs(
        scores.sum(dtype=float) * classes / scores.size - 1) < _SUM_TOLERANCE)


def _names(labels: Labels | None, candidates: Sequence[Candidates]) -> Issues:
    if labels is None:
        return []
    last = max(class_id for class_id, _ in labels.items())
    beyond = max((int(piece.class_ids.max()) for piece in candidates if len(piece)), default=0)
    if beyond <= last:
        return []
    return [Issue(True, (
        f'the model found the class {beyond}, but the labels end at {last}: use the label file '
        'that belongs to this model, or check class_offset'))]


def _decoded(
    pipeline: Pipeline[Result], runs: Sequence[Run], changes: dict[str, Any],
) -> list[Candidates]:
    """Return all boxes, whatever their scores; empty if the decoder gives none."""
    descriptor = pipeline.descriptor
    assert descriptor.output.decoder is not None
    decoder = DECODERS[descriptor.output.decoder]
    options = decoder.load_options(
        descriptor.output.options, descriptor.origin, descriptor.directory)
    labels = pipeline.labels
    result = []
    for run in runs:
        decoded: Union[Candidates, object] = decoder.decode(
            run.outputs, replace(options, **changes), DecodeContext(
                input_size=run.geometry.model_size, score_threshold=0.0,
                label_count=None if labels is None else labels.class_count))
        if not isinstance(decoded, Candidates):
            return []
        result.append(decoded)
    return result


def _best(candidates: Sequence[Candidates]) -> NDArray[np.float32]:
    """Return the boxes with the highest scores of each image."""
    return np.concatenate([
        piece.boxes[np.argsort(-piece.scores, kind='stable')[:_BEST]] for piece in candidates])


def _option(descriptor: ModelDescriptor, name: str) -> Any:
    """Return a decoder's default of an option, or None if it has no such option."""
    assert descriptor.output.decoder is not None
    options = DECODERS[descriptor.output.decoder].parse_options({})
    return next((getattr(options, field.name) for field in dataclasses.fields(options)
                 if field.name == name), None)


def best_score(
    pipeline: Pipeline[Any], image: NDArray[Any], color: str, result: Result,
    options: Options,
) -> float | None:
    """Return the best score for an image, below the threshold too; None if there is none."""
    if isinstance(result, (Embedding, Segmentation)):
        return None
    scores = result.scores
    if not len(scores):
        scores = pipeline(image, color, options.replace(
            score_threshold=0.0, class_thresholds={}, multi_label=False, top_k=1,
            max_detections=1)).scores
    return float(scores[0]) if len(scores) else None


def nothing_found(best: float | None, threshold: float) -> tuple[str, bool]:
    """Say how good the best score is where nothing was found, and whether that is suspicious."""
    said = 'there is no score above 0' if not best else f'best score {best:.2g}'
    if (best or 0.0) >= _FAR_BELOW * min(threshold, _USUAL_THRESHOLD):
        return f'{said}, below the threshold of {threshold:g}', False
    return (f'{said}, far below the threshold of {threshold:g}: preprocessing or decoder is '
            'probably wrong, if the image shows what the model knows', True)
