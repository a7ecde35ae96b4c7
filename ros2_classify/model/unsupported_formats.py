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

"""Unsupported model formats, by name or first bytes, and how to convert each to ONNX."""

from __future__ import annotations

from pathlib import PurePath

# Suffixes; offset and bytes of the signature (empty: unknown); what it is; what to do.
_KINDS = (
    (('.tflite',), 4, b'TFL3', 'a TensorFlow Lite model',
     'convert it with "python3 -m tf2onnx.convert --tflite FILE --output FILE.onnx"'),
    (('.h5', '.hdf5', '.keras'), 0, b'\x89HDF', 'a Keras model',
     "export a SavedModel in Keras with model.export('directory'), and use that directory"),
    (('.pt', '.pth'), 0, b'PK\x03\x04', 'a PyTorch checkpoint, or another zip archive',
     'export a PyTorch model with torch.onnx.export; for an archive, set source.member in '
     'a descriptor'),
    (('.engine', '.plan', '.trt'), 0, b'', 'a TensorRT engine',
     'use the ONNX file that it was built from, with provider: tensorrt'),
)


def by_name(name: str) -> str | None:
    """Return what a file is by the suffix of its name."""
    suffix = PurePath(name).suffix.lower()
    return next((f'{what}; {step}' for suffixes, _, _, what, step in _KINDS
                 if suffix in suffixes), None)


def by_content(head: bytes) -> str | None:
    """Return what a file is by its first bytes."""
    return next((f'{what}; {step}' for _, start, magic, what, step in _KINDS
                 if magic and head[start:start + len(magic)] == magic), None)
