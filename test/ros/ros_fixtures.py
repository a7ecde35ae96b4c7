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

"""Fixtures for tests with real nodes: a domain of their own, processes, a peer, tiny models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import tempfile

from clocks import Clock
import pytest

# The domain is chosen in test/conftest.py.
os.environ['ROS_LOG_DIR'] = tempfile.mkdtemp(prefix='ros2_classify_test_log_')
for _name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE',
              'FASTDDS_BUILTIN_TRANSPORTS'):
    os.environ.pop(_name, None)


@pytest.fixture(scope='session')
def ros() -> Iterator[None]:
    """Start ROS in the test's process, with the package's profile: its images are large."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from ros2_classify.ros.node import dds_profile

    dds_profile.use()
    # The fuzzing of real nodes has these fixtures as well, and may run in the same process.
    if not rclpy.ok():
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    yield
    rclpy.try_shutdown()


@pytest.fixture
def peer(ros: None) -> Iterator[object]:
    """Return a node of the test's own."""
    from ros_process import Peer

    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def start() -> Iterator[Callable[..., object]]:
    """
    Return a function that starts a node as a process; it is killed at the test's end.

    No node may log an unexpected failure or a traceback, unless its `expected_failure` matches.
    """
    from ros_process import Process

    processes = []

    def start(*args: object, **kwargs: object) -> Process:
        processes.append(Process(*args, **kwargs))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
    for process in processes:
        assert not process.failures(), process.output


@pytest.fixture(scope='session')
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the descriptor of a model that tells red, green and blue images apart."""
    from ros_models import save_classifier

    return save_classifier(tmp_path_factory.mktemp('classifier'))


@pytest.fixture(scope='session')
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the descriptor of a model that finds the same two boxes in every image."""
    from ros_models import save_detector

    return save_detector(tmp_path_factory.mktemp('detector'))


@pytest.fixture(scope='session')
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the descriptor of a model that fails on a white image."""
    from ros_models import save_faulty

    return save_faulty(tmp_path_factory.mktemp('faulty'))


@pytest.fixture
def operator(peer: object) -> object:
    """Return what reads ``/diagnostics``."""
    from ros_operator import Operator

    return Operator(peer)


@pytest.fixture(scope='session')
def sleeper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the descriptor of a model that never comes back from a white image."""
    from ros_models import save_sleeper

    return save_sleeper(tmp_path_factory.mktemp('sleeper'))


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until the test moves it."""
    return Clock()
