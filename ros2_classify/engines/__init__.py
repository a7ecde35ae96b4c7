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

"""Engines: who runs the network, chosen by the model's format in one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ros2_classify.engines.base import Engine, Tensors, TensorSpec
from ros2_classify.errors import EngineError

__all__ = ['ENGINES', 'Engine', 'TensorSpec', 'Tensors', 'open_engine']


def _open_onnx(path: Path, provider: str, threads: int) -> Engine:
    # Imported where it is used: onnxruntime takes a tenth of a second and may be missing.
    from ros2_classify.engines.onnx_runtime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(path, provider=provider, threads=threads)


# More than any machine has cores; a slip of the finger shall not start a million.
MAX_THREADS = 256

# One row for each format: (path, provider, threads) -> Engine.
ENGINES: dict[str, Callable[[Path, str, int], Engine]] = {
    'onnx': _open_onnx,
}


def open_engine(
    path: str | Path, format: str = 'onnx', *,  # noqa: A002 -- the descriptor's own word
    provider: str = 'auto', threads: int = 0,
) -> Engine:
    """
    Load a network and get it ready to run.

    Parameters
    ----------
    path : str or Path
        The model file.
    format : str
        What kind of file it is: a key of ``ENGINES``.
    provider : str
        Who shall run it: ``auto`` takes the best one that works here; ``cpu``, ``cuda``,
        ``tensorrt``, ``openvino`` … insist on one.
    threads : int
        Threads for one inference, up to 256; 0 chooses: one for each physical core, at most 4.

    Returns
    -------
    Engine
        The loaded network.

    Raises
    ------
    EngineError
        If the format is unknown, the file can't be loaded, or the provider can't be had.

    """
    if format not in ENGINES:
        raise EngineError(
            f'the model format {format!r} is unknown; known formats: {", ".join(ENGINES)}')
    if isinstance(threads, bool) or not isinstance(threads, int) or not (
            0 <= threads <= MAX_THREADS):
        raise EngineError(
            f'threads is {threads!r} but must be a whole number from 0 (choose for me) to '
            f'{MAX_THREADS}')
    return ENGINES[format](Path(path), provider, threads)
