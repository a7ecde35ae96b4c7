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

"""The fixtures of the other tests with real nodes: processes, a peer, tiny models."""

import importlib.util
from pathlib import Path
import sys

# They live beside their own helpers.
FOLDER = Path(__file__).resolve().parents[2] / 'ros'
sys.path.insert(0, str(FOLDER))
_SPEC = importlib.util.spec_from_file_location('ros_fixtures', FOLDER / 'conftest.py')
assert _SPEC is not None and _SPEC.loader is not None
_fixtures = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_fixtures)

ros, peer, start = _fixtures.ros, _fixtures.peer, _fixtures.start
classifier, detector = _fixtures.classifier, _fixtures.detector
