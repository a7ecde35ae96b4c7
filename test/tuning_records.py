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

"""Tuning records for tests."""

from pathlib import Path
from typing import Any

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines.tuning_record import DEFAULTS, environment


def row(name: str, gain: float, **settings: Any) -> dict[str, Any]:
    return {
        'name': name, 'default': not settings, 'runtime': '', 'variant': '', 'refused': '',
        'settings': {**DEFAULTS, 'provider': 'cpu', 'threads': 1, **settings},
        'latency_ms': 10 / gain, 'images_per_second': 100 * gain, 'cpu_ms': 10.0, 'gain': gain,
        'gain_low': gain - 0.1, 'gain_high': gain + 0.1,
        'parity': {'agreement': 1.0, 'score': 2e-6}}


def record(model: Path, *rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        'version': 1, 'made': '2026-11-30T10:00:00Z', 'target': 'latency', 'cameras': 1,
        'model': {'name': 'colors', 'sha256': sha256_of_file(model)}, 'in_use': None,
        'environment': environment(), 'rows': [row('default', 1.0), *rows], **changes}
