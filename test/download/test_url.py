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

"""URLs: checks, file names, and what messages show."""

from __future__ import annotations

from pathlib import Path

import pytest
from ros2_classify.download.url import (
    file_name, is_url, local_path, origin_of, problem_with, redact, split_facts)


@pytest.mark.parametrize('text, expected', [
    ('https://example.com/m.onnx', True), ('file:///m.onnx', True), ('ftp://x/y', True),
    ('m.onnx', False), ('/a/b.onnx', False), ('C:/m.onnx', False), ('cards_detector', False)])
def test_urls_and_paths(text: str, expected: bool) -> None:
    assert is_url(text) is expected


@pytest.mark.parametrize('url', [
    'https://example.com/m.onnx', 'http://127.0.0.1:8000/m.onnx?x=1', 'http://[::1]:80/m',
    'file:///home/me/m.onnx', 'file://localhost/m.onnx', 'HTTPS://example.com/m'])
def test_urls_without_problems(url: str) -> None:
    assert problem_with(url) is None


@pytest.mark.parametrize('url, name', [
    ('https://h/a/m.onnx', 'm.onnx'), ('https://h/a/m.onnx?x=/y', 'm.onnx'),
    ('https://h/', 'file'),
    ('https://h/..', 'file'),
    ('https://h/%2e%2e%2fevil', '_evil'), ('https://h/.hidden', 'hidden'),
    ('https://h/a%20b%00c', 'a_b_c'), ('https://h/tree/', 'tree'),
    ('https://h/' + 'x' * 300 + '.onnx', 'x' * 115 + '.onnx')])
def test_a_file_name_is_harmless(url: str, name: str) -> None:
    assert file_name(url) == name


def test_secrets_are_not_shown() -> None:
    assert redact('https://me:pw@h:8/p/m.onnx?token=pw#pw') == 'https://h:8/p/m.onnx?…'
    assert redact('https://h/m.onnx') == 'https://h/m.onnx'
    assert 'pw' not in redact('https://[pw/m')


def test_what_follows_a_url() -> None:
    assert split_facts('https://h/m.onnx#sha256=ABC') == ('https://h/m.onnx', 'abc', None)
    assert split_facts('https://h/m.onnx#top') == ('https://h/m.onnx', None, None)
    assert split_facts('https://h/m.onnx') == ('https://h/m.onnx', None, None)
    assert split_facts('https://h/a.tgz#sha256=AB&member=a/m%20n.onnx') == (
        'https://h/a.tgz', 'ab', 'a/m n.onnx')
    assert split_facts('https://h/a.tgz#member=') == ('https://h/a.tgz', None, None)


def test_origins_and_paths() -> None:
    assert str(origin_of('https://Example.com:443/x')) == 'https://example.com'
    assert str(origin_of('http://[::1]:8080/x')) == 'http://[::1]:8080'
    assert local_path('file:///a%20b/m.onnx') == Path('/a b/m.onnx')
