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

"""What ``docs/sources.md`` says is what the code does."""

from __future__ import annotations

from pathlib import Path
import re

from download_fixtures import *  # noqa: F401, F403 - pytest finds fixtures by name
import pytest
from ros2_classify.download import (
    archive as archives, cache, http as download, http as transfer, url as archive_names)
from ros2_classify.download.http import private_headers
from ros2_classify.download.options import FetchOptions
from ros2_classify.model.descriptor import ModelDescriptor
import yaml

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / 'docs' / 'sources.md').read_text(encoding='utf-8')


def _blocks(language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```', TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize('block', _blocks('yaml'))
def test_the_samples_are_descriptors(block: str) -> None:
    descriptor = ModelDescriptor.from_mapping(yaml.safe_load(block))
    assert descriptor.name == 'my_model'


def test_the_variables_are_all_there() -> None:
    code = ''.join(path.read_text(encoding='utf-8')
                   for path in (ROOT / 'ros2_classify').rglob('*.py')
                   if path.parent.name == 'download' or path.name in ('files.py', 'paths.py'))
    used = set(re.findall(r"= '(ROS2_CLASSIFY_[A-Z_]+)'", code))
    assert set(re.findall(r'^\| `(ROS2_CLASSIFY_[A-Z_]+)`', TEXT, flags=re.MULTILINE)) == used


def test_the_numbers_are_the_real_ones() -> None:
    rows = dict(re.findall(r'^\| ([a-z].*) \| (\d+) \|$', TEXT, flags=re.MULTILINE))
    numbers = [float(number) for number in rows.values()]
    assert numbers == [
        FetchOptions().timeout, transfer.MIN_SPEED, FetchOptions().attempts, download._FIRST_WAIT,
        download._LONGEST_WAIT, transfer.MAX_REDIRECTS,
        FetchOptions().timeout + transfer.PATIENCE, transfer.LONGEST / 3600,
        transfer.MAX_BYTES / 1e9]
    assert f'over {transfer.PATIENCE:.0f} seconds' in TEXT
    assert f'more than {archives.Limits().members} members' in TEXT
    assert f'{archives.Limits().unpacked / 1e9:.0f} GB unpacked' in TEXT
    assert f'older than {cache._STALE / 86400:.0f} days' in TEXT


def test_the_suffixes_are_all_there() -> None:
    section = TEXT.partition('## Archives\n')[2]
    named = re.findall(r'`(\.[a-z0-9.]+)`', section.partition(' are')[0])
    assert sorted(named) == sorted(archive_names.SUFFIXES)


def test_the_sample_tokens_are_read() -> None:
    environ = dict(re.findall(r"^export (\w+)='(.*)'$", TEXT, flags=re.MULTILINE))
    assert private_headers('https://models.example.com/m.onnx', environ) == {
        'Authorization': 'Bearer THE-TOKEN', 'PRIVATE-TOKEN': 'THE-TOKEN'}
