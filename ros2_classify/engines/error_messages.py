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

"""What ONNX Runtime's errors mean: why a model does not load, and why it stops running."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

from ros2_classify.errors import EngineError, EngineMemoryError, ProviderLostError
from ros2_classify.model.catalog import by_content

# Known messages of ONNX Runtime, and what they mean.
_CAUSES = tuple((re.compile(pattern), sentence) for pattern, sentence in (
    (r'(?i)protobuf parsing failed',
     'it is not an ONNX model, or is cut off: get the file again'),
    (r'Opset (\d+) is under development.* till opset (\d+)',
     r'it uses opset \1, but this version knows opsets up to \2: install a newer onnxruntime, or '
     r'export the model with opset \2'),
    (r'Unsupported model IR version: (\d+), max supported IR version: (\d+)',
     r'it is written in ONNX IR version \1, but this version knows up to \2: install a newer '
     r'onnxruntime, or save the model with an older onnx package'),
    (r'No Op registered for (\S+) with domain_version of (\d+)',
     r'it uses the operator \1, which opset \2 does not have: install a newer onnxruntime, or '
     r'export the model without it'),
    (r'([\w.]+:\w+)\(-?\d+\) is not a registered function/op',
     r'it uses the operator \1, which is not part of ONNX: export the model without it'),
    (r'External data path does not exist: "?([^"]+?)"?$',
     r'its weights are in a second file that is missing: put \1 back'),
    # The same in older versions.
    (r'cannot get file size: No such file or directory \[(.+?)\]',
     r'its weights are in a second file that is missing: put \1 back'),
    (r'GetFileLength for (.+?) failed',
     r'its weights are in a second file that is missing: put \1 back'),
    (r'External initializer: (\S+) offset: \d+ size to read: \d+ given file_length',
     r'the second file that holds its weights is cut off (at \1): get that file again'),
    (r'Failed to find kernel for (\S+)\(',
     r'it uses the operator \1 with a type that this provider cannot run'),
))
_NOISE = tuple(re.compile(pattern) for pattern in (
    r'\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ',
    r'(?:Load model from|Load model) \S+ failed:\s*',
    r'\S*\b\w+\.(?:cc|h|cpp|hpp):\d+ (?:\w+ )?',
    r'(?:[\w:&<>*~]+ )*onnxruntime::[\w:~<>]+\([^)]*\)(?: const)? ',
))
# CUDA errors (https://docs.nvidia.com/cuda/cuda-runtime-api, cudaError_t) after which the device,
# or this process's context on it, is unusable: no driver, no device, illegal access and the like.
_LOST_CODES = ('3|4|35|36|46|100|101|214|219|220|700|702|709|710|714|715|716|717|718|719|720|'
               '721|800|802|803|804|999')
_MEMORY = re.compile(
    r'(?i)out of memory|OutOfMemory|bad_alloc|bad allocation|'
    r'Failed to allocate memory|Available memory of \d+ is smaller than|'
    r'CUDA (?:failure|error) 2\b|STATUS_ALLOC_FAILED|hipErrorOutOfMemory')
_LOST = re.compile(
    rf'(?i)CUDA (?:failure|error) (?:{_LOST_CODES})\b|no CUDA-capable device|'
    r'illegal memory access|unspecified launch failure|device-side assert|'
    r'driver shutting down|uncorrectable ECC|'
    r'(?:GPU|device) (?:is|was|has been) (?:lost|removed|reset)|DXGI_ERROR_DEVICE_|DEVICE_RESET|'
    r'CUDNN_STATUS_(?:EXECUTION_FAILED|NOT_INITIALIZED)|CUBLAS_STATUS_(?:EXECUTION_FAILED|'
    r'NOT_INITIALIZED)|hipErrorNoDevice')


def fault(error: BaseException) -> type[EngineError]:
    """Return the kind of error that an exception of ONNX Runtime is."""
    text = str(error)
    if isinstance(error, MemoryError) or _MEMORY.search(text):
        return EngineMemoryError
    if type(error).__name__ == 'DeviceReset' or _LOST.search(text):
        return ProviderLostError
    return EngineError


def tidy(error: BaseException) -> str:
    """Return ONNX Runtime's message in one sentence, without error codes and build paths."""
    text = ' '.join(str(error).split())
    for pattern, sentence in _CAUSES:
        found = pattern.search(text)
        if found:
            return found.expand(sentence)
    for noise in _NOISE:
        text = noise.sub('', text)
    text = text.strip().rstrip('.')
    return f'{text[:400]}…' if len(text) > 400 else text or type(error).__name__


def check_texts(path: Path, session: Any) -> None:
    """Check that a model's texts are UTF-8: ONNX Runtime runs others, but can't read them."""
    try:
        for node in (*session.get_inputs(), *session.get_outputs()):
            node.name, node.shape  # noqa: B018
        session.get_modelmeta().custom_metadata_map  # noqa: B018
    except UnicodeDecodeError as error:
        raise EngineError(
            f'{path}: a name or the metadata in it is not UTF-8 text ({error.reason}): the file '
            'is damaged, get it again') from error


def check_file(path: Path) -> None:
    """Refuse a file that obviously is not a model, with a better message than ONNX Runtime's."""
    try:
        with path.open('rb') as file:
            head = file.read(256)
    except OSError as error:
        raise EngineError(f'{path}: the model cannot be read: {error.strerror}') from error
    if not head:
        raise EngineError(f'{path}: the model file is empty')
    if head.startswith(b'version https://git-lfs'):
        raise EngineError(
            f'{path}: this is a Git LFS pointer, not the model: run git lfs pull in its directory')
    if head.lstrip()[:1] == b'<':
        raise EngineError(
            f'{path}: this is a web page or XML, not an ONNX model: download the file itself')
    from ros2_classify.image_io import media_kind

    if known_as := media_kind(head) or by_content(head):
        raise EngineError(f'{path}: this is not an ONNX model but {known_as}')
