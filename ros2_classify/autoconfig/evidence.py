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
What is known about a bare model, and what its outputs may mean.

A family states hypotheses, each with the strength of its evidence.
`ros2_classify.autoconfig.trial` takes away those that the model's own numbers contradict, and
`ros2_classify.autoconfig.choose` runs the only one that is left, or asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ros2_classify.autoconfig.graph import Graph
from ros2_classify.engines.base import Tensors, TensorSpec
from ros2_classify.model.descriptor import Task
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.model.labels import Labels


class Strength(IntEnum):
    """
    How strong the evidence for a hypothesis is; a stronger one wins.

    The exporter's own words (metadata, operators, names of outputs that one exporter writes) are
    stronger than exact relations of shapes, and these than a shape that is merely usual.
    """

    USUAL = 1
    EXACT = 2
    STATED = 3


@dataclass(frozen=True)
class InputSettings:
    """How a family is fed, and what neither the file nor a published convention settles."""

    fields: Mapping[str, Any]  # fields of `InputSpec` that differ from the defaults
    sentence: str  # how, and who says so
    unverified: tuple[str, ...] = ()  # keys such as ``input.mean``


@dataclass(frozen=True)
class Hypothesis:
    """What the outputs may mean."""

    # these three as a descriptor declares them
    task: Task
    decoder: str
    options: Mapping[str, Any]
    why: str  # the evidence: "the output … has a row for each of the 3549 cells"
    strength: Strength
    settings: InputSettings
    details: tuple[str, ...] = ()  # what else was inferred: ``output.background: 0, because …``
    unverified: tuple[str, ...] = ()  # keys that only the user can confirm
    missing: str = ''  # what the file can't say and a descriptor must; '' if it can run
    # the output and its column that must hold whole numbers
    class_column: tuple[str, int] | None = None
    boxes: int = 0  # how many must come out, all finite; 0 if it varies
    # grids whose cells give one box each, or `anchors` of them, row by row; empty without grids
    strides: tuple[int, ...] = ()
    anchors: int = 1  # boxes for each cell, anchor by anchor
    # the output and its columns, from and up to, that must each be from 0 to 1
    probabilities: tuple[str, int, int] | None = None
    step: float = 0.0  # of scores that the graph rounds to whole numbers; 0 if it does not

    def line(self) -> str:
        """Return the line of a descriptor that decides for it."""
        options = ''.join(f', {key}: {_flow(value)}' for key, value in self.options.items())
        return f'output: {{decoder: {self.decoder}{options}}}'


@dataclass(frozen=True)
class Evidence:
    """What is known about a model without a descriptor."""

    spec: InputSpec  # name, layout, type and, unless the model takes any, size
    outputs: Sequence[TensorSpec]  # as the model gave them in a run, or as the graph declares them
    graph: Graph = field(default_factory=Graph)
    metadata: Mapping[str, str] = field(default_factory=dict)  # what the exporter wrote
    task: Task | None = None  # that the user or the exporter declares
    stated_labels: Labels | None = None  # in the metadata or a descriptor
    labels: Labels | None = None  # these, or those in a file beside the model
    arrays: Tensors = field(default_factory=dict)  # the outputs of that run
    # outputs with a free first dimension although the batch is not: a row for each object
    rows: frozenset[str] = frozenset()

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the input, or None for any."""
        return self.spec.size if isinstance(self.spec.size, tuple) else None

    @property
    def names(self) -> int | None:
        """The number of class names that the exporter or a descriptor states."""
        return len(self.stated_labels) if self.stated_labels else None

    @property
    def exporter_task(self) -> str:
        """The task in the metadata, in the exporter's word."""
        return self.metadata.get('task', '').strip().lower()

    @property
    def ultralytics(self) -> bool:
        """Whether the exporter of Ultralytics wrote the file."""
        return self.metadata.get('author', '') == 'Ultralytics'


def plain(name: str) -> str:
    """Return an output's name without scope and without TensorFlow's ``:0``, in lower case."""
    return name.partition(':')[0].rpartition('/')[2].lower()


def _flow(value: Any) -> str:
    """Return a value as YAML writes it on one line."""
    if isinstance(value, Mapping):
        return '{' + ', '.join(f'{key}: {_flow(item)}' for key, item in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(_flow(item) for item in value) + ']'
    if isinstance(value, bool):
        return 'true' if value else 'false'
    text = str(value)
    return f"'{text}'" if isinstance(value, str) and (
        text[:1].isdigit() or any(mark in text for mark in ':{}[],#& ')) else text
