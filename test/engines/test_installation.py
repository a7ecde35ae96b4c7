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

"""Which packages of ONNX Runtime are there."""

from importlib.metadata import distribution, PackageNotFoundError
from pathlib import Path
import sys

import pytest

from ros2_classify.engines.installation import DISTRIBUTIONS, installed_distributions


def test_the_packages_are_those_that_python_knows(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, file = tmp_path / 'first [1]', tmp_path / 'second', tmp_path / 'all.zip'
    for place in (first / 'onnxruntime_gpu-1.20.0.dist-info', first / 'numpy-2.0.0.dist-info',
                  first / 'onnxruntime_extensions-0.13.0.dist-info', first / 'onnxruntime',
                  second / 'onnxruntime-1.22.1.dist-info',
                  second / 'onnxruntime_qnn-1.0.egg-info'):
        place.mkdir(parents=True)
    file.touch()

    def known(name: str) -> bool:
        try:
            return bool(distribution(name))
        except PackageNotFoundError:
            return False

    for path in ([], [first], [file, tmp_path / 'none', first, second]):
        monkeypatch.setattr(sys, 'path', list(map(str, path)))
        assert installed_distributions() == tuple(filter(known, DISTRIBUTIONS))
    assert installed_distributions() == ('onnxruntime', 'onnxruntime-gpu', 'onnxruntime-qnn')
    monkeypatch.chdir(second)
    monkeypatch.setattr(sys, 'path', [''])
    assert installed_distributions() == ('onnxruntime', 'onnxruntime-qnn')
