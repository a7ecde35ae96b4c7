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


"""The command line of ``plain_cpp``, the detector of ros2_classify_benchmark_cpp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
import json
import os
from pathlib import Path
import shlex
from typing import Any

from ament_index_python.packages import get_package_prefix, PackageNotFoundError
from ros2_classify.engines.hardware import default_threads
from ros2_classify.model.catalog import resolve
from ros2_classify.options import default_options
from ros2_classify.ros.node import dds_profile
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.settings import Settings
from ros2_classify_benchmark.shared_settings import engine_values, given, option_values

NAME = 'plain-cpp'
PACKAGE = 'ros2_classify_benchmark_cpp'
# The executable with what must come before it, if ROS 2 doesn't find it.
VARIABLE = 'ROS2_CLASSIFY_PLAIN_CPP'

_OPTIONS = {'score_threshold', 'nms_iou', 'max_detections'}


def command(
        settings: Settings, facts: Mapping[str, Any], image: str, result: str,
) -> tuple[str, ...]:
    """Return the words that start the node with what the descriptor says of the model."""
    descriptor = resolve(settings.model)
    options = option_values(settings)
    spec, output = descriptor.input, descriptor.output
    _check(settings, facts, descriptor, options)
    if not isinstance(spec.size, tuple):
        raise BenchError(f'--against {NAME}: input.size is {spec.size!r}, but the node in C++ '
                         'needs a width and a height')
    width, height = spec.size
    chosen = default_options(
        asdict(descriptor.defaults), 'detection', multi_label=False).replace(**options)
    labels = dict((descriptor.load_labels() or {}).items())
    names = [labels.get(number, str(number)) for number in range(max(labels, default=-1) + 1)]
    parameters = {
        'model_file': facts['file'], 'onnxruntime': library(), 'labels': names or None,
        'output': output.options.get('output') or '',
        'threads': engine_values(settings)['threads'] or default_threads(1),
        'width': width, 'height': height,
        # The server follows the benchmark's camera, which is reliable.
        'reliable': given(settings, 'qos', 'auto') != 'best_effort',
        'rgb': spec.color == 'rgb', 'pyramid': spec.interpolation == 'pyramid',
        'pad_value': float(spec.pad_value),
        'strides': list(output.options.get('strides') or (8, 16, 32)),
        'score_threshold': chosen.score_threshold, 'nms_iou': chosen.nms_iou,
        'max_detections': chosen.max_detections}
    words = [*_profile(), *executable(), '--ros-args', '-r', f'image:={image}',
             '-r', f'result:={result}']
    for name, value in parameters.items():
        if value is not None:
            words += ['-p', f'{name}:={json.dumps(value)}']
    return tuple(words)


def executable() -> tuple[str, ...]:
    """Return the words of the executable; raise BenchError if it isn't there."""
    if given := os.environ.get(VARIABLE):
        return tuple(shlex.split(given))
    try:
        path = Path(get_package_prefix(PACKAGE), 'lib', PACKAGE, 'plain_cpp')
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise BenchError(
            f'--against {NAME}: {PACKAGE} is not built, which needs rclcpp, OpenCV and the header '
            'of ONNX Runtime; docs/performance.md has the command')
    return (str(path),)


def library() -> str:
    """Return the library of the ONNX Runtime that our server runs."""
    spec = find_spec('onnxruntime')
    for directory in (spec and spec.submodule_search_locations) or ():
        for path in sorted(Path(directory, 'capi').glob('libonnxruntime.so*')):
            return str(path)
    raise BenchError(
        f'--against {NAME}: the installed package onnxruntime has no capi/libonnxruntime.so')


def _profile() -> tuple[str, ...]:
    """Return what makes the node load the DDS profile of our server."""
    receiver = dds_profile.receiver_file()
    chosen = [f'{name}={receiver or path}' for name, path in dds_profile.environment().items()]
    return ('env', *chosen) if chosen else ()


def _check(
        settings: Settings, facts: Mapping[str, Any], descriptor: Any,
        options: Mapping[str, Any]) -> None:
    """Raise BenchError for what the node doesn't support."""
    spec, output = descriptor.input, descriptor.output
    for what, value, known in (
            ('--transport', settings.transport, ('raw',)),
            ('--encoding', settings.encoding, ('bgr8', 'rgb8')),
            ('the execution provider', facts['provider'], ('CPUExecutionProvider',)),
            ('output.decoder', output.decoder, ('yolox',)),
            ('output.decoded', bool(output.options.get('decoded')), (False,)),
            ('input.layout', spec.layout, ('nchw',)), ('input.dtype', spec.dtype, ('float32',)),
            ('input.color', spec.color, ('rgb', 'bgr')),
            ('input.resize', spec.resize, ('letterbox',)),
            ('input.anchor', spec.anchor, ('top_left',)),
            ('input.interpolation', spec.interpolation, ('linear', 'pyramid')),
            ('input.scale, mean and std', (spec.scale, set(spec.mean), set(spec.std)),
             ((1.0, {0.0}, {1.0}),)),
            *((f'-p {name}', value, ()) for name, value in options.items()
              if name not in _OPTIONS)):
        if value not in known:
            supported = ' and '.join(map(repr, known)) or 'no such parameter'
            raise BenchError(f'--against {NAME}: {what} is {value!r}, but the node in C++ knows '
                             f'{supported}')
