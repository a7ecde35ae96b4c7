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
Nodes in one process: a camera and the server that processes its images.

Images bypass the middleware: see `ros2_classify.ros.node.intra_process`. For your own camera, see
``docs/composition.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ros2_classify.ros.node import process as runtime

Create = Callable[[runtime.Stop], Any]


def server_node(stop: runtime.Stop) -> Any:
    """Return a server; its parameters come from the command line."""
    from ros2_classify.ros.server.node import ServerNode

    return ServerNode(stop)


def camera_node(stop: runtime.Stop) -> Any:
    """Return this package's camera; its parameters come from the command line."""
    from ros2_classify.ros.camera.node import CameraNode

    return CameraNode(stop)


def compose(*creates: Create, args: Sequence[str] | None = None) -> int:
    """
    Run nodes in one process, with one executor, until one of them or the user ends it.

    Each of `create` takes the `Stop` of the process and returns a node; ``start()``, if it has
    one, is called in this order before the first callback, ``close()`` in reverse order after the
    last one. In `args` (default ``sys.argv[1:]``) a parameter applies to every node that has it,
    or to one node if its name comes first, as in ``-p server:tune_malloc:=false``. Returns the
    exit code; see `ros2_classify.ros.node.process.run`.
    """
    return runtime.run(together(*creates), args)


def together(*creates: Create) -> Callable[[runtime.Stop], list[Any]]:
    """Return a function that creates all nodes, or none of them."""
    def create_all(stop: runtime.Stop) -> list[Any]:
        nodes: list[Any] = []
        try:
            for create in creates:
                nodes.append(create(stop))
        except BaseException:
            for node in reversed(nodes):
                node.destroy_node()
            raise
        return nodes

    return create_all
