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

"""Redirects, and what a server gets to see."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from cache_files import files_in, request
import pytest
from ros2_classify.download.fetch import fetch
from ros2_classify.errors import FetchError
from web_server import redirect, status, Web, web_server

BODY = bytes(range(256)) * 1024  # 256 KiB


def test_redirects_are_followed(web: Web, options: Any) -> None:
    web.serve('/m.onnx', BODY)
    web.serve('/two', redirect('m.onnx', 301))
    url = web.serve('/one', redirect(f'{web.url}/two?signature=secret', 307))
    path = fetch(request(url, BODY), options())
    assert path.read_bytes() == BODY
    assert path.name == 'one'


@pytest.mark.parametrize('target, words', [
    ('/loop', 'more than 10 times'),
    ('file:///etc/passwd', 'would read a local file'),
    ('ftp://127.0.0.1/m.onnx', "begins with 'ftp'"),
    ('http://user:secret@127.0.0.1/m.onnx', 'user name or a password'),
    ('http://[::1/m.onnx', 'is not a valid URL')])
def test_redirects_that_are_not_followed(
        web: Web, cache_directory: Path, options: Any, target: str, words: str) -> None:
    url = web.serve('/loop', redirect(target))
    with pytest.raises(FetchError, match=words) as error:
        fetch(request(url, BODY), options())
    assert 'secret' not in str(error.value)
    assert files_in(cache_directory) == []


def test_a_token_goes_to_its_server_and_nowhere_else(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv('ROS2_CLASSIFY_HTTP_TOKEN', f'{web.url} s3cret')
    monkeypatch.setenv('ROS2_CLASSIFY_HTTP_HEADER_LAB', f'{web.url} X-Key: s3cret2')
    with web_server() as other:
        other.serve('/m.onnx', status(503), redirect(f'{web.url}/back'))
        web.serve('/back', status(503), BODY)
        url = web.serve('/m.onnx', redirect(f'{other.url}/m.onnx'))
        assert fetch(request(url, BODY), options()).read_bytes() == BODY
        for path, headers in web.requests:
            assert headers['Authorization'] == 'Bearer s3cret', path
            assert headers['X-Key'] == 's3cret2'
        assert len(other.requests) == 3
        for _, headers in other.requests:
            assert headers['Authorization'] is None
            assert headers['X-Key'] is None
    assert 's3cret' not in caplog.text


def test_a_token_that_is_not_accepted_is_not_shown(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS2_CLASSIFY_HTTP_TOKEN', f'{web.url} s3cret')
    with pytest.raises(FetchError, match='in the environment was not accepted') as error:
        fetch(request(web.serve('/m.onnx', status(403)), BODY), options())
    assert 's3cret' not in str(error.value)


def test_the_user_of_a_netrc_file_is_not_sent(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / '.netrc').write_text('machine 127.0.0.1 login me password s3cret\n')
    monkeypatch.setenv('HOME', str(tmp_path))
    fetch(request(web.serve('/m.onnx', BODY), BODY), options())
    assert web.requests[0][1]['Authorization'] is None
