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


"""How a process of the benchmark talks with the one that started it: a JSON object a line."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
import queue
import signal
import sys
import threading
from typing import Any

Command = Callable[..., Any]


def serve(
        commands: dict[str, Command], ready: dict[str, Any],
        over: threading.Event | None = None) -> None:
    """Say that the process is ready; then do what comes on the standard input until that ends."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        if over is not None:
            over.set()
        lines.put('')

    threading.Thread(target=read, name='reader', daemon=True).start()
    result(ready)
    while line := lines.get():
        request = json.loads(line)
        name = request.pop('do')
        if name == 'quit':
            return
        try:
            result({'result': commands[name](**request)})
        except Exception as error:  # noqa: B902 - told to who asked, who ends it all
            result({'error': f'{type(error).__name__}: {error}'})


def result(message: dict[str, Any]) -> None:
    """Write one line to the parent process."""
    print(json.dumps(message), flush=True)


def in_ros(name: str, create: Callable[[Any], tuple[dict[str, Command], dict[str, Any]]], *,
           spin: bool, over: threading.Event | None = None) -> None:
    """Run a node that takes commands, until the standard input ends."""
    # Ctrl-C is for the one who started it all: it asks everybody to end, in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from ros2_classify.ros.node import dds_profile, process as runtime

    profile = dds_profile.use() or os.environ.get(dds_profile.variable(os.environ))
    runtime.tune_malloc()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name, enable_rosout=False, start_parameter_services=False)
    try:
        commands, ready = create(node)
        ready = {**ready, 'profile': str(profile) if profile else None}
        if not spin:
            serve(commands, ready, over)
            return
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        ended = threading.Event()

        def talk() -> None:
            try:
                serve(commands, ready, over)
            finally:
                ended.set()
                executor.create_task(lambda: None)  # brings spin_once back

        threading.Thread(target=talk, name='commands', daemon=True).start()
        while not ended.is_set():
            executor.spin_once()
        executor.shutdown()
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
