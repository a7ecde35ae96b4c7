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
Operators that ONNX Runtime does not support, or that a provider leaves to the CPU.

The former are found by its list of schemas, without loading the model. The latter are decided
when a session is created; sessions of newer versions report them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ros2_classify.engines.error_messages import tidy
from ros2_classify.engines.onnx_file import OnnxFile

_RECORD = 'session.record_ep_graph_assignment_info'


def unknown_operators(file: OnnxFile) -> list[str] | None:
    """Return the operators that the installed ONNX Runtime doesn't know."""
    try:
        state = import_module('onnxruntime.capi.onnxruntime_pybind11_state')
        schemas = state.get_all_operator_schema()
    except (ImportError, AttributeError):
        return None
    since: dict[tuple[str, str], int] = {}
    newest: Counter[str] = Counter()
    for schema in schemas:
        key = (schema.domain, schema.name)
        since[key] = min(schema.since_version, since.get(key, schema.since_version))
        newest[schema.domain] = max(newest[schema.domain], schema.since_version)
    found = []
    for (domain, name), count in file.operators.items():
        if (domain, name) in file.functions:
            continue
        opset = file.opsets.get(domain, 1)
        first = since.get((domain, name))
        if first is not None and first <= opset:
            continue
        nodes = '1 node' if count == 1 else f'{count} nodes'
        why = ('' if first is None else
               f', which came with opset {first} while the model says {opset}')
        found.append(f'{domain + ":" if domain else ""}{name} ({nodes}){why}')
    return found


def left_to_the_cpu(path: Path, provider: str) -> Mapping[str, int] | str:
    """Return the operators that a provider hands over to the CPU."""
    ort: Any = import_module('onnxruntime')
    if not hasattr(ort.InferenceSession, 'get_provider_graph_assignment_info'):
        return (f'ONNX Runtime {ort.__version__} does not tell which operators {provider} leaves '
                'to the CPU; a newer one does')
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(_RECORD, '1')
    providers = list(dict.fromkeys((provider, 'CPUExecutionProvider')))
    try:
        session = ort.InferenceSession(
            str(path), sess_options=options, providers=providers, enable_fallback=0)
        pieces = session.get_provider_graph_assignment_info()
    except Exception as error:  # noqa: B902 -- its exceptions share no base class
        return f'which operators {provider} leaves to the CPU cannot be told: {tidy(error)}'
    return count_by_operator(pieces, 'CPUExecutionProvider')


def count_by_operator(pieces: Any, provider: str) -> Mapping[str, int]:
    """Count the nodes that a provider runs."""
    counts = Counter(node.op_type for piece in pieces if piece.ep_name == provider
                     for node in piece.get_nodes())
    return dict(sorted(counts.items()))
