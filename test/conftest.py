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

from pathlib import Path

import pytest
import shared_data


@pytest.fixture(scope='session')
def data() -> Path:
    """Return the folder of published models, labels and pictures; skip where it is missing."""
    folder = shared_data.find_data()
    if folder is None:
        pytest.skip(shared_data.REASON)
    return folder


@pytest.fixture
def published(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the published models known by name; return the folder they lie in."""
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', shared_data.model_path(data))
    return data


@pytest.fixture(autouse=True)
def no_search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests from the models of whoever runs them."""
    monkeypatch.delenv('ROS2_CLASSIFY_MODEL_PATH', raising=False)
