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

"""Good, wrong, cut-off, slow, redirected and hostile servers: the outcome, and a clean cache."""

from __future__ import annotations

import errno
import os
from pathlib import Path
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

from cache_files import files_in, request, sha256
import pytest
from ros2_classify.download import http as transfer
from ros2_classify.download.fetch import fetch
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import DiskFullError, FetchCancelledError, FetchError, IntegrityError
from ros2_classify.progress import Status
from web_server import chunked, cut_off, hanging, plain, status, Web, whole

BODY = bytes(range(256)) * 1024  # 256 KiB
KEPT = [f'files/{sha256(BODY)}/m.onnx']


def test_a_good_file_is_downloaded_once(web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', BODY)
    path = fetch(request(url, BODY, size=len(BODY)), options())
    assert path.read_bytes() == BODY
    assert path.name == 'm.onnx'
    assert fetch(request(url, BODY), options()) == path
    assert web.count('/m.onnx') == 1
    assert files_in(cache_directory) == KEPT


def test_a_file_on_the_disk_imports_neither_model_nor_archives(tmp_path: Path) -> None:
    path = tmp_path / 'm.onnx'
    path.write_bytes(BODY)
    program = f"""
import sys
from pathlib import Path
from ros2_classify.download.fetch import fetch, Request
fetch(Request('m', 'm.yaml', 'm', path=Path({str(path)!r}), sha256={sha256(BODY)!r}))
print(sorted({{'http.client', 'ssl', 'tarfile', 'urllib.request', 'zipfile'}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True,
                          check=True, timeout=60)
    assert done.stdout == '[]\n'


def test_equal_content_from_another_url_is_not_downloaded(web: Web, options: Any) -> None:
    path = fetch(request(web.serve('/m.onnx', BODY), BODY), options())
    assert fetch(request(f'{web.url}/other.onnx', BODY), options()) == path
    assert web.count('/other.onnx') == 0


def test_a_wrong_file_is_refused_and_thrown_away(
        web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', b'something else')
    with pytest.raises(IntegrityError) as error:
        fetch(request(url, BODY), options())
    assert sha256(BODY) in str(error.value)
    assert sha256(b'something else') in str(error.value)
    assert files_in(cache_directory) == []
    assert web.count('/m.onnx') == 1


def test_a_wrong_size_is_refused_before_the_download(
        web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', BODY)
    with pytest.raises(FetchError, match='has 262144 bytes, but the descriptor declares size: 7'):
        fetch(request(url, BODY, size=7), options())
    assert files_in(cache_directory) == []


@pytest.mark.parametrize('body, content_type, kind', [
    (b'<!DOCTYPE html><title>Sign in</title>', 'text/html; charset=utf-8', 'web page'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:00\n', 'text/plain', 'Git LFS'),
])
def test_what_is_no_model_is_named(web: Web, options: Any, body: bytes, content_type: str,
                                   kind: str) -> None:
    url = web.serve('/m.onnx', plain(body, **{'Content-Type': content_type}))
    with pytest.raises(IntegrityError, match=kind):
        fetch(request(url, BODY), options())
    with pytest.raises(IntegrityError, match=kind):
        fetch(request(url), options(allow_unverified=True))


def test_without_a_sha256_the_error_says_the_one_that_came(
        web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', BODY)
    with pytest.raises(IntegrityError) as error:
        fetch(request(url), options())
    assert f'"sha256: {sha256(BODY)}"' in str(error.value)
    assert 'allow_unverified' in str(error.value)
    # Once it is written down, nothing has to be downloaded again.
    assert files_in(cache_directory) == KEPT
    fetch(request(url, BODY), options())
    assert web.count('/m.onnx') == 1


def test_a_trial_is_loud(web: Web, cache_directory: Path, options: Any,
                         caplog: pytest.LogCaptureFixture) -> None:
    url = web.serve('/m.onnx', BODY, b'changed')
    assert fetch(request(url), options(allow_unverified=True)).read_bytes() == BODY
    assert 'UNVERIFIED MODEL' in caplog.text
    assert sha256(BODY) in caplog.text
    # What is served today is used, and not what was served before.
    assert fetch(request(url), options(allow_unverified=True)).read_bytes() == b'changed'
    assert not [name for name in files_in(cache_directory) if not name.startswith('files/')]


def test_offline_uses_the_cache_and_else_names_the_command(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.serve('/m.onnx', BODY)
    with pytest.raises(FetchError, match='offline mode is on.*models bundle tiny --output .*'
                                         'models import'):
        fetch(request(url, BODY), options(offline=True))
    monkeypatch.setenv('ROS2_CLASSIFY_OFFLINE', '1')
    with pytest.raises(FetchError, match='ROS2_CLASSIFY_OFFLINE is set'):
        fetch(request(url, BODY), options())
    with pytest.raises(FetchError, match='has no sha256, .*ROS2_CLASSIFY_OFFLINE.*models fetch'):
        fetch(request(url), options(allow_unverified=True))
    assert not web.requests
    # What is said in the call counts more.
    path = fetch(request(url, BODY), options(offline=False))
    assert fetch(request(url, BODY), options()) == path


def test_a_file_that_was_tampered_with_is_fetched_again(
        web: Web, cache_directory: Path, options: Any, caplog: pytest.LogCaptureFixture) -> None:
    url = web.serve('/m.onnx', BODY)
    path = fetch(request(url, BODY), options())
    path.write_bytes(b'evil')
    with pytest.raises(FetchError, match='tiny is damaged in the cache'):
        fetch(request(url, BODY), options(offline=True))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert 'is damaged' in caplog.text
    assert files_in(cache_directory) == KEPT


def test_a_file_url_is_copied_into_the_cache(
        tmp_path: Path, cache_directory: Path, options: Any) -> None:
    source = tmp_path / 'a b.onnx'
    source.write_bytes(BODY)
    path = fetch(request(source.as_uri(), BODY), options(offline=True))
    source.unlink()
    assert path.read_bytes() == BODY
    assert path.name == 'a_b.onnx'
    with pytest.raises(FetchError, match='No such file'):
        fetch(request(source.as_uri(), b'other'), options())
    with pytest.raises(FetchError, match='it is a directory'):
        fetch(request(tmp_path.as_uri(), b'other'), options())
    source.write_bytes(b'')
    with pytest.raises(IntegrityError):
        fetch(request(source.as_uri(), b'other'), options())
    with pytest.raises(FetchError, match='has 0 bytes, but'):
        fetch(request(source.as_uri(), b'other', size=5), options())
    assert len(files_in(cache_directory)) == 1


@pytest.mark.parametrize('sent', [0, 100_000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
        web: Web, cache_directory: Path, options: Any, monkeypatch: pytest.MonkeyPatch,
        sent: int) -> None:
    put = transfer._put
    left = [sent]

    def full(descriptor: int, chunk: bytes) -> None:
        left[0] -= len(chunk)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put(descriptor, chunk)
    monkeypatch.setattr(transfer, '_put', full)
    with pytest.raises(DiskFullError, match=r'is full \(262.1 kB are needed, .* are free\); free '
                                            'some space or set ROS2_CLASSIFY_CACHE'):
        fetch(request(web.serve('/m.onnx', BODY), BODY), options())
    assert files_in(cache_directory) == []
    assert web.count('/m.onnx') == 1


def test_a_disk_that_is_too_small_is_noticed_before_the_download(
        web: Web, cache_directory: Path, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(descriptor: int, chunk: bytes) -> None:
        raise AssertionError('written to a disk that is too small')
    monkeypatch.setattr(transfer, '_put', put)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=262_143))
    with pytest.raises(DiskFullError, match=r'\(262.1 kB are needed, 262.1 kB are free\)'):
        fetch(request(web.serve('/m.onnx', BODY), BODY), options())
    assert files_in(cache_directory) == []


def test_a_disk_that_is_really_full(web: Web, tmp_path: Path, options: Any) -> None:
    small = tmp_path / 'small'
    small.mkdir()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', str(small)],
                             capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f'a small disk needs the right to mount one: {mounted.stderr.strip()}')
    try:
        # Announced, the size is known not to fit; in chunks, the write fails.
        for result, words in ((whole(BODY), '262.1 kB are needed'), (chunked(BODY), 'is full')):
            with pytest.raises(DiskFullError, match=words):
                fetch(request(web.serve('/m.onnx', result), BODY), options(cache=small))
            assert files_in(small) == []
    finally:
        subprocess.run(['umount', str(small)], check=True)


def test_a_cache_that_cannot_be_written(
        web: Web, tmp_path: Path, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(FetchError, match='cannot be .*set ROS2_CLASSIFY_CACHE'):
        fetch(request(web.serve('/m.onnx', BODY), BODY), options(cache=tmp_path / 'file' / 'x'))
    assert not web.requests


def test_cancelling_ends_a_download(web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', hanging(BODY, 70_000))
    cancel = threading.Event()

    def stop(status: Status) -> None:
        cancel.set()
        web.released.set()
    with pytest.raises(FetchCancelledError):
        fetch(request(url, BODY), options(cancel=cancel, progress=stop))
    assert files_in(cache_directory) == []


def test_cancelling_ends_the_wait_for_the_next_attempt(
        web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = threading.Event()

    def fail(handler: Any) -> None:
        cancel.set()
        status(503, **{'Retry-After': '60'})(handler)
    with pytest.raises(FetchCancelledError):
        fetch(request(web.serve('/m.onnx', fail), BODY), FetchOptions(cancel=cancel))


def test_progress_tells_what_came_before_too(web: Web, options: Any) -> None:
    seen: list[Status] = []
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), whole(BODY))
    fetch(request(url, BODY), options(progress=seen.append))
    done = [status.done for status in seen]
    assert done == sorted(done)
    assert seen[-1].finished
    assert (seen[-1].done, seen[-1].total) == (len(BODY), len(BODY))
    assert [status.finished for status in seen].count(True) == 1


@pytest.mark.parametrize('url', [
    'ftp://example.com/m.onnx', 'https:///m.onnx', 'https://me:s3cret@example.com/m.onnx',
    'https://example.com/a b.onnx', 'https://[::1/m.onnx', 'file://server/m.onnx',
    'https://example.com:99999/m.onnx'])
def test_an_invalid_url(options: Any, url: str) -> None:
    with pytest.raises(FetchError, match='/robot/tiny.yaml: the URL') as error:
        fetch(request(url, BODY), options())
    assert 's3cret' not in str(error.value)
