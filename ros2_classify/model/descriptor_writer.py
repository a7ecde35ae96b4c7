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

"""Descriptors as plain data: the reverse of the parser."""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
import json
from typing import Any

from ros2_classify.model.clip_spec import clip_data
from ros2_classify.model.defaults import Defaults
from ros2_classify.model.descriptor import ModelDescriptor, OutputSpec
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.model.labels import Labels
from ros2_classify.model.stages import stage_data


def mapping_of(descriptor: ModelDescriptor) -> dict[str, Any]:
    """Return a descriptor as the plain data of a descriptor file."""
    source = {key: thaw(value) for key, value in vars(descriptor.source).items() if value}
    data: dict[str, Any] = {
        'name': descriptor.name, 'task': descriptor.task, 'source': source,
        'format': descriptor.format, 'labels': _labels(descriptor.labels),
        'colors': thaw(descriptor.colors),
        'input': _input(
            descriptor.input, vectors=bool(descriptor.clip and descriptor.clip.encoder)),
        'output': _output(descriptor.output),
        'heads': {head.name: _head(head) for head in descriptor.heads},
        'stages': {stage.name: stage_data(stage) for stage in descriptor.stages},
        **clip_data(descriptor.clip, descriptor.state),
        'convert': {key: list(value) if isinstance(value, tuple) else value
                    for key, value in vars(descriptor.conversion).items() if value},
        'defaults': _defaults(descriptor.defaults),
        'license': descriptor.license, 'provenance': descriptor.provenance,
        'notes': descriptor.notes, 'unverified': list(descriptor.unverified)}
    if descriptor.heads:
        data.update(task=None, labels=None, colors=None, output=None, defaults=None)
    return {key: value for key, value in data.items() if value not in (None, '', {}, [])}


def meaning_of(descriptor: ModelDescriptor) -> str:
    """Return a hash of all that gives a model's numbers their meaning, whatever its file is."""
    about = ('name', 'source', 'defaults', 'license', 'provenance', 'notes')
    data = {key: value for key, value in mapping_of(descriptor).items() if key not in about}
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()


def _output(output: OutputSpec) -> dict[str, Any]:
    """Return the keys of an output that are declared."""
    if output.decoder is None:
        return {}
    common = {key: value for key, value in vars(output).items()
              if key not in ('decoder', 'options') and value is not None}
    return {'decoder': output.decoder, **common, **thaw(output.options)}


def _head(head: ModelDescriptor) -> dict[str, Any]:
    more = {'labels': _labels(head.labels), 'colors': thaw(head.colors),
            'defaults': _defaults(head.defaults)}
    return {**_output(head.output), **{key: value for key, value in more.items() if value}}


def _defaults(defaults: Defaults) -> dict[str, Any]:
    found = {key: thaw(value) for key, value in vars(defaults).items() if value is not None}
    if 'tiles' in found:
        found['tiles'] = 'x'.join(map(str, found['tiles']))
    if len(found.get('roi', ())) == 2:
        found['roi'] = [*found['roi'][0], *found['roi'][1]]
    return found


def thaw(value: Any) -> Any:
    """Return plain dictionaries and lists for immutable ones."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return [thaw(item) for item in value] if isinstance(value, (tuple, list)) else value


def _labels(labels: Labels | str | None) -> Any:
    if not isinstance(labels, Labels):
        return labels
    names = dict(labels.items())
    return list(names.values()) if labels.class_count is not None else names


def _input(spec: InputSpec, *, vectors: bool = False) -> dict[str, Any]:
    """Return the keys that apply, with defaults: users verify them."""
    if vectors:
        return {key: thaw(value) for key, value in (
            ('name', spec.name), ('extra', spec.extra)) if value}
    data: dict[str, Any] = {
        'name': spec.name, 'size': list(spec.size) if isinstance(spec.size, tuple) else spec.size,
        'layout': spec.layout, 'dtype': spec.dtype, 'color': spec.color}
    if not spec.whole or spec.quantization or not spec.plain:
        data.update(scale='1/255' if spec.scale == 1 / 255 else spec.scale,
                    mean=list(spec.mean), std=list(spec.std))
    if spec.input_range != InputSpec.input_range:
        data['input_range'] = spec.input_range
    if spec.size_multiple != 1:
        data['size_multiple'] = spec.size_multiple
    if spec.quantization is not None:
        data['quantization'] = vars(spec.quantization).copy()
    if spec.size != 'source':
        data['resize'] = spec.resize
    if spec.resize == 'center_crop':
        data['crop_fraction'] = spec.crop_fraction
    if spec.resize == 'letterbox':
        data.update(anchor=spec.anchor, pad_value=spec.pad_value)
    data['interpolation'] = spec.interpolation
    if spec.extra:
        data['extra'] = thaw(spec.extra)
    return {key: value for key, value in data.items() if value is not None}
