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

"""The further models of a cascade, which look at what a detector has found: key `stages`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import os
from pathlib import Path
from typing import Any

from ros2_classify.keys import key, pattern, read_values, TEXT
from ros2_classify.yaml_config import Fields

MAX_CROPS = 256
_STAGE_NAME = pattern(
    '[A-Za-z](_?[A-Za-z0-9]){0,49}', 'must be 1 to 50 letters, digits or single "_", and start '
    'with a letter', 'letters, digits, `_`')


@dataclass(frozen=True)
class Stage:
    """A model that gets the crops of a detector's boxes, and how they are cut."""

    model: str = key(
        '', "the stage's model: a name from the catalogue, a descriptor or a model file (paths "
        "are relative to this descriptor's directory), or a URL", kind=TEXT,
        missing='write model: cards_classifier')
    classes: tuple[str, ...] = key(
        (), 'classes of the detector whose boxes it gets', value='list of labels', unset='all')
    padding: float = key(
        0.0, 'how much each crop is larger than its box, on each side, as a part of the box',
        low=0, high=1)
    max_crops: int = key(
        32, 'at most this many boxes of an image, the best ones', low=1, high=MAX_CROPS)
    budget_ms: float | None = key(
        None, 'milliseconds that the stage may take for the images of one inference: boxes '
        'that would take longer are skipped, the worst first', low=0, high=60000, above=True,
        unset='no limit')
    name: str = ''


def read_stages(fields: Fields) -> tuple[Stage, ...]:
    """Read the stages by name."""
    stages = []
    for name in fields:
        section = fields.section(name)
        values = read_values(section, Stage)
        stages.append(Stage(**{**values, 'name': _STAGE_NAME.read(name, fields.where.at(name))}))
    return tuple(stages)


def stage_data(stage: Stage) -> Mapping[str, Any]:
    """Return a stage as the plain data of a descriptor file."""
    default = Stage()
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(stage).items()
            if name != 'name' and value != getattr(default, name)}


def beside(model: str, directory: Path | None) -> str:
    """Return a model that a descriptor names; a file beside the descriptor by its path."""
    if directory is not None and '://' not in model:
        path = directory / os.path.expanduser(model)
        if path.exists():
            return str(path)
    return model
