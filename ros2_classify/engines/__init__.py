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

"""Engines run models; the format of the model selects one in a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ros2_classify.engines.base import (
    bind, BoundRun, Engine, most_images, parallel_runs, Quantization, Tensors, TensorSpec)
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import EngineError

__all__ = [
    'bind', 'BoundRun', 'Engine', 'ENGINES', 'EngineSettings', 'most_images', 'open_engine',
    'parallel_runs', 'Quantization', 'Tensors', 'TensorSpec']


def _open_onnx(path: Path, settings: EngineSettings) -> Engine:
    # Imported here because onnxruntime takes a tenth of a second and may be missing.
    from ros2_classify.engines.onnx_runtime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(path, settings)


# One row for each format: (path, settings) -> Engine.
ENGINES: dict[str, Callable[[Path, EngineSettings], Engine]] = {
    'onnx': _open_onnx,
}


def open_engine(
    path: str | Path, format: str = 'onnx', *,  # noqa: A002 -- the descriptor's own word
    provider: str | None = None, threads: int | None = None,
    settings: EngineSettings | None = None,
) -> Engine:
    """Load a model; ``provider`` and ``threads`` override those of ``settings``."""
    if format not in ENGINES:
        raise EngineError(
            f'the model format {format!r} is unknown; known formats: {", ".join(ENGINES)}')
    given = {'provider': provider, 'threads': threads}
    settings = (settings or EngineSettings()).replace(
        **{name: value for name, value in given.items() if value is not None})
    return ENGINES[format](Path(path), settings)
