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
Run vision models on the images of any camera.

Two lines run a model on a numpy image::

    from ros2_classify import Pipeline
    print(Pipeline.load('cards_detector')(image))

Names are imported when they are first used, so ``import ros2_classify`` is fast. Nothing here
needs ROS; the nodes are in ``ros2_classify.ros``.
"""

from importlib import import_module
import os
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from ros2_classify.clips.objects import ObjectClips
    from ros2_classify.clips.stream import ClipStream
    from ros2_classify.download.options import FetchOptions
    from ros2_classify.engines.settings import EngineSettings
    from ros2_classify.errors import (
        ArchiveError, DescriptorError, DiskFullError, EngineError, EngineMemoryError,
        FetchCancelledError, FetchError, InputError, IntegrityError, LabelsError,
        ModelNotFoundError, OptionsError, OutputError, ProviderLostError, Ros2ClassifyError,
        UnsafeModelError)
    from ros2_classify.image_io import read_image, write_image
    from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
    from ros2_classify.model.labels import Labels, load_labels
    from ros2_classify.options import Options
    from ros2_classify.pipeline import Pipeline
    from ros2_classify.results.keypoints import Keypoints
    from ros2_classify.results.notebook import show
    from ros2_classify.results.overlay import draw
    from ros2_classify.results.results import (
        Classification, Detections, Embedding, Result, Segmentation, Timing)
    from ros2_classify.spatial.camera import CameraModel
    from ros2_classify.spatial.depth import locate
    from ros2_classify.spatial.ground import locate_on_ground
    from ros2_classify.spatial.positions import Positions
    from ros2_classify.tracking.tracker import Tracker

__version__ = '0.1.0'

# ONNX Runtime from PyPI otherwise gives the machine a number and sends usage data to its makers.
# It looks here when it starts; users may set the variable to 0.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')

__all__ = [
    'ArchiveError', 'CameraModel', 'Classification', 'ClipStream', 'DescriptorError', 'Detections',
    'DiskFullError', 'Embedding', 'EngineError', 'EngineMemoryError', 'EngineSettings',
    'FetchCancelledError', 'FetchError', 'FetchOptions', 'InputError', 'IntegrityError',
    'Keypoints', 'Labels', 'LabelsError', 'ModelDescriptor', 'ModelNotFoundError', 'ObjectClips',
    'Options', 'OptionsError', 'OutputError', 'Pipeline', 'Positions', 'ProviderLostError',
    'Result', 'Ros2ClassifyError', 'Segmentation', 'Timing', 'Tracker', 'UnsafeModelError', 'draw',
    'load_descriptor', 'load_labels', 'locate', 'locate_on_ground', 'read_image', 'show',
    'write_image',
]

# The module of each exported name; the imports above say the same to type checkers.
_MODULES = {
    'clips.objects': ('ObjectClips',),
    'clips.stream': ('ClipStream',),
    'model.descriptor': ('ModelDescriptor', 'load_descriptor'),
    'engines.settings': ('EngineSettings',),
    'errors': ('ArchiveError', 'DescriptorError', 'DiskFullError', 'EngineError',
               'EngineMemoryError', 'FetchCancelledError', 'FetchError', 'InputError',
               'IntegrityError', 'LabelsError', 'ModelNotFoundError', 'OptionsError',
               'OutputError', 'ProviderLostError', 'Ros2ClassifyError', 'UnsafeModelError'),
    'image_io': ('read_image', 'write_image'),
    'model.labels': ('Labels', 'load_labels'),
    'results.keypoints': ('Keypoints',),
    'results.notebook': ('show',),
    'results.overlay': ('draw',),
    'options': ('Options',),
    'pipeline': ('Pipeline',),
    'download.options': ('FetchOptions',),
    'results.results': (
        'Classification', 'Detections', 'Embedding', 'Result', 'Segmentation', 'Timing'),
    'spatial.camera': ('CameraModel',),
    'spatial.depth': ('locate',),
    'spatial.ground': ('locate_on_ground',),
    'spatial.positions': ('Positions',),
    'tracking.tracker': ('Tracker',),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the exported names too."""
    return sorted({*globals(), *__all__})
