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

"""The environment's part in how files are fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from ros2_classify.download.options import (
    default_cache_directory, default_import_directory, FetchOptions, offline_by_environment)
from ros2_classify.errors import FetchError


def test_the_cache_is_where_users_keep_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', '/home/me')
    assert default_cache_directory({}) == Path('/home/me/.cache/ros2_classify')
    assert default_cache_directory({'XDG_CACHE_HOME': '/c'}) == Path('/c/ros2_classify')
    # By the specification, a relative path does not count.
    assert (default_cache_directory({'XDG_CACHE_HOME': 'c'})
            == Path('/home/me/.cache/ros2_classify'))
    assert default_cache_directory({'ROS2_CLASSIFY_CACHE': '~/x', 'XDG_CACHE_HOME': '/c'}) == \
        Path('/home/me/x')
    assert default_cache_directory({'ROS2_CLASSIFY_CACHE': 'x'}) == Path.cwd() / 'x'
    assert default_cache_directory({'ROS2_CLASSIFY_CACHE': ' '}) == \
        Path('/home/me/.cache/ros2_classify')
    assert default_import_directory({}) == Path('/home/me/.local/share/ros2_classify/models')
    assert default_import_directory({'XDG_DATA_HOME': '/d'}) == Path('/d/ros2_classify/models')


def test_no_home_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError('Could not determine home directory.')
    monkeypatch.setattr(Path, 'home', no_home)
    with pytest.raises(FetchError, match='no home directory.*set ROS2_CLASSIFY_CACHE'):
        default_cache_directory({})
    assert default_cache_directory({'ROS2_CLASSIFY_CACHE': '/c'}) == Path('/c')


@pytest.mark.parametrize('value, expected', [
    ('1', True), ('TRUE', True), (' yes ', True), ('on', True), ('', False), ('0', False),
    ('No', False), ('off', False), ('false', False)])
def test_offline(value: str, expected: bool) -> None:
    assert offline_by_environment({'ROS2_CLASSIFY_OFFLINE': value}) is expected


def test_offline_is_yes_or_no(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError, match="'maybe'; allowed are 1, true, yes, on and nothing, 0"):
        offline_by_environment({'ROS2_CLASSIFY_OFFLINE': 'maybe'})
    monkeypatch.setenv('ROS2_CLASSIFY_OFFLINE', '1')
    assert FetchOptions().is_offline()
    assert not FetchOptions(offline=False).is_offline()
