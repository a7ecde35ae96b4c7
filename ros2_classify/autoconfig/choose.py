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
Choose what a bare model's outputs mean: the only hypothesis that nothing contradicts, or ask.

A stronger hypothesis wins over weaker ones; several equally strong ones are listed in an error,
each with the line of a descriptor that decides for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ros2_classify.autoconfig import (
    classifiers, dense_detectors, named_detectors, prior_detectors, row_detectors)
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, InputSettings
from ros2_classify.autoconfig.trial import Trial
from ros2_classify.errors import DescriptorError
from ros2_classify.model.input_spec import PIXEL_KEYS

_SCALING = ('scale', 'mean', 'std')
_RESIZES = {'stretch': 'stretched', 'center_crop': 'centre crop', 'letterbox': 'letterbox'}
_FAMILIES = (named_detectors, dense_detectors, row_detectors, prior_detectors)


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that the outputs may mean, of the task that is declared if one is."""
    for task, family in (('detection', _detectors),
                         ('classification', classifiers.classification),
                         ('segmentation', classifiers.segmentation),
                         ('embedding', classifiers.embedding)):
        if evidence.task in (None, task):
            for each in family(evidence):
                yield replace(each, settings=_fitting(each.settings, evidence))


def _detectors(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a detector may be; what the model's own numbers contradict goes later."""
    if not evidence.outputs or evidence.exporter_task in ('classify', 'semantic'):
        return
    for family in _FAMILIES:
        yield from family.hypotheses(evidence)


def choose(evidence: Evidence, trial: Trial) -> Hypothesis:
    """
    Return what the outputs mean.

    Raises DescriptorError if nothing fits, if several meanings are equally likely, or if the
    likely one needs what is not in the file.
    """
    for name, array in evidence.arrays.items():
        bad = int((~np.isfinite(array)).sum()) if array.dtype.kind == 'f' else 0
        if bad:
            raise DescriptorError(
                f'the output {name!r} is NaN or infinite in {bad} of {array.size} numbers for a '
                'sample image: a float16 overflow or a broken export; try a float32 export')
    alive: list[Hypothesis] = []
    against: list[str] = []
    for each in hypotheses(evidence):
        words = '' if each.missing else trial.contradiction(each, evidence)
        if words:
            against.append(f'{each.line()}: {words}')
        elif not any(_same(each, other) for other in alive):
            alive.append(each)
    if not alive:
        raise DescriptorError(_nothing(evidence, against))
    most = max(each.strength for each in alive)
    best = [each for each in alive if each.strength == most]
    runs = [each for each in best if not each.missing]
    if len(best) == 1 and runs:
        return best[0]
    if len(best) == 1:
        raise DescriptorError(best[0].missing)
    listed = '; or '.join(each.missing or f'{each.line()}, because {each.why}' for each in best)
    raise DescriptorError(
        f'the file does not tell which of {len(best)} readings of its outputs is right; declare '
        f'the right one in a descriptor: {listed}')


def _same(first: Hypothesis, second: Hypothesis) -> bool:
    return (first.decoder, first.options, first.missing) == (
        second.decoder, second.options, second.missing)


def _nothing(evidence: Evidence, against: Sequence[str]) -> str:
    """Say what the outputs look like, for a model that no family fits."""
    # Imported here because the decoders import OpenCV.
    from ros2_classify.decoders import DECODERS

    known = [name for name, decoder in DECODERS.items()
             if evidence.task in (None, decoder.task)]
    listed = '; '.join(
        f'{tensor}{_range(evidence.arrays.get(tensor.name))}' for tensor in evidence.outputs)
    tried = f' (tried: {"; ".join(against)})' if against else ''
    return (
        f'what the outputs mean does not follow from them: {listed or "none"}{tried}; declare it '
        'in a descriptor, a .yaml file like {source: {path: FILE}, labels: labels.txt, input: '
        f'{{color: rgb, scale: 1/255}}, output: {{decoder: {known[0]}}}}}, with one of '
        f'the decoders {", ".join(known)}, which docs/decoders.md describes')


def _range(array: Any) -> str:
    """Return the range of an output's numbers for the sample image."""
    if array is None or array.dtype.kind not in 'fiu' or not array.size:
        return ''
    return f' ({array.min():.4g} to {array.max():.4g})'


def _fitting(settings: InputSettings, evidence: Evidence) -> InputSettings:
    """Fit a family's input settings to the graph: what it does itself, or cannot take."""
    fields, unverified = dict(settings.fields), settings.unverified
    sentence = settings.sentence
    takes = evidence.graph.begins.get(evidence.spec.name or '')
    if evidence.spec.whole:
        fields = {key: value for key, value in fields.items() if key not in _SCALING}
        sentence = 'whole pixels, as the type of the input says'
    elif takes is not None:
        fields = {key: value for key, value in fields.items() if key not in _SCALING}
        how = _RESIZES[fields.get('resize', 'stretch')]
        sentence = f'pixels from 0 to 255, because the graph scales them itself; {how}'
        if takes == 'unit':
            fields['scale'] = 1 / 255
            sentence = f'pixels from 0 to 1, because the graph normalizes them itself; {how}'
    plain = evidence.spec.whole and not evidence.spec.quantization
    if evidence.spec.pixels is not None and not plain:
        fields = {key: value for key, value in fields.items() if key not in PIXEL_KEYS}
        sentence = f'as pixels: {evidence.spec.pixels} says'
        unverified = tuple(key for key in unverified if key.partition('.')[2] not in PIXEL_KEYS)
    elif plain or takes is not None:
        unverified = tuple(key for key in unverified if key.partition('.')[2] not in _SCALING)
    if evidence.spec.color == 'gray':
        fields.pop('color', None)
        fields.update({key: (float(np.mean(fields[key])),) for key in ('mean', 'std')
                       if key in fields})
        unverified = tuple(key for key in unverified if key != 'input.color')
    if evidence.size is None:
        for name in ('resize', 'anchor', 'pad_value', 'crop_fraction'):
            fields.pop(name, None)
    return InputSettings(fields, sentence, unverified)
