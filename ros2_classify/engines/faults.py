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

"""What went wrong while a model ran: too little memory, a lost device, or something else."""

from __future__ import annotations

import re

from ros2_classify.errors import EngineError, EngineMemoryError, ProviderLostError

# CUDA's error numbers (https://docs.nvidia.com/cuda/cuda-runtime-api, cudaError_t) after which
# the device, or the process's context on it, is of no use: driver gone, no device, broken memory,
# illegal access, launch failure and their kin.
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
    """
    Tell what kind of failure an exception of ONNX Runtime is.

    Parameters
    ----------
    error : BaseException
        What it raised while the model ran; Python's own MemoryError counts as well.

    Returns
    -------
    type of EngineError
        EngineMemoryError, ProviderLostError or, for everything else, EngineError.

    """
    text = str(error)
    if isinstance(error, MemoryError) or _MEMORY.search(text):
        return EngineMemoryError
    if type(error).__name__ == 'DeviceReset' or _LOST.search(text):
        return ProviderLostError
    return EngineError
