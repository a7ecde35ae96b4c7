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
import gzip
import logging
import os
from pathlib import Path
import subprocess
import threading
from typing import Any

from cache_files import files_in, request, sha256
import pytest
from ros2_classify.errors import (
    DiskFullError, FetchCancelledError, FetchError, IntegrityError)
from ros2_classify.sources import transfer
from ros2_classify.sources.fetch import fetch
from ros2_classify.sources.options import FetchOptions
from ros2_classify.sources.progress import Status
from web_server import (
    chunked, cut_off, hanging, plain, redirect, status, Web, web_server, whole)

BODY = bytes(range(256)) * 1024  # 256 KiB
KEPT = [f'files/{sha256(BODY)}/m.onnx']


def test_a_good_file_is_downloaded_once(web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', BODY)
    path = fetch(request(url, BODY, size=len(BODY)), options())
    assert path.read_bytes() == BODY
    assert path.name == 'm.onnx'
    assert fetch(request(url, BODY), options()) == path
    assert web.count('/m.onnx') == 1
    assert files_in(cache_folder) == KEPT


def test_equal_content_from_another_address_is_not_downloaded(web: Web, options: Any) -> None:
    path = fetch(request(web.serve('/m.onnx', BODY), BODY), options())
    assert fetch(request(f'{web.url}/other.onnx', BODY), options()) == path
    assert web.count('/other.onnx') == 0


def test_a_wrong_file_is_refused_and_thrown_away(
        web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', b'something else')
    with pytest.raises(IntegrityError) as error:
        fetch(request(url, BODY), options())
    assert sha256(BODY) in str(error.value)
    assert sha256(b'something else') in str(error.value)
    assert files_in(cache_folder) == []
    assert web.count('/m.onnx') == 1


def test_a_wrong_size_is_refused_before_the_download(
        web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', BODY)
    with pytest.raises(FetchError, match='has 262144 bytes where the descriptor declares size: 7'):
        fetch(request(url, BODY, size=7), options())
    assert files_in(cache_folder) == []


@pytest.mark.parametrize('body, content_type, guess', [
    (b'<!DOCTYPE html><title>Sign in</title>', 'text/html; charset=utf-8', 'web page'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:00\n', 'text/plain', 'Git LFS'),
])
def test_what_is_no_model_is_named(web: Web, options: Any, body: bytes, content_type: str,
                                   guess: str) -> None:
    url = web.serve('/m.onnx', plain(body, **{'Content-Type': content_type}))
    with pytest.raises(IntegrityError, match=guess):
        fetch(request(url, BODY), options())
    with pytest.raises(IntegrityError, match=guess):
        fetch(request(url), options(allow_unverified=True))


def test_without_a_sha256_the_error_says_the_one_that_came(
        web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', BODY)
    with pytest.raises(IntegrityError) as error:
        fetch(request(url), options())
    assert f'"sha256: {sha256(BODY)}"' in str(error.value)
    assert 'allow_unverified' in str(error.value)
    # Once it is written down, nothing has to be downloaded again.
    assert files_in(cache_folder) == KEPT
    fetch(request(url, BODY), options())
    assert web.count('/m.onnx') == 1


def test_a_trial_is_loud(web: Web, cache_folder: Path, options: Any,
                         caplog: pytest.LogCaptureFixture) -> None:
    url = web.serve('/m.onnx', BODY, b'changed')
    assert fetch(request(url), options(allow_unverified=True)).read_bytes() == BODY
    assert 'UNVERIFIED MODEL' in caplog.text
    assert sha256(BODY) in caplog.text
    # What is served today is used, and not what was served before.
    assert fetch(request(url), options(allow_unverified=True)).read_bytes() == b'changed'
    assert not [name for name in files_in(cache_folder) if not name.startswith('files/')]


def test_a_download_that_was_cut_off_is_resumed(
        web: Web, cache_folder: Path, options: Any, waits: list[float]) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert web.requests[1][1]['Range'] == 'bytes=100000-'
    assert web.requests[1][1]['If-Range']
    assert len(waits) == 1
    assert files_in(cache_folder) == KEPT


def test_what_an_earlier_process_left_is_resumed(
        web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), status(404))
    with pytest.raises(FetchError, match='is not there'):
        fetch(request(url, BODY), options())
    assert [name.split('/')[0] for name in files_in(cache_folder)] == ['partial', 'partial']
    web.serve('/m.onnx', BODY)
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert web.requests[-1][1]['Range'] == 'bytes=100000-'
    assert files_in(cache_folder) == KEPT


def test_a_server_without_ranges_begins_anew(
        web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), plain(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    url = web.serve('/n.onnx', cut_off(BODY[1:], 9, ranges=False), plain(BODY[1:]))
    assert fetch(request(url, BODY[1:]), options()).read_bytes() == BODY[1:]
    assert web.requests[-1][1]['Range'] is None
    assert not [name for name in files_in(cache_folder) if not name.startswith('files/')]


def test_a_file_that_changed_in_between_begins_anew(web: Web, options: Any) -> None:
    changed = BODY[::-1]
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), whole(changed))
    assert fetch(request(url, changed), options()).read_bytes() == changed


def test_a_beginning_that_does_not_fit_is_thrown_away(
        web: Web, cache_folder: Path, options: Any) -> None:
    def wrong_end(handler: Any) -> None:
        handler.start(206, {'Content-Range': f'bytes 100000-{len(BODY) - 1}/{len(BODY)}',
                            'Content-Length': str(len(BODY) - 100_000)})
        handler.wfile.write(bytes(len(BODY) - 100_000))
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), wrong_end, whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert web.requests[2][1]['Range'] is None
    assert files_in(cache_folder) == KEPT


def test_a_server_that_resumes_elsewhere_begins_anew(web: Web, options: Any) -> None:
    def elsewhere(handler: Any) -> None:
        handler.start(206, {'Content-Range': f'bytes 5-{len(BODY) - 1}/{len(BODY)}',
                            'Content-Length': str(len(BODY) - 5)})
        handler.wfile.write(BODY[5:])
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), elsewhere, whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY


def test_a_range_that_is_refused_begins_anew(web: Web, options: Any) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), status(416), whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY


