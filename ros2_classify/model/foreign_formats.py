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

"""Other programs' model files, told by name or first bytes, and the way from each to ONNX."""

from __future__ import annotations

from pathlib import PurePath

# Endings, where in the file what stands (nothing: unknown), what it is, and what to do.
_KINDS = (
    (('.tflite',), 4, b'TFL3', 'a TensorFlow Lite model',
     'make an ONNX file of it with "python3 -m tf2onnx.convert --tflite FILE --output FILE.onnx"'),
    (('.h5', '.hdf5', '.keras'), 0, b'\x89HDF', 'a Keras model',
     "write it as a SavedModel in Keras, with model.export('directory'), and give that directory"),
    (('.pt', '.pth'), 0, b'PK\x03\x04', 'a PyTorch checkpoint, or another zip archive',
     'export a PyTorch model with torch.onnx.export, or name what an archive holds as '
     'source.member in a descriptor'),
    (('.engine', '.plan', '.trt'), 0, b'', 'a TensorRT engine',
     'give the ONNX file that it was built from, and say provider: tensorrt'),
)


def by_name(name: str) -> str | None:
    """
    Say what a file is by the end of its name.

    Parameters
    ----------
    name : str
        The file's name or path.

    Returns
    -------
    str or None
        What it is and what to do, ``"a Keras model; write it …"``; None where nothing tells.

    """
    suffix = PurePath(name).suffix.lower()
    return next((f'{what}; {step}' for suffixes, _, _, what, step in _KINDS
                 if suffix in suffixes), None)


def by_content(head: bytes) -> str | None:
    """
    Say what a file is by its first bytes, whatever its name.

    Parameters
    ----------
    head : bytes
        At least eight of them, where there are so many.

    Returns
    -------
    str or None
        As `by_name`.

    """
    return next((f'{what}; {step}' for _, start, magic, what, step in _KINDS
                 if magic and head[start:start + len(magic)] == magic), None)
