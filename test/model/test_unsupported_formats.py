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

"""Other programs' model files."""

from __future__ import annotations

from pathlib import Path
import zipfile

import pytest
from ros2_classify.errors import ModelNotFoundError
from ros2_classify.inspection import check_model
from ros2_classify.model import catalog


@pytest.mark.parametrize('name, words', [
    ('net.tflite', 'is a TensorFlow Lite model; .*tf2onnx.convert --tflite'),
    ('net.h5', 'is a Keras model; .*model.export'),
    ('net.KERAS', 'is a Keras model'),
    ('net.pt', 'is a PyTorch checkpoint, .*torch.onnx.export'),
    ('net.engine', 'is a TensorRT engine; use the ONNX file'),
])
def test_names(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b'x')
    with pytest.raises(ModelNotFoundError, match=words):
        catalog.resolve(tmp_path / name)
    with pytest.raises(ModelNotFoundError, match='no such file'):
        catalog.resolve(tmp_path / f'gone_{name}')


@pytest.mark.parametrize('content, words', [
    (b'\x1c\0\0\0TFL3\0\0', 'a TensorFlow Lite model'),
    (b'\x89HDF\r\n\x1a\n', 'a Keras model'),
    (b'', 'a PyTorch checkpoint, or another zip archive'),
])
def test_contents(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / 'net.onnx'
    path.write_bytes(content)
    if not content:
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('archive/data.pkl', 'x')
    problem, = check_model(path, provider='cpu').problems
    assert f'this is not an ONNX model but {words}' in problem
