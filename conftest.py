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

"""What all tests share."""

from importlib.util import find_spec
import os
from pathlib import Path
import signal

import pytest
from ros2_classify_benchmark import shared_memory
from ros_domain import take_domain
import shared_data

# scripts/test sets it: there the nodes' tests must run, elsewhere they may be skipped.
ROS_IS_A_MUST = 'ROS2_CLASSIFY_TEST_ROS'


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests' nodes from all others, on this machine and on the network."""
    if not _starts_workers(config):
        domain, config.ros_domain_lock = take_domain()  # type: ignore[attr-defined]
        os.environ['ROS_DOMAIN_ID'] = str(domain)
    if not hasattr(config, 'workerinput'):
        config.shared_memory = shared_memory.segments()  # type: ignore[attr-defined]
        # Asked to end, pytest ends as after Ctrl-C: with all processes of its tests.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            # Started by nohup or with &: this process goes on ignoring it, the tests' nodes don't.
            signal.signal(number, lambda *_: None)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    for name in ('ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER'):
        os.environ.pop(name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the shared memory of processes that tests have killed."""
    if hasattr(config, 'shared_memory'):
        shared_memory.remove_left_behind(config.shared_memory)


def _starts_workers(config: pytest.Config) -> bool:
    return bool(config.getoption('numprocesses', None)) and not hasattr(config, 'workerinput')


def pytest_report_header(config: pytest.Config) -> str:
    """Say what the tests of the nodes run with."""
    if find_spec('rclpy'):
        domain = 'each worker' if _starts_workers(config) else os.environ['ROS_DOMAIN_ID']
        return f'ROS 2: {os.environ.get("ROS_DISTRO", "?")}, domain: {domain}'
    return 'ROS 2: not installed; test/ros and test/fuzz/ros are skipped'


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Skip the tests of the nodes if rclpy is missing and may be."""
    here = Path(__file__).parent / 'test'
    if collection_path in (here / 'ros', here / 'fuzz' / 'ros') and (
            ROS_IS_A_MUST not in os.environ):
        return find_spec('rclpy') is None or None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run conversions first: at the end, one of a minute leaves the other workers idle."""
    items.sort(key=lambda item: 'test_convert_tensorflow' not in item.nodeid)


@pytest.fixture(scope='session')
def data() -> Path:
    """Return the directory of published models, labels and images; skip where it is missing."""
    directory = shared_data.find_data()
    if directory is None:
        pytest.skip(shared_data.REASON)
    return directory


@pytest.fixture(scope='session')
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that tests with the real TensorFlow share: each model is converted once."""
    base = tmp_path_factory.getbasetemp()
    # The workers' directories are in one of the whole run.
    directory = (base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / 'converted'
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture
def published(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the published models known by name; return the directory they lie in."""
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', shared_data.model_path(data))
    return data


@pytest.fixture(autouse=True)
def no_search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests from the user's own models."""
    monkeypatch.delenv('ROS2_CLASSIFY_MODEL_PATH', raising=False)
    # Where imported models are looked for; tests that import some name a directory of their own.
    monkeypatch.setenv('XDG_DATA_HOME', os.devnull)
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', os.devnull)
