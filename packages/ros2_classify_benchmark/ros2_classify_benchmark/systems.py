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


"""What is measured: nodes that take images and give results, ours and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
import shlex
import sys
from typing import Any

from ros2_classify_benchmark import plain_cpp
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.settings import Settings
from ros2_classify_benchmark.shared_settings import engine_values

# Message and topic of a task's results.
RESULTS = {
    'classification': ('classification', 'vision_msgs/msg/Classification'),
    'detection': ('detections', 'vision_msgs/msg/Detection2DArray'),
    'segmentation': ('segmentation', 'sensor_msgs/msg/Image'),
}


@dataclass(frozen=True)
class System:
    """
    A node, or several that share the work.

    Parameters
    ----------
    name : str
        What it is called in the report.
    commands : tuple of tuple of str
        The words of each process.
    images, results : tuple of str
        The topics: images in, results out, one of each for every camera.
    result_type : str
        Type of the results; empty to ask the graph, once the node is there.
    ready : str
        Regular expression of the line that says it is active; empty where there is none.
    traces : tuple of Path
        Files with the frames' times in the node, once it has stopped.

    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    images: tuple[str, ...]
    results: tuple[str, ...]
    result_type: str = ''
    ready: str = ''
    traces: tuple[Path, ...] = field(default=())


def server(
        settings: Settings, task: str, directory: Path, name: str = 'node', *,
        parameters: tuple[str, ...] = (), trace: bool = True) -> System:
    """Return our server for one camera."""
    return servers(settings, task, directory, 1, name, parameters=parameters, trace=trace)


def servers(
        settings: Settings, task: str, directory: Path, count: int, name: str = 'servers', *,
        parameters: tuple[str, ...] = (), trace: bool = True) -> System:
    """Return a number of servers, each with a camera of its own."""
    topic, result_type = RESULTS[task]
    spaces = [f'/bench/{name}{number}' for number in range(count)]
    traces = [directory / f'{name}{number}.npz' for number in range(count)] if trace else []
    commands = []
    for number, space in enumerate(spaces):
        words = [*_server_words(settings, space), '-r', f'image:={space}/image', *parameters]
        if trace:
            words += ['-p', f'trace_file:={traces[number]}']
        commands.append(tuple(words))
    return System(
        name, tuple(commands), tuple(_image(settings, space) for space in spaces),
        tuple(f'{space}/{topic}' for space in spaces), result_type, 'active: ', tuple(traces))


def one_for_all(
        settings: Settings, task: str, directory: Path, count: int, name: str = 'one') -> System:
    """Return one server with several cameras on one model."""
    topic, result_type = RESULTS[task]
    space = f'/bench/{name}'
    cameras = [f'{space}/camera{number}' for number in range(count)]
    images = tuple(_image(settings, camera) for camera in cameras)
    listed = ', '.join(f"'{image}'" for image in images)
    trace = directory / f'{name}.npz'
    words = [*_server_words(settings, space), '-p', f'image_topics:=[{listed}]',
             '-p', f'trace_file:={trace}']
    return System(
        name, (tuple(words),), images, tuple(f'{camera}/{topic}' for camera in cameras),
        result_type, 'active: ', (trace,))


def echo(settings: Settings) -> System:
    """Return the node that publishes empty results, header only."""
    space = '/bench/echo'
    image = _image(settings, space)
    words = (sys.executable, '-m', 'ros2_classify_benchmark.nodes.echo', '--ros-args', '-r',
             f'__ns:={space}', '-r', f'image:={image}', '-p',
             f'image_transport:={settings.transport}')
    return System('transport', (words,), (image,), (f'{space}/header',), 'std_msgs/msg/Header')


# `--against plain`: see `ros2_classify_benchmark.nodes.plain_node`.
PLAIN = ('{python} -m ros2_classify_benchmark.nodes.plain_node --ros-args -r image:={image} '
         '-r result:={result} -p model_file:={file} -p task:={task} -p threads:={threads}')

# `--tuned`: our server as a user starts it, with the tuning record of this machine.
TUNED = ('{python} -m ros2_classify server --ros-args -r __ns:=/bench/tuned -r image:={image} '
         '-r {topic}:={result} -p model:={model} -p image_transport:={transport} '
         '-p tuning:=auto')


def other(
        settings: Settings, facts: Mapping[str, Any], command: str, name: str = 'other',
) -> System:
    """Return any other node."""
    if command == plain_cpp.NAME:
        space = f'/bench/{name}'
        image, result = _image(settings, space), f'{space}/result'
        return System(
            name, (plain_cpp.command(settings, facts, image, result),), (image,), (result,),
            RESULTS['detection'][1], 'active: ')
    if command == 'tuned':
        command = TUNED
    if command == 'plain':
        _check_plain(settings, str(facts['task']))
        command = PLAIN
    for word in ('{image}', '{result}'):
        if word not in command:
            raise BenchError(
                f'the command of the other node has no {word}; it stands for a topic, as in: '
                "--against 'my_node --ros-args -r image_raw:={image} -r result:={result}'")
    space = f'/bench/{name}'
    image, result = _image(settings, space), f'{space}/result'
    values = {'image': image, 'result': result, 'model': settings.model,
              'file': facts['file'], 'task': facts['task'],
              'threads': str(engine_values(settings)['threads']),
              'python': sys.executable, 'transport': settings.transport,
              'topic': RESULTS.get(str(facts['task']), ('result', ''))[0]}
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BenchError(
            f'the command of the other node cannot be split into words: {error}; it is '
            f'{command!r}') from error
    for key, value in values.items():
        words = [word.replace(f'{{{key}}}', value) for word in words]
    return System(name, (tuple(words),), (image,), (result,))


def _check_plain(settings: Settings, task: str) -> None:
    """Raise BenchError for settings that the plain node doesn't support."""
    for what, value, known in (
            ('--transport', settings.transport, ('raw',)),
            ('--encoding', settings.encoding, ('bgr8', 'rgb8')),
            ('the task of --model', task, ('classification', 'detection'))):
        if value not in known:
            raise BenchError(
                f'{what} is {value!r}, but --against plain knows {" and ".join(known)} only')


def _image(settings: Settings, space: str) -> str:
    return f'{space}/image' + ('/compressed' if settings.transport == 'compressed' else '')


def _server_words(settings: Settings, space: str) -> list[str]:
    words = [sys.executable, '-m', 'ros2_classify', 'server', '--ros-args', '-r', f'__ns:={space}']
    for parameter in (
            f'model:={settings.model}', f'provider:={settings.provider}',
            f'threads:={settings.threads}', f'image_transport:={settings.transport}',
            'tuning:=off',
            *settings.parameters):
        words += ['-p', parameter]
    return words
