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

"""Which ONNX Runtime is installed, and what stands in its way."""

from __future__ import annotations

import contextlib
from glob import glob
from importlib import import_module
import io
import logging
import sys
from typing import Any

from ros2_classify.errors import EngineError

_LOGGER = logging.getLogger(__name__)

# All of them install the same module (https://onnxruntime.ai/docs/install): only one may be there.
DISTRIBUTIONS = (
    'onnxruntime', 'onnxruntime-gpu', 'onnxruntime-openvino', 'onnxruntime-directml',
    'onnxruntime-migraphx', 'onnxruntime-rocm', 'onnxruntime-training', 'onnxruntime-qnn',
)


def installed_distributions() -> tuple[str, ...]:
    """
    Return the installed packages that provide the module ``onnxruntime``.

    Each model that is loaded asks for them, and `importlib.metadata` takes several times as long.
    The directories' names are those of PyPA's specification "Recording installed projects".
    """
    found = {place.partition('-')[0] for directory in sys.path
             for place in glob('onnxruntime*-*.*-info', root_dir=directory)}
    return tuple(name for name in DISTRIBUTIONS if name.replace('-', '_') in found)


def import_onnxruntime() -> Any:
    """Import ONNX Runtime, or say in one sentence why it can't be."""
    try:
        import onnxruntime as ort
        ort.InferenceSession, ort.get_available_providers  # noqa: B018 -- gone after a bad removal
    except (ImportError, AttributeError) as error:
        found = installed_distributions()
        if len(found) > 1:
            raise EngineError(clash(found)) from error
        if not found:
            raise EngineError(
                'ONNX Runtime is not installed: pip install "ros2_classify[cpu]", or '
                '"ros2_classify[gpu]" on a machine with an NVIDIA GPU') from error
        raise EngineError(
            f'{found[0]} is installed but cannot be imported ({error}): '
            f'pip install --force-reinstall {found[0]}') from error
    return ort


def preload_cuda(ort: Any) -> None:
    """Load NVIDIA's libraries from pip's packages, where the system's linker doesn't look."""
    # The package loads its libraries; the linker then finds them by their names.
    with contextlib.suppress(ImportError, OSError):
        import_module('tensorrt')
    preload = getattr(ort, 'preload_dlls', None)  # since 1.21
    if preload is None:
        return
    # It prints what it misses; if that matters, the session says so as well.
    words = io.StringIO()
    with contextlib.redirect_stdout(words):
        preload()
    if words.getvalue():
        _LOGGER.debug('%s', words.getvalue().strip())


def clash(found: tuple[str, ...]) -> str:
    return (f'{" and ".join(found)} are installed together and overwrite each other: '
            f'pip uninstall {" ".join(found)}, then install the one that fits this machine')
