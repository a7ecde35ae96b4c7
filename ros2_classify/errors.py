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
All errors of the package.

Each message gives the cause, the bad value, the allowed ones and the next step::

    Exception
    └── Ros2ClassifyError        the base of all
        ├── DescriptorError      a model descriptor is invalid (also a ValueError)
        ├── LabelsError          a label file can't be read (also a ValueError)
        ├── OptionsError         a threshold or limit is out of its range (also a ValueError)
        ├── ModelNotFoundError   no such name, descriptor or model file
        ├── NotAllowedError      a file is outside the directories that model_roots allows
        ├── IntegrityError       a file doesn't have the declared sha256
        ├── ArchiveError         an archive is broken or malicious, or lacks a member
        ├── FetchError           a file can't be downloaded: offline, no such file, a full disk
        │   ├── DiskFullError    the disk that holds the cache is full
        │   └── FetchCancelledError  a download or conversion was cancelled
        ├── ConversionError      a TensorFlow model can't be converted to ONNX
        ├── EngineError          the model can't be loaded or run, or a provider is missing
        │   ├── UnsafeModelError     a model requests outside files or machine code
        │   ├── EngineMemoryError    there is not enough memory, on the CPU or the GPU
        │   ├── ProviderLostError    the GPU or its driver failed while the model ran
        │   └── RemoteError          a remote model server gives no result
        ├── InputError           an image can't be used (also a ValueError)
        └── OutputError          a model's outputs don't match the descriptor (also a ValueError)
"""

# A plain installation may lack these modules; what pip calls them. Advice names what is on every
# package index: this package itself may not be.
REQUIREMENTS = {
    'cv2': '"opencv-python-headless<5"', 'numpy': 'numpy', 'onnxruntime': 'onnxruntime',
    'yaml': 'PyYAML'}


class Ros2ClassifyError(Exception):
    """Base of all errors of the package."""


class DescriptorError(Ros2ClassifyError, ValueError):
    """A model descriptor is invalid; the message names file, line and key."""


class LabelsError(Ros2ClassifyError, ValueError):
    """A label file can't be read; the message names file and line."""


class OptionsError(Ros2ClassifyError, ValueError):
    """A threshold or a limit is out of its range."""


class ModelNotFoundError(Ros2ClassifyError):
    """There is no such catalogue name, descriptor or model file."""


class NotAllowedError(Ros2ClassifyError):
    """A file is outside the directories that may be read (``model_roots``)."""


class IntegrityError(Ros2ClassifyError):
    """A file doesn't have the declared sha256."""


class ArchiveError(Ros2ClassifyError):
    """An archive is broken or malicious, or lacks the requested member."""


class FetchError(Ros2ClassifyError):
    """A model's file can't be downloaded: connection, server, disk or offline mode."""


class DiskFullError(FetchError):
    """The disk that holds the cache is full."""


class FetchCancelledError(FetchError):
    """A download or conversion was cancelled."""


class ConversionError(Ros2ClassifyError):
    """A TensorFlow model can't be converted to ONNX, or the result differs."""


class EngineError(Ros2ClassifyError):
    """A model can't be loaded or run, or an execution provider is not available."""


class UnsafeModelError(EngineError):
    """A model requests files outside its directory, or contains machine code."""


class EngineMemoryError(EngineError):
    """There is not enough memory for an inference; the next one may succeed."""


class ProviderLostError(EngineError):
    """
    The device, or its driver, failed while the model ran.

    The engine can't be used any more. A CUDA device often stays unusable for the whole process:
    if reloading the model fails too, restart the process.
    """


class RemoteError(EngineError):
    """A remote model server gives no result; ``kind`` says why in a word, such as ``refused``."""

    def __init__(self, text: str, kind: str = 'failed',
                 fields: 'dict[str, object] | None' = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.fields = fields or {}  # of the sentence


class InputError(Ros2ClassifyError, ValueError):
    """An image can't be used: its shape, its type, its size or its encoding."""


class OutputError(Ros2ClassifyError, ValueError):
    """A model's outputs don't match the descriptor."""
