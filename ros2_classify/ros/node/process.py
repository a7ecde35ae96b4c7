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
How a node's process starts, spins and ends: signals, middleware profile, allocator.

This module imports neither rclpy nor NumPy, so that signals are caught before anything slow
happens: Ctrl-C ends a node in any state with exit code 0 and without a traceback. rclpy's own
handlers invalidate the context at once, even while a message is being published; here the node
finishes its work first, and the context ends last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import ctypes
import gc
import os
import platform
import signal
import sys
import threading
from typing import Any

from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.limits import shown
from ros2_classify.ros.node.command_line import unknown_parameters, unused_files, usage_problem
from ros2_classify.ros.node.rcl_errors import explain

# <malloc.h>; the two thresholds keep the buffers of large images in the heap instead of returning
# them to the kernel and requesting them again for every image.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_TRIM_BYTES = 256 * 2**20
_MMAP_BYTES = (64 * 2**20, 32 * 2**20)  # some builds of glibc accept half of HEAP_MAX_SIZE at most


def share_heap(environ: Mapping[str, str] | None = None) -> bool:
    """Make all threads share one heap; call it first. Each heap would keep an image or a model."""
    environ = os.environ if environ is None else environ
    if 'MALLOC_ARENA_MAX' in environ or 'arena' in environ.get('GLIBC_TUNABLES', ''):
        return False
    return _is_glibc() and bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))


def tune_malloc(environ: Mapping[str, str] | None = None) -> bool:
    """
    Keep glibc from returning an image's memory to the kernel after every image.

    Raises both thresholds, unless the environment sets them; raising only one is worse than none.
    Costs 10 to 30 MB.
    """
    environ = os.environ if environ is None else environ
    chosen = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_')
    if any(name in environ for name in chosen) or 'malloc' in environ.get('GLIBC_TUNABLES', ''):
        return False
    if not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mmap_set = any(mallopt(_M_MMAP_THRESHOLD, size) for size in _MMAP_BYTES)
    return bool(mmap_set and mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES))


def trim_malloc() -> bool:
    """Return freed memory to the kernel; `tune_malloc` keeps hundreds of megabytes of it."""
    if not _is_glibc():
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True


def calm_opencv(environ: Mapping[str, str] | None = None) -> bool:
    """
    Have OpenCV work in the calling thread, unless OPENCV_FOR_THREADS_NUM is set.

    Its threads spin for a while after each call: half to a whole millisecond of processor time
    for each image, and the result comes no earlier.
    """
    environ = os.environ if environ is None else environ
    if 'OPENCV_FOR_THREADS_NUM' in environ:
        return False
    import cv2

    cv2.setNumThreads(1)
    return True


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == 'glibc'


# Each leaks its memory, and may keep a CPU core busy forever.
MAX_ABANDONED = 3


class AbandonedThreads:
    """Counts the abandoned threads of a process; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    @property
    def too_many(self) -> bool:
        """Whether the process should be restarted."""
        return self.count > MAX_ABANDONED

    def add(self) -> None:
        """Count an abandoned thread."""
        with self._lock:
            self.count += 1


# What ends the process; SIGHUP is what a terminal sends that is closed.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Consecutive failures of the executor after which the process gives up.
_MAX_FAILURES = 50

# Executor iterations at the end: more than there can be pending callbacks.
_LAST_TURNS = 50


class Interrupted(Exception):  # noqa: N818 - not an error: the user asked for it
    """The process was told to end during something slow."""


class Stop:
    """The request to end the process; as a context manager (main thread) it catches signals."""

    def __init__(self) -> None:
        self.code = 0
        # Set if a thread was abandoned: the interpreter can't end in the normal way.
        self.has_abandoned_thread = False
        self.abandoned = AbandonedThreads()
        self._requested = threading.Event()
        self._wake: Callable[[], Any] | None = None
        self._lock = threading.Lock()
        self._previous: list[tuple[int, Any]] = []
        self._pipe = (-1, -1)

    @property
    def requested(self) -> bool:
        """Whether the process has to end."""
        return self._requested.is_set()

    def request(self, code: int = 0) -> None:
        """Request the end of the process with this exit code; the first request counts."""
        with self._lock:
            if not self._requested.is_set():
                self.code = code
                self._requested.set()
            wake = self._wake
        if wake is not None:
            wake()

    def on_request(self, wake: Callable[[], Any] | None) -> None:
        """Set the function to call, from any thread, on a request, even an earlier one."""
        with self._lock:
            self._wake = wake
            late = self._requested.is_set()
        if late and wake is not None:
            wake()

    def __enter__(self) -> Stop:
        """Start catching the signals."""
        # Python runs handlers in the main thread, and only after it returns from C, which it
        # never does while it waits for messages. The byte in the pipe gets through at once.
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        threading.Thread(
            target=self._wait_for_signals, args=(self._pipe[0],), name='signals',
            daemon=True).start()
        for number in _ENDING:
            # As `nohup` asks.
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._previous.append((number, signal.signal(number, lambda *_: None)))
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous signal handlers."""
        self.on_request(None)
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous:
            signal.signal(number, handler)
        self._previous.clear()
        os.close(self._pipe[1])

    def ignore_signals_for_good(self) -> None:
        """Ignore signals while the interpreter ends: a second one would look like a crash."""
        self._previous = [(number, signal.SIG_IGN) for number, _ in self._previous]

    def _wait_for_signals(self, read_end: int) -> None:
        while True:
            numbers = os.read(read_end, 16)
            if not numbers:
                os.close(read_end)
                return
            if set(numbers) & set(_ENDING):
                self.request()


