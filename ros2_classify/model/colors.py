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

"""The key `colors` of descriptors."""

from __future__ import annotations

from collections.abc import Mapping
import re
from typing import Any

from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.keys import Kind
from ros2_classify.results.overlay_colors import NAMED, PATTERN
from ros2_classify.yaml_config import Where


def _read_colors(value: Any, where: Where) -> FrozenMapping:
    if not isinstance(value, Mapping):
        raise where.error('must be a mapping of labels to colours, such as {red_light: red}')
    found = {}
    for label, color in value.items():
        if not isinstance(color, str) or not re.fullmatch(PATTERN, color):
            raise where.at(label).error(
                f'{color!r} is no colour; give "#rrggbb", in quotes, or one of '
                f'{", ".join(NAMED)}')
        found[str(label)] = color
    return FrozenMapping(found)


COLORS = Kind(_read_colors, {
    'type': 'object', 'additionalProperties': {'type': 'string', 'pattern': f'^({PATTERN})$'}},
    'mapping of labels to `"#rrggbb"` or a name')
COLORS_MEANING = 'colours on annotated images; see [Colours](#colours)'