def test_a_file_that_is_always_cut_off_never_gets_its_name(
        web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000, ranges=False))
    with pytest.raises(FetchError, match=r'in 3 attempts: the connection was cut off after '
                                         r'100.0 kB of 262.1 kB.*models bundle'):
        fetch(request(url, BODY), options())
    assert web.count('/m.onnx') == 3
    assert files_in(cache_folder) == []


@pytest.mark.parametrize('answer', [
    chunked(BODY), chunked(BODY, 7777), plain(BODY), whole(BODY)])
def test_ways_to_send_a_file(web: Web, options: Any, answer: Any) -> None:
    url = web.serve('/m.onnx', answer)
    assert fetch(request(url, BODY), options()).read_bytes() == BODY


def test_chunks_that_end_too_early_are_noticed(web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', chunked(BODY, complete=False))
    with pytest.raises(FetchError, match='cut off'):
        fetch(request(url), options(allow_unverified=True))
    assert files_in(cache_folder) == []


@pytest.mark.parametrize('code', [429, 500, 502, 503, 504])
def test_a_server_that_recovers_is_asked_again(
        web: Web, options: Any, waits: list[float], code: int) -> None:
    url = web.serve('/m.onnx', status(code), status(code), whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert len(waits) == 2
    assert 0.75 <= waits[0] <= 1.25
    assert 1.5 <= waits[1] <= 2.5


@pytest.mark.parametrize('asked, waited', [('7', 7.0), ('0', 1.0), ('99999', 60.0)])
def test_a_server_may_ask_for_time(
        web: Web, options: Any, waits: list[float], asked: str, waited: float) -> None:
    url = web.serve('/m.onnx', status(503, **{'Retry-After': asked}), whole(BODY))
    fetch(request(url, BODY), options())
    assert waits == [waited]


def test_much_progress_is_not_a_failed_attempt(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('ros2_classify.sources.download._WORTH_IT', 10_000)

    def piece(handler: Any) -> None:
        first = int((handler.headers.get('Range') or 'bytes=0-')[6:-1])
        handler.start(206 if first else 200, {
            'Content-Length': str(len(BODY) - first), 'Accept-Ranges': 'bytes',
            'Content-Range': f'bytes {first}-{len(BODY) - 1}/{len(BODY)}'})
        handler.wfile.write(BODY[first:first + 40_000])
        handler.wfile.flush()
        handler.close_connection = True
    url = web.serve('/m.onnx', piece)
    assert fetch(request(url, BODY), options(attempts=2)).read_bytes() == BODY
    assert web.count('/m.onnx') == 7


@pytest.mark.parametrize('code, words', [
    (404, 'is not there'), (410, 'is not there'), (401, 'ROS2_CLASSIFY_HTTP_TOKEN'),
    (403, 'ROS2_CLASSIFY_HTTP_TOKEN'), (400, 'answered 400'), (204, 'answered 204')])
def test_what_no_second_attempt_helps(
        web: Web, cache_folder: Path, options: Any, code: int, words: str) -> None:
    url = web.serve('/m.onnx', status(code))
    with pytest.raises(FetchError, match=words):
        fetch(request(url, BODY), options())
    assert web.count('/m.onnx') == 1
    assert files_in(cache_folder) == []


def test_a_silent_server_is_left(web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', hanging(BODY, 1000))
    with pytest.raises(FetchError, match='fell silent'):
        fetch(request(url, BODY), options(timeout=0.1, attempts=1))
    assert files_in(cache_folder) == []


def test_a_server_that_never_answers_is_left(web: Web, options: Any) -> None:
    url = web.serve('/m.onnx', lambda handler: handler.web.released.wait(60))
    with pytest.raises(FetchError, match='fell silent'):
        fetch(request(url, BODY), options(timeout=0.1, attempts=1))


def test_a_server_that_drips_is_left(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, 'PATIENCE', 0.0)
    monkeypatch.setattr(transfer, 'MIN_SPEED', 1e15)
    url = web.serve('/m.onnx', hanging(BODY, 1000))
    with pytest.raises(FetchError, match='sends next to nothing'):
        fetch(request(url, BODY), options(attempts=1))


def test_a_file_without_end_stops(web: Web, cache_folder: Path, options: Any,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError, match='sent more than the 1.0 kB'):
        fetch(request(web.serve('/m.onnx', chunked(BODY)), BODY, size=1000), options())
    monkeypatch.setattr(transfer, 'MAX_BYTES', 200_000)
    with pytest.raises(FetchError, match='sent more than the 200.0 kB'):
        fetch(request(web.serve('/n.onnx', chunked(BODY)), BODY), options())
    with pytest.raises(FetchError, match='262.1 kB, more than the 200.0 kB'):
        fetch(request(web.serve('/o.onnx', plain(BODY)), BODY), options())
    assert files_in(cache_folder) == []


def test_a_server_that_hangs_up_is_asked_again(web: Web, options: Any) -> None:
    def hang_up(handler: Any) -> None:
        handler.close_connection = True
    url = web.serve('/m.onnx', hang_up, lambda handler: handler.wfile.write(b'nonsense\r\n\r\n'),
                    whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY


def test_nobody_listens(options: Any) -> None:
    with web_server() as gone:
        url = f'{gone.url}/m.onnx'
    with pytest.raises(FetchError, match='can not be reached .*in 3 attempts|in 3 attempts: .*can '
                                         'not be reached'):
        fetch(request(url, BODY), options())


def test_an_unknown_server(options: Any) -> None:
    with pytest.raises(FetchError, match='no-such-host.invalid is unknown here.*network'):
        fetch(request('https://no-such-host.invalid/m.onnx', BODY), options(attempts=1))


@pytest.mark.parametrize('encoding, packed', [
    ('gzip', gzip.compress(BODY)), ('x-gzip', gzip.compress(BODY))])
def test_a_compressed_answer_is_unpacked(web: Web, cache_folder: Path, options: Any,
                                         encoding: str, packed: bytes) -> None:
    url = web.serve('/m.onnx', plain(packed, **{'Content-Encoding': encoding}))
    assert fetch(request(url, BODY, size=len(BODY)), options()).read_bytes() == BODY
    assert web.requests[0][1]['Accept-Encoding'] == 'identity'
    assert files_in(cache_folder) == KEPT
    assert fetch(request(f'{url}?', None), options(allow_unverified=True)).read_bytes() == BODY


def test_an_archive_that_claims_to_be_an_encoding_stays_packed(web: Web, options: Any) -> None:
    packed = gzip.compress(BODY)
    url = web.serve('/m.bin', plain(packed, **{'Content-Encoding': 'gzip'}))
    assert fetch(request(url, packed), options()).read_bytes() == packed


def test_a_compressed_answer_that_is_broken_or_a_bomb_is_refused(
        web: Web, cache_folder: Path, options: Any) -> None:
    headers = {'Content-Encoding': 'gzip'}
    url = web.serve('/m.onnx', plain(gzip.compress(BODY)[:-9], **headers))
    with pytest.raises(IntegrityError):
        fetch(request(url, BODY), options())
    url = web.serve('/m.onnx', plain(gzip.compress(bytes(50_000_000)), **headers))
    with pytest.raises(FetchError, match='more than the 262.1 kB'):
        fetch(request(url, BODY, size=len(BODY)), options())
    assert files_in(cache_folder) == []


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
    ('http://[::1/m.onnx', 'is no address')])
def test_redirects_that_are_not_followed(
        web: Web, cache_folder: Path, options: Any, target: str, words: str) -> None:
    url = web.serve('/loop', redirect(target))
    with pytest.raises(FetchError, match=words) as error:
        fetch(request(url, BODY), options())
    assert 'secret' not in str(error.value)
    assert files_in(cache_folder) == []


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
    with pytest.raises(FetchError, match='was sent and not accepted') as error:
        fetch(request(web.serve('/m.onnx', status(403)), BODY), options())
    assert 's3cret' not in str(error.value)


def test_the_user_of_a_netrc_file_is_not_sent(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / '.netrc').write_text('machine 127.0.0.1 login me password s3cret\n')
    monkeypatch.setenv('HOME', str(tmp_path))
    fetch(request(web.serve('/m.onnx', BODY), BODY), options())
    assert web.requests[0][1]['Authorization'] is None


def test_offline_uses_the_cache_and_else_names_the_command(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.serve('/m.onnx', BODY)
    with pytest.raises(FetchError, match='offline mode is on.*models bundle tiny --output .*'
                                         'models import'):
        fetch(request(url, BODY), options(offline=True))
    monkeypatch.setenv('ROS2_CLASSIFY_OFFLINE', '1')
    with pytest.raises(FetchError, match='ROS2_CLASSIFY_OFFLINE is set'):
        fetch(request(url, BODY), options())
    with pytest.raises(FetchError, match='ROS2_CLASSIFY_OFFLINE'):
        fetch(request(url), options(allow_unverified=True))
    assert not web.requests
    # What is said in the call counts more.
    path = fetch(request(url, BODY), options(offline=False))
    assert fetch(request(url, BODY), options()) == path


def test_a_file_that_was_tampered_with_is_fetched_again(
        web: Web, cache_folder: Path, options: Any, caplog: pytest.LogCaptureFixture) -> None:
    url = web.serve('/m.onnx', BODY)
    path = fetch(request(url, BODY), options())
    path.write_bytes(b'evil')
    with pytest.raises(FetchError, match='tiny is damaged in the cache'):
        fetch(request(url, BODY), options(offline=True))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert 'is damaged' in caplog.text
    assert files_in(cache_folder) == KEPT


def test_a_file_address_is_copied_into_the_cache(
        tmp_path: Path, cache_folder: Path, options: Any) -> None:
    source = tmp_path / 'a b.onnx'
    source.write_bytes(BODY)
    path = fetch(request(source.as_uri(), BODY), options(offline=True))
    source.unlink()
    assert path.read_bytes() == BODY
    assert path.name == 'a_b.onnx'
    with pytest.raises(FetchError, match='No such file'):
        fetch(request(source.as_uri(), b'other'), options())
    with pytest.raises(FetchError, match='it is a folder'):
        fetch(request(tmp_path.as_uri(), b'other'), options())
    source.write_bytes(b'')
    with pytest.raises(IntegrityError):
        fetch(request(source.as_uri(), b'other'), options())
    with pytest.raises(FetchError, match='has 0 bytes where'):
        fetch(request(source.as_uri(), b'other', size=5), options())
    assert len(files_in(cache_folder)) == 1


@pytest.mark.parametrize('sent', [0, 100_000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
        web: Web, cache_folder: Path, options: Any, monkeypatch: pytest.MonkeyPatch,
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
    assert files_in(cache_folder) == []
    assert web.count('/m.onnx') == 1


def test_a_disk_that_is_really_full(web: Web, tmp_path: Path, options: Any) -> None:
    small = tmp_path / 'small'
    small.mkdir()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', str(small)],
                             capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f'a small disk needs the right to mount one: {mounted.stderr.strip()}')
    try:
        # Announced, the size is known not to fit; in chunks, the write fails.
        for answer, words in ((whole(BODY), '262.1 kB are needed'), (chunked(BODY), 'is full')):
            with pytest.raises(DiskFullError, match=words):
                fetch(request(web.serve('/m.onnx', answer), BODY), options(cache=small))
            assert files_in(small) == []
    finally:
        subprocess.run(['umount', str(small)], check=True)


def test_a_cache_that_can_not_be_written(
        web: Web, tmp_path: Path, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(FetchError, match='can not be .*set ROS2_CLASSIFY_CACHE'):
        fetch(request(web.serve('/m.onnx', BODY), BODY), options(cache=tmp_path / 'file' / 'x'))
    assert not web.requests


def test_cancelling_ends_a_download(web: Web, cache_folder: Path, options: Any) -> None:
    url = web.serve('/m.onnx', hanging(BODY, 70_000))
    cancel = threading.Event()

    def stop(status: Status) -> None:
        cancel.set()
        web.released.set()
    with pytest.raises(FetchCancelledError):
        fetch(request(url, BODY), options(cancel=cancel, progress=stop))
    assert files_in(cache_folder) == []


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
def test_an_address_that_is_none(options: Any, url: str) -> None:
    with pytest.raises(FetchError, match='/robot/tiny.yaml: the address') as error:
        fetch(request(url, BODY), options())
    assert 's3cret' not in str(error.value)
