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

"""
Messages of the protocol's gRPC service, read and written without generated code.

Fields: https://github.com/kserve/open-inference-protocol, specification/protocol/
open_inference_grpc.proto; shared memory and configuration: Triton's grpc_service.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
import math
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray
from ros2_classify.engines.base import Tensors, TensorSpec
from ros2_classify.engines.remote.protocol import (
    facts_of, memory_for, ModelFacts, Request, size_of, spec_of)
from ros2_classify.engines.remote.shared_memory import Block
from ros2_classify.protobuf import (
    messages, read_fields, signed, text, varints, written, written_number)

# InferTensorContents: fields of numbers that are not sent as bytes.
_CONTENTS: Mapping[int, Any] = {6: np.float32, 7: np.float64}
_WHOLE = {1: np.bool_, 2: np.int32, 3: np.int64, 4: np.uint32, 5: np.uint64}


def _texts(*values: str) -> bytes:
    return b''.join(written(number, value.encode()) for number, value in enumerate(values, 1)
                    if value)


def model_request(model: str, version: str) -> bytes:
    """Return what names a model: ModelMetadataRequest, ModelConfigRequest."""
    return _texts(model, version)


def _parameters(number: int, values: Mapping[str, Union[str, int]]) -> bytes:
    """Return a map of InferParameter."""
    return b''.join(
        written(number, written(1, name.encode()) + written(2, written(
            3, value.encode()) if isinstance(value, str) else written_number(2, value)))
        for name, value in values.items())


def _region(number: int, block: Block | None, name: str) -> bytes:
    if block is None:
        return b''
    offset, size = block.places[name]
    return _parameters(number, {
        'shared_memory_region': block.name, 'shared_memory_offset': offset,
        'shared_memory_byte_size': size})


def infer_request(model: str, version: str, request: Request) -> bytes:
    """Return a ModelInferRequest but for its `raw_input_contents`."""
    parts = [_texts(model, version, '1')]
    for name, array in request.inputs.items():
        shape, datatype = request.described(array)
        parts.append(written(5, _texts(name, datatype) + b''.join(
            written_number(3, dim) for dim in shape) + _region(
                4, request.input_block, name)))
    for spec in request.outputs:
        parts.append(written(6, _texts(spec.name) + _region(2, request.output_block, spec.name)))
    return b''.join(parts)


def _tensors(data: memoryview, number: int) -> Iterator[tuple[str, str, list[int], memoryview]]:
    """Yield name, datatype, shape and contents of tensors."""
    for message in messages(data, number):
        name = datatype = ''
        shape: list[int] = []
        contents = memoryview(b'')
        for field, value in read_fields(message):
            if field == 1:
                name = text(value)
            elif field == 2:
                datatype = text(value)
            elif field == 3:
                shape += [signed(each) for each in (
                    [value] if isinstance(value, int) else varints(value))]
            elif field == 5 and isinstance(value, memoryview):
                contents = value
        yield name, datatype, shape, contents


def read_metadata(data: memoryview) -> ModelFacts:
    """Read a ModelMetadataResponse; ValueError if it is none."""
    def specs(number: int) -> list[TensorSpec]:
        return [spec_of(name, datatype, shape)
                for name, datatype, shape, _ in _tensors(data, number)]

    platform = [text(value) for field, value in read_fields(data) if field == 3]
    return facts_of(specs(4), specs(5), ''.join(platform),
                    [str(bytes(each), 'utf-8', 'replace') for each in messages(data, 2)])


def read_server(data: memoryview) -> str:
    """Read a ServerMetadataResponse."""
    return ' '.join(text(value) for field, value in read_fields(data) if field in (1, 2))


def read_max_batch(data: memoryview) -> int:
    """Read the batch size of a ModelConfigResponse; 0 if there is none."""
    return next((value for config in messages(data, 1) for field, value in read_fields(config)
                 if field == 4 and isinstance(value, int)), 0)


def read_outputs(data: memoryview, block: Block | None, into: Tensors) -> tuple[Tensors, str]:
    """Read a ModelInferResponse into the memory of `into`; ValueError if it is none."""
    raw = iter(list(messages(data, 6)))
    outputs: Tensors = {}
    for name, datatype, shape, contents in _tensors(data, 5):
        dtype, sizes = size_of(name, datatype, shape)
        if len(contents):
            outputs[name] = _read_contents(contents, name, math.prod(sizes)).astype(
                dtype).reshape(sizes)
            continue
        # One whose data is in shared memory has none, or an empty one.
        piece = next(raw, memoryview(b''))
        if block is not None and not len(piece):
            outputs[name] = block.view(name, sizes, dtype)
            continue
        array = memory_for(into, name, dtype, sizes)
        if len(piece) != array.nbytes:
            raise ValueError(f'{name!r} has {len(piece)} bytes')
        # Copied, since floats in a message are not aligned.
        array.reshape(-1).view(np.uint8)[:] = np.frombuffer(piece, np.uint8)
        outputs[name] = array
    version = [text(value) for field, value in read_fields(data) if field == 2]
    return outputs, ''.join(version)


def _read_contents(contents: memoryview, name: str, count: int) -> NDArray[Any]:
    """Read InferTensorContents, which are packed lists, and not far beyond the count."""
    found: list[NDArray[Any]] = []
    for field, value in read_fields(contents):
        if field in _CONTENTS and isinstance(value, memoryview):
            found.append(np.frombuffer(value, _CONTENTS[field]))
        elif field in _WHOLE:
            whole = [value] if isinstance(value, int) else varints(value)
            found.append(np.array([signed(each) for each in islice(whole, count + 1)]).astype(
                _WHOLE[field]))
        else:
            raise ValueError(f'{name!r} has contents of the field {field}')
        if sum(map(len, found)) > count:
            raise ValueError(f'{name!r} has more numbers than its shape')
    return np.concatenate(found)


def register_request(block: Block) -> bytes:
    """Return a SystemSharedMemoryRegisterRequest."""
    return _texts(block.name, f'/{block.name}') + written_number(4, block.size)


def unregister_request(block: Block) -> bytes:
    """Return a SystemSharedMemoryUnregisterRequest."""
    return _texts(block.name)
