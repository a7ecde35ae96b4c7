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
The programs: `ros2 run ros2_classify server`, `camera`, `composed` and `client_test`.

Nothing here imports rclpy at module level, so that signal handlers are in place first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import importlib.util
import os
import shutil
import sys
from typing import Any

from ros2_classify.limits import machine_limit
from ros2_classify.ros import compose
from ros2_classify.ros.node import process as runtime

_USAGE = {
    'server': """\
Run a vision model on camera images and publish its results.

usage: ros2 run ros2_classify server --ros-args -p model:=MODEL [-r image:=/camera/image_raw] ...

MODEL is a name from the catalog, a descriptor file (.yaml) or a model file (.onnx, .pb, or the
directory of a SavedModel).""",
    'camera': """\
Publish images as a camera does.

usage: ros2 run ros2_classify camera --ros-args -p source:=SOURCE [-p loop:=false] ...

SOURCE is an image file, a directory of images, a video file or a webcam (0, /dev/video0);
default: the sample images that come with the package.""",
    'composed': """\
Publish images and run a vision model on them in one process: images do not pass through the
middleware.

usage: ros2 run ros2_classify composed --ros-args -p model:=MODEL -p source:=SOURCE \\
           [-r image:=/front/image_raw] ...

The two nodes are named server and camera, and take the parameters of the programs of these names.
Topics are remapped for both.""",
    'client_test': """\
Send an image to the server and print the result, or why there is none.

usage: ros2 run ros2_classify client_test --ros-args [-p image:=IMAGE] [-p output:=FILE] ...

Default: an image that comes with the package. -p use_service:=true calls the server's service
instead of using its topics. Exit codes: 0 result received, 1 no result or a failure, 2 wrong
usage.""",
}

_PARAMETERS = """
Set a parameter with -p NAME:=VALUE after --ros-args, or many of them with --params-file FILE;
"python -m ros2_classify params {program}" writes such a file."""


def server(args: Sequence[str] | None = None) -> int:
    """Run the server node until it is asked to end; return the exit code."""
    return run('server', compose.server_node, args, receiver=True)


def camera(args: Sequence[str] | None = None) -> int:
    """Run the camera node until its source ends or it is asked to end; return the exit code."""
    return run('camera', compose.camera_node, args, needs_vision=False)


def composed(args: Sequence[str] | None = None) -> int:
    """Run camera and server in one process until the source ends; return the exit code."""
    nodes = compose.together(compose.server_node, compose.camera_node)
    return run('composed', nodes, args)


def client_test(args: Sequence[str] | None = None) -> int:
    """Run the client until it has a result or times out; return the exit code."""
    return run('client_test', _client_node, args)


PROGRAMS: dict[str, Callable[[Sequence[str] | None], int]] = {
    'server': server, 'camera': camera, 'composed': composed, 'client_test': client_test,
}


def run(program: str, create: Callable[[runtime.Stop], Any], args: Sequence[str] | None, *,
        receiver: bool = False, needs_vision: bool = True) -> int:
    """Run a node until it is done or asked to end; a receiver publishes no camera images."""
    words = sys.argv[1:] if args is None else list(args)
    if {'-h', '--help'} & set(words):
        try:
            print(usage(program), flush=True)
        except BrokenPipeError:
            # The reader (head, less) is gone; Python must not write to it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    require('rclpy', 'sensor_msgs', *(('vision_msgs',) if needs_vision else ()))
    # OpenCV warns of every damaged image on stderr, unthrottled; the node's log says it already.
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'ERROR')
    try:
        return runtime.run(create, words, receiver=receiver)
    except Exception as error:
        if limit := machine_limit(error):
            print(f'ros2_classify: {limit}', file=sys.stderr)
            return 1
        raise


def usage(program: str) -> str:
    """Return the text of ``--help``: the usage, and every parameter."""
    from ros2_classify.ros.node.parameter_pages import help_text
    from ros2_classify.ros.parameter_tables import TABLES

    width = min(shutil.get_terminal_size().columns, 99)
    parts = [_USAGE[program], _PARAMETERS.format(program=program)]
    for node, groups in TABLES[program]:
        title = f'\nParameters of the node {node}:\n' if len(TABLES[program]) > 1 else ''
        parts.append(title + help_text(groups, width))
    return '\n'.join(parts)


def require(*packages: str) -> None:
    """Raise ModuleNotFoundError that names the first package that is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f'No module named {package!r}', name=package)


def _client_node(stop: runtime.Stop) -> Any:
    from ros2_classify.ros.client.node import ClientNode

    return ClientNode(stop)
