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
Files beside a model file that describe it: a descriptor, or its labels.

For ``net.onnx`` (or a SavedModel's directory ``net``) these are, in this order:

- ``net.yaml``, ``net.yml``: a descriptor, whose ``source`` is optional; or a list ``names``
  as training tools write it;
- ``net.txt``, ``net.names``, ``net.labels``, ``net.pbtxt``, ``net.json``, ``net.csv``,
  ``net_labels.txt``, ``net.labels.txt``, ``net_labels.json``: a label file;
- ``labels.txt``, ``labels.json``, ``labels.csv``: a label file, if the directory has no other
  model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
import os
from pathlib import Path
from typing import Any

from ros2_classify.errors import DescriptorError, LabelsError, Ros2ClassifyError
from ros2_classify.model.descriptor import (
    ModelDescriptor, parse_descriptor, read_text, SAVED_MODEL_FILE, SUFFIXES)
from ros2_classify.model.labels import Labels, load_labels
from ros2_classify.paths import locate
from ros2_classify.yaml_config import read_yaml

_DESCRIPTORS = ('.yaml', '.yml')
# A YAML file with one of these keys must be a valid descriptor.
_TELLING = ('source', 'input', 'output', 'labels', 'defaults')
_NAMES = ('names', 'class_names')
_LABELS = ('{}.txt', '{}.names', '{}.labels', '{}.pbtxt', '{}.json', '{}.csv', '{}_labels.txt',
           '{}.labels.txt', '{}_labels.json')
_SHARED = ('labels.txt', 'labels.json', 'labels.csv')


def with_companion_files(bare: ModelDescriptor, model: Path) -> ModelDescriptor:
    """Complete the descriptor of a model file from the files beside it."""
    stem = model.name if model.is_dir() else model.stem
    found = bare
    for suffix in _DESCRIPTORS:
        path = model.with_name(f'{stem}{suffix}')
        if path.is_file():
            found = _from_yaml(path, bare, model)
            break
    if found.labels is not None or found.origin != bare.origin:
        return found
    for pattern in _LABELS:
        path = model.with_name(pattern.format(stem))
        if path.is_file() and _holds_names(path):
            return _labelled(found, path.name, path.name)
    directories = [model, model / 'assets'] if model.is_dir() else []
    if _only_model(model):
        directories.append(model.parent)
    places = [directory / name for directory in directories for name in _SHARED]
    for path in places:
        if path.is_file() and _holds_names(path):
            name = str(path.relative_to(model.parent))
            return _labelled(found, name, name)
    return found


def _from_yaml(path: Path, bare: ModelDescriptor, model: Path) -> ModelDescriptor:
    """Return the descriptor in a YAML file, or ``bare``, with labels if it has any."""
    try:
        data, where = read_yaml(read_text(path), str(path))
    except DescriptorError:
        # It may be for another program: only descriptors must be valid.
        return bare
    if not isinstance(data, Mapping):
        return bare
    if any(key in data for key in _TELLING):
        if 'source' not in data:
            data = {**data, 'source': {'path': model.name}}
        descriptor = parse_descriptor(data, where, name=path.stem, directory=path.parent)
        if not _is_of(descriptor, model):
            return bare
        return replace(descriptor, format=bare.format, inferred=(
            f'descriptor: {path.name}, because it is beside the model and has its name',))
    for key in _NAMES:
        if (labels := _names(data.get(key))) is not None:
            return _labelled(bare, labels, f'{key} in {path.name}')
    return bare


def _is_of(descriptor: ModelDescriptor, model: Path) -> bool:
    """Return whether a descriptor is for this model."""
    if descriptor.source.member is not None or descriptor.source.url:
        return False
    try:
        path = locate(
            descriptor.source.path, descriptor.directory, what='model file',
            origin=descriptor.origin, or_directory=descriptor.format != 'onnx')
    except Ros2ClassifyError:
        return False
    return os.path.samefile(path, model)


def _names(value: Any) -> Labels | None:
    try:
        return Labels.from_data(value) if isinstance(value, (Mapping, list, tuple)) else None
    except LabelsError:
        return None


def _holds_names(path: Path) -> bool:
    try:
        load_labels(path)
    except LabelsError:
        return False
    return True


def _only_model(model: Path) -> bool:
    """Return whether a directory has no other model."""
    others = [item for item in model.parent.iterdir() if item != model and (
        item.suffix.lower() in SUFFIXES or (item / SAVED_MODEL_FILE).is_file())]
    return not others


def _labelled(bare: ModelDescriptor, labels: Labels | str, name: str) -> ModelDescriptor:
    return replace(bare, labels=labels, inferred=(
        f'labels: {name}, because it is beside the model',))
