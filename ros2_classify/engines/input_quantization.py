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
Scale and zero point of a model's quantized inputs, from the operator that takes them.

Operators: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html and the like; all take the
scale as their second and the zero point as their third input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import math
from pathlib import Path

from ros2_classify.engines.base import Quantization
from ros2_classify.engines.onnx_file import map_file
from ros2_classify.engines.quantized_outputs import (
    FLOATS, INTEGERS, MOVES, read_node, read_scalar)
from ros2_classify.protobuf import messages, read_fields, text, WireError

_TAKES_QUANTIZED = {'DequantizeLinear', 'QLinearConv', 'QLinearMatMul'}
_GRAPH, _NODE, _INITIALIZER, _NAME = 7, 1, 5, 8


def input_quantization(path: Path, names: Iterable[str]) -> dict[str, Quantization]:
    """Return scale and zero point of those inputs that have one of each, for all pixels."""
    try:
        return _read(map_file(path), names)
    except (WireError, OSError, ValueError):
        return {}


def _read(data: memoryview, names: Iterable[str]) -> dict[str, Quantization]:
    graph = next(messages(data, _GRAPH))
    constants: dict[str, memoryview] = {}
    for tensor in messages(graph, _INITIALIZER):
        for number, value in read_fields(tensor):
            if number == _NAME:
                constants[text(value)] = tensor
    # What an input is called after it was moved; nodes are in the order in which they run.
    called = {name: name for name in names}
    found: dict[str, set[Quantization | None]] = {}
    for node in messages(graph, _NODE):
        operator, inputs, outputs, constant = read_node(node)
        if operator == 'Constant' and constant is not None:
            constants.update(dict.fromkeys(outputs, constant))
        elif operator in MOVES and inputs and inputs[0] in called:
            called.update(dict.fromkeys(outputs, called[inputs[0]]))
        elif taken := [name for name in inputs if name in called]:
            known = operator in _TAKES_QUANTIZED and taken == [inputs[0]]
            found.setdefault(called[taken[0]], set()).add(
                _quantization(inputs, constants) if known else None)
    return {name: one for name, (one, *others) in found.items() if one and not others}


def _quantization(
    inputs: Sequence[str], constants: Mapping[str, memoryview],
) -> Quantization | None:
    scale_name, zero_name = (*inputs[1:], '', '')[:2]
    scale = read_scalar(constants.get(scale_name), FLOATS)
    zero_point = read_scalar(constants.get(zero_name), INTEGERS) if zero_name else 0.0
    if scale is None or zero_point is None or not 0 < scale < math.inf:
        return None
    return Quantization(scale, int(zero_point))
