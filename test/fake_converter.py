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

"""A fake of a Python with TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import Any

import numpy as np
from ros2_classify.testing import save_constant_model

HERE = Path(__file__).resolve().parent


class FakeConverter:
    """A fake of a Python with TensorFlow, written into a directory; remembers its requests."""

    def __init__(self, directory: Path) -> None:
        self.python = directory / 'python'
        self.calls = directory / 'calls'
        self._plan = directory / 'plan.json'
        self.calls.mkdir(parents=True)
        lines = (HERE / 'fake_python.py').read_text(encoding='utf-8')
        self.python.write_text(f'#!{sys.executable}\n{lines}', encoding='utf-8')
        self.python.chmod(0o755)
        result = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
        save_constant_model(directory / 'fake.onnx', {'softmax:0': result}, input_name='input:0',
                            input_shape=(None, 8, 8, 3))
        np.savez(directory / 'results.npz', result)
        self.plan(does='convert', versions=['1.17.0', '2.21.0'], calls=str(self.calls),
                  model=str(directory / 'fake.onnx'), results=str(directory / 'results.npz'),
                  outputs=['softmax:0'])

    def plan(self, **changes: Any) -> None:
        """Change its plan."""
        plan = json.loads(self._plan.read_text()) if self._plan.exists() else {}
        self._plan.write_text(json.dumps({**plan, **changes}))

    def requests(self) -> list[dict[str, Any]]:
        """Return all requests so far."""
        return [json.loads(path.read_text()) for path in sorted(self.calls.iterdir())]
