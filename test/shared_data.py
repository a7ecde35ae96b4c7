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

"""Finds the directory of published models, labels and images that many tests use."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = 'ROS2_CLASSIFY_TEST_DATA'
ROOT = Path(__file__).resolve().parent.parent

REASON = (f'the published models and images are not here: name their directory in {VARIABLE}, or '
          'put it at shared/data in or beside the source tree')


def find_data() -> Path | None:
    """Return the directory, or None where there is none."""
    named = os.environ.get(VARIABLE)
    places = [Path(named)] if named else [ROOT / 'shared/data', ROOT.parent / 'shared/data']
    return next((place for place in places if (place / 'MANIFEST.md').is_file()), None)


def model_path(data: Path) -> str:
    """Return a ROS2_CLASSIFY_MODEL_PATH with the test descriptors and all that they name."""
    directories = [ROOT / 'test/descriptors', data / 'models',
                   data / 'models/ssd_mobilenet_v1_0.75_coco', data / 'labels']
    return os.pathsep.join(str(directory) for directory in directories)