def run(create: Callable[[Stop], Any], args: Sequence[str] | None = None, *,
        receiver: bool = False) -> int:
    """
    Run the node, or the list of nodes, that `create` returns, until the process has to end.

    ``start()`` of each node, if it has one, is called before the first callback, ``close()``
    after the last one, in reverse order, before the ROS context ends. Returns the exit code: 0
    after SIGINT, SIGTERM and SIGHUP, 1 if the start fails, 2 for a wrong command line, or the code
    that a node requested. For `receiver` see `ros2_classify.ros.node.dds_profile.use`.
    """
    args = list(sys.argv[1:] if args is None else args)
    share_heap()
    # Modules and nodes live to the end: collecting garbage among them only takes time.
    gc.disable()
    with Stop() as stop:
        try:
            from ros2_classify.ros.node import dds_profile

            dds_profile.use(receiver=receiver)
            code = _run(create, args, stop)
        finally:
            gc.unfreeze()
            gc.enable()
        if stop.has_abandoned_thread:
            _free_context()
            # The thread is inside C++ code; ending the interpreter under it can crash.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        stop.ignore_signals_for_good()
        return code


def _init(args: list[str]) -> int:
    """Initialize rclpy; return the exit code, not 0 if that fails or the arguments are wrong."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import remove_ros_args

    try:
        # Arguments like model:=NAME outside of --ros-args would be remappings, as in ROS 1.
        extra = _assignments_outside(args)
        problem = '' if extra else usage_problem(args)
        if problem:
            _say(problem)
            return 2
        extra = extra or remove_ros_args(args=['', *args])[1:]
        if extra:
            _say(f'unexpected argument {extra[0]!r}; parameters and remappings follow --ros-args, '
                 'as in: --ros-args -p model:=NAME -r image:=/camera/image_raw')
            return 2
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # noqa: B902 - the type differs between distributions
        # In some distributions the message has only the unknown arguments.
        if 'ROS arguments' in str(error) or type(error).__name__ == 'UnknownROSArgsError':
            _say(f'the command line cannot be understood: {explain(error)}')
            return 2
        _say(f'ROS 2 cannot be started: {explain(error)}' + (
            '; set ROS_LOG_DIR to a directory that you may write to'
            if 'log directory' in str(error) else ''))
        return 1
    return 0


def _run(create: Callable[[Stop], Any], args: list[str], stop: Stop) -> int:
    if code := _init(args):
        return code
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    nodes: list[Any] = []
    executor = SingleThreadedExecutor()
    try:
        created = create(stop)
        nodes = created if isinstance(created, list) else [created]
        for text in (*unknown_parameters(nodes), *unused_files(args, nodes)):
            nodes[0].get_logger().warning(text)
        for node in nodes:
            executor.add_node(node)
        # Later collections skip them as well.
        gc.freeze()
        gc.enable()
        # Only a task makes spin_once return in every distribution.
        stop.on_request(lambda: executor.create_task(lambda: None))
        for node in nodes:
            if hasattr(node, 'start') and not stop.requested:
                node.start()
        _spin(executor, nodes[0], stop)
    except Ros2ClassifyError as error:
        if not stop.requested:
            (nodes[0].get_logger().fatal if nodes else _say)(str(error))
            stop.request(1)
    finally:
        stop.on_request(None)
        for node in reversed(nodes):
            _end(node, executor)
        executor.shutdown()
        rclpy.try_shutdown()
        if stop.has_abandoned_thread:
            # The thread holds the node, which must not hold the context.
            for node in nodes:
                vars(node).clear()
    return stop.code


def _assignments_outside(args: list[str]) -> list[str]:
    """Return the arguments with := outside of --ros-args."""
    found, inside = [], False
    for word in args:
        inside = word == '--ros-args' or (inside and word != '--')
        if not inside and ':=' in word:
            found.append(word)
    return found


def _free_context() -> None:
    """Free what the end of the interpreter would free, above all shared memory."""
    from rclpy.utilities import get_default_context

    gc.collect()
    get_default_context(shutting_down=True).destroy()
    gc.collect()


def _spin(executor: Any, node: Any, stop: Stop) -> None:
    """Run callbacks until the stop is requested; no exception of a callback ends the node."""
    from rclpy.executors import ExternalShutdownException
    from rclpy.impl.implementation_singleton import rclpy_implementation

    failures = 0
    while not stop.requested and executor.context.ok():
        try:
            executor.spin_once()
            failures = 0
        except ExternalShutdownException:
            return
        except rclpy_implementation.InvalidHandle:
            # A callback of something that has been destroyed, such as a service.
            continue
        except Exception as error:  # noqa: B902 - a callback must not end the node
            failures += 1
            node.get_logger().error(
                f'unexpected {type(error).__name__} in a callback: {error}',
                throttle_duration_sec=5.0)
            if failures == _MAX_FAILURES:
                node.get_logger().fatal(f'{failures} callbacks in a row failed; giving up')
                stop.request(1)


def _end(node: Any, executor: Any) -> None:
    """Close and destroy the node; report errors, and carry on."""
    steps = [executor.remove_node, lambda node: node.destroy_node()]
    if hasattr(node, 'close'):
        steps.insert(0, lambda node: node.close())
    for step in steps:
        try:
            step(node)
        except Exception as error:  # noqa: B902 - the process ends anyway
            _say(f'unexpected {type(error).__name__} while ending: {error}')


def finish_callbacks(executor: Any) -> None:
    """Run pending callbacks to their end; the executor must not be spinning."""
    for _ in range(_LAST_TURNS):
        executor.spin_once(timeout_sec=0.0)


def _say(text: str) -> None:
    print(f'ros2_classify: {shown(text)}', file=sys.stderr, flush=True)
