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

"""URLs from anywhere: what may be secret is never shown, and a file's name is harmless."""

from __future__ import annotations

from pathlib import PurePosixPath

from fuzzing import fuzz, TEXTS
from hypothesis import strategies as st

from ros2_classify.download.http import private_headers
from ros2_classify.download.url import (
    file_name, is_sha256, origin_of, problem_with, redact, safe_name, split_facts)
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor import ModelDescriptor

SECRET = 's3cret'
PIECES = st.sampled_from((
    'https://', 'http://', 'file://', 'ftp://', 'HTTPS://', '//', '/', '\\', '@', ':', ':80', ':0',
    ':99999', '[::1]', '[', ']', '%00', '%2e%2e%2f', '..', '?', '#', '#sha256=', '0' * 64, ' ',
    'example.com', 'model.onnx', '.onnx', 'ä', '\n', '\0', '&', ';', '=', '~'))
URLS = st.lists(st.one_of(PIECES, TEXTS), max_size=8).map(''.join)


@fuzz(url=URLS)
def test_any_url(url: str) -> None:
    """A URL is valid, or the problem is named."""
    problem = problem_with(url)
    redact(url)
    plain, sha256, _ = split_facts(url)
    assert url.startswith(plain)
    if sha256 is not None:
        is_sha256(sha256)
    if problem is None:
        name = file_name(url)
        assert name and PurePosixPath(name).name == name and name not in ('.', '..')
        if not url.startswith('file:'):
            assert origin_of(url).host
    else:
        assert problem


@fuzz(name=TEXTS)
def test_any_file_name(name: str) -> None:
    """Whatever a server calls a file, its name leads nowhere else."""
    safe = safe_name(name)
    assert 0 < len(safe) <= 120 and '/' not in safe and not safe.startswith('.')


@fuzz(before=st.sampled_from(('me:', ':', 'me', '')), path=st.sampled_from(('/m.onnx', '/', '')),
      where=st.sampled_from(('user', 'query', 'fragment')))
def test_secrets_in_urls_are_not_shown(before: str, path: str, where: str) -> None:
    """A password, a signature or a token in a URL comes back in no message."""
    url = {'user': f'https://{before}{SECRET}@example.com{path}',
           'query': f'https://example.com{path}?token={SECRET}',
           'fragment': f'https://example.com{path}#{SECRET}'}[where]
    assert SECRET not in redact(url) and SECRET not in (problem_with(url) or '')
    try:
        resolve(url)
    except Ros2ClassifyError as error:
        assert SECRET not in str(error) or where == 'fragment'
    try:
        ModelDescriptor.from_mapping({'source': {'url': url, 'sha256': '0' * 64}})
    except Ros2ClassifyError as error:
        assert SECRET not in str(error)


@fuzz(value=TEXTS, url=URLS)
def test_any_token(value: str, url: str) -> None:
    """What a user writes into the variable is a header, or is named and not shown."""
    if problem_with(url) is not None or url.startswith('file:'):
        url = 'https://example.com/m.onnx'
    try:
        headers = private_headers(url, {'ROS2_CLASSIFY_HTTP_TOKEN': f'{value} {SECRET}'})
    except Ros2ClassifyError as error:
        assert SECRET not in str(error)
        return
    assert all('\n' not in text and '\r' not in text for text in headers.values())
