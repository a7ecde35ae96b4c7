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
The vocabulary of failure.

Every error the package raises on purpose is one of these; each message names the bad value, the
allowed ones and the next step, in one sentence a person can act on::

    Exception
    └── Ros2ClassifyError        catch this one to catch them all
        ├── DescriptorError      a model descriptor says something wrong (also a ValueError)
        ├── LabelsError          a label file can't be read (also a ValueError)
        ├── OptionsError         a threshold or limit is out of its range (also a ValueError)
        ├── ModelNotFoundError   no such name, descriptor or model file
        ├── NotAllowedError      a file lies outside of the directories that model_roots allows
        ├── IntegrityError       a file isn't the one its sha256 says
        ├── ArchiveError         an archive is broken, hostile, or lacks the member asked for
        ├── FetchError           a file can't be had: no model, no such file, a full disk
        │   ├── DiskFullError    the disk that holds the cache is full
        │   └── FetchCancelledError  somebody asked to stop while it was fetched
        ├── ConversionError      a TensorFlow model can't be turned into ONNX
        ├── EngineError          the model can't be loaded or run, or a provider is missing
        │   ├── UnsafeModelError     a model asks for what is only had by permission
        │   ├── EngineMemoryError    there is not enough memory, on the CPU or the GPU
        │   └── ProviderLostError    the GPU or its driver is gone while the model ran
        ├── InputError           an image can't be used (also a ValueError)
        └── OutputError          a model's outputs, or an answer made from them, don't fit
                                 what was declared (also a ValueError)
"""


class Ros2ClassifyError(Exception):
    """Base of every error that the package raises on purpose."""


class DescriptorError(Ros2ClassifyError, ValueError):
    """A model descriptor says something wrong; the message names file, line and key."""


class LabelsError(Ros2ClassifyError, ValueError):
    """A label file can't be read; the message names file and line."""


class OptionsError(Ros2ClassifyError, ValueError):
    """A threshold or a limit is out of its range."""


class ModelNotFoundError(Ros2ClassifyError):
    """There is no such catalogue name, descriptor or model file."""


class NotAllowedError(Ros2ClassifyError):
    """A file lies outside of the directories that may be read (``model_roots``)."""


class IntegrityError(Ros2ClassifyError):
    """A file's sha256 isn't the declared one."""


class ArchiveError(Ros2ClassifyError):
    """An archive is broken, could do harm, or lacks the member that was asked for."""


class FetchError(Ros2ClassifyError):
    """A model's file can't be had: the network, the server, the disk or offline mode."""


class DiskFullError(FetchError):
    """The disk that holds the cache is full."""


class FetchCancelledError(FetchError):
    """Somebody asked to stop while a model's file was being fetched."""


class ConversionError(Ros2ClassifyError):
    """A TensorFlow model can't be turned into ONNX, or came out different."""


class EngineError(Ros2ClassifyError):
    """A model can't be loaded or run, or the provider asked for is missing."""


class UnsafeModelError(EngineError):
    """A model asks for files outside its directory, or for machine code; neither is loaded."""


class EngineMemoryError(EngineError):
    """The memory for an inference can't be had; the next one may well succeed."""


class ProviderLostError(EngineError):
    """
    The device, or its driver, failed while the model ran.

    The engine is of no use any more. A CUDA device often stays unusable for the whole process,
    so where loading the model anew fails too, the process has to start anew.
    """


class InputError(Ros2ClassifyError, ValueError):
    """An image can't be used: its shape, its type, its size or its encoding."""


class OutputError(Ros2ClassifyError, ValueError):
    """A model's outputs, or an answer made from them, don't fit what was declared."""
