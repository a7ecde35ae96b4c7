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

"""Servers that cut off, recover, stall, drip or compress: attempts, and going on."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from cache_files import files_in, request, sha256
import pytest
from ros2_classify.download import http as transfer
from ros2_classify.download.fetch import fetch
from ros2_classify.errors import FetchError, IntegrityError
from web_server import chunked, cut_off, hanging, plain, status, Web, web_server, whole

BODY = bytes(range(256)) * 1024  # 256 KiB
KEPT = [f'files/{sha256(BODY)}/m.onnx']


def test_a_download_that_was_cut_off_is_resumed(
        web: Web, cache_directory: Path, options: Any, waits: list[float]) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert web.requests[1][1]['Range'] == 'bytes=100000-'
    assert web.requests[1][1]['If-Range']
    assert len(waits) == 1
    assert files_in(cache_directory) == KEPT


def test_what_an_earlier_process_left_is_resumed(
        web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), status(404))
    with pytest.raises(FetchError, match='does not exist'):
        fetch(request(url, BODY), options())
    assert [name.split('/')[0] for name in files_in(cache_directory)] == ['partial', 'partial']
    web.serve('/m.onnx', BODY)
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert web.requests[-1][1]['Range'] == 'bytes=100000-'
    assert files_in(cache_directory) == KEPT


def test_a_server_without_ranges_starts_over(
        web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), plain(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    url = web.serve('/n.onnx', cut_off(BODY[1:], 9, ranges=False), plain(BODY[1:]))
    assert fetch(request(url, BODY[1:]), options()).read_bytes() == BODY[1:]
    assert web.requests[-1][1]['Range'] is None
    assert not [name for name in files_in(cache_directory) if not name.startswith('files/')]


def test_a_file_that_changed_in_between_starts_over(web: Web, options: Any) -> None:
    changed = BODY[::-1]
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), whole(changed))
    assert fetch(request(url, changed), options()).read_bytes() == changed


def test_a_beginning_that_does_not_fit_is_thrown_away(
        web: Web, cache_directory: Path, options: Any) -> None:
    def wrong_end(handler: Any) -> None:
        handler.start(206, {'Content-Range': f'bytes 100000-{len(BODY) - 1}/{len(BODY)}',
                            'Content-Length': str(len(BODY) - 100_000)})
        handler.wfile.write(bytes(len(BODY) - 100_000))
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), wrong_end, whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert web.requests[2][1]['Range'] is None
    assert files_in(cache_directory) == KEPT


def test_a_server_that_resumes_elsewhere_starts_over(
        web: Web, options: Any, caplog: pytest.LogCaptureFixture) -> None:
    def elsewhere(handler: Any) -> None:
        handler.start(206, {'Content-Range': f'bytes 5-{len(BODY) - 1}/{len(BODY)}',
                            'Content-Length': str(len(BODY) - 5)})
        handler.wfile.write(BODY[5:])
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), elsewhere, whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert 'did not resume at the requested byte' in caplog.text


def test_a_range_that_is_refused_starts_over(web: Web, options: Any) -> None:
    def refuse(handler: Any) -> None:
        (status(416) if handler.headers['Range'] else whole(BODY))(handler)
    url = web.serve('/m.onnx', cut_off(BODY, 100_000), refuse)
    assert fetch(request(url, BODY), options()).read_bytes() == BODY


def test_a_file_that_is_always_cut_off_never_gets_its_name(
        web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', cut_off(BODY, 100_000, ranges=False))
    with pytest.raises(FetchError, match=r'in 3 attempts: the connection was cut off after '
                                         r'100.0 kB of 262.1 kB.*models bundle'):
        fetch(request(url, BODY), options())
    assert web.count('/m.onnx') == 3
    assert files_in(cache_directory) == []


@pytest.mark.parametrize('result', [
    chunked(BODY), chunked(BODY, 7777), plain(BODY), whole(BODY)])
def test_ways_to_send_a_file(web: Web, options: Any, result: Any) -> None:
    url = web.serve('/m.onnx', result)
    assert fetch(request(url, BODY), options()).read_bytes() == BODY


def test_truncated_chunks_are_noticed(web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', chunked(BODY, complete=False))
    with pytest.raises(FetchError, match='cut off'):
        fetch(request(url), options(allow_unverified=True))
    assert files_in(cache_directory) == []


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
    monkeypatch.setattr('ros2_classify.download.http._WORTH_IT', 10_000)

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
    (404, 'does not exist'), (410, 'does not exist'), (401, 'ROS2_CLASSIFY_HTTP_TOKEN'),
    (403, 'ROS2_CLASSIFY_HTTP_TOKEN'), (400, 'replied 400'), (204, 'replied 204')])
def test_what_no_second_attempt_helps(
        web: Web, cache_directory: Path, options: Any, code: int, words: str) -> None:
    url = web.serve('/m.onnx', status(code))
    with pytest.raises(FetchError, match=words):
        fetch(request(url, BODY), options())
    assert web.count('/m.onnx') == 1
    assert files_in(cache_directory) == []


def test_a_silent_server_is_left(web: Web, cache_directory: Path, options: Any) -> None:
    url = web.serve('/m.onnx', hanging(BODY, 1000))
    with pytest.raises(FetchError, match='stopped responding'):
        fetch(request(url, BODY), options(timeout=0.1, attempts=1))
    assert files_in(cache_directory) == []


def test_a_server_that_never_responds_is_left(web: Web, options: Any) -> None:
    url = web.serve('/m.onnx', lambda handler: handler.web.released.wait(60))
    with pytest.raises(FetchError, match='stopped responding'):
        fetch(request(url, BODY), options(timeout=0.1, attempts=1))


def test_a_server_that_drips_is_left(
        web: Web, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, 'PATIENCE', 0.0)
    monkeypatch.setattr(transfer, 'MIN_SPEED', 1e15)
    url = web.serve('/m.onnx', hanging(BODY, 1000))
    with pytest.raises(FetchError, match='is too slow'):
        fetch(request(url, BODY), options(attempts=1))


def test_a_file_without_end_stops(web: Web, cache_directory: Path, options: Any,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError, match='sent more than the allowed 1.0 kB'):
        fetch(request(web.serve('/m.onnx', chunked(BODY)), BODY, size=1000), options())
    monkeypatch.setattr(transfer, 'MAX_BYTES', 200_000)
    with pytest.raises(FetchError, match='sent more than the allowed 200.0 kB'):
        fetch(request(web.serve('/n.onnx', chunked(BODY)), BODY), options())
    with pytest.raises(FetchError, match='262.1 kB, but at most 200.0 kB'):
        fetch(request(web.serve('/o.onnx', plain(BODY)), BODY), options())
    assert files_in(cache_directory) == []


def test_a_server_that_hangs_up_is_asked_again(web: Web, options: Any) -> None:
    def hang_up(handler: Any) -> None:
        handler.close_connection = True
    url = web.serve('/m.onnx', hang_up, lambda handler: handler.wfile.write(b'nonsense\r\n\r\n'),
                    whole(BODY))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY


def test_nobody_listens(options: Any) -> None:
    with web_server() as gone:
        url = f'{gone.url}/m.onnx'
    with pytest.raises(FetchError, match='in 3 attempts: .* cannot be reached'):
        fetch(request(url, BODY), options())


def test_an_unknown_server(options: Any) -> None:
    with pytest.raises(FetchError, match='no-such-host.invalid cannot be resolved.*internet'):
        fetch(request('https://no-such-host.invalid/m.onnx', BODY), options(attempts=1))


@pytest.mark.parametrize('encoding, packed', [
    ('gzip', gzip.compress(BODY, mtime=0)), ('x-gzip', gzip.compress(BODY, mtime=0))])
def test_a_compressed_result_is_unpacked(web: Web, cache_directory: Path, options: Any,
                                         encoding: str, packed: bytes) -> None:
    url = web.serve('/m.onnx', plain(packed, **{'Content-Encoding': encoding}))
    assert fetch(request(url, BODY, size=len(BODY)), options()).read_bytes() == BODY
    assert web.requests[0][1]['Accept-Encoding'] == 'identity'
    assert files_in(cache_directory) == KEPT
    assert fetch(request(f'{url}?', None), options(allow_unverified=True)).read_bytes() == BODY


def test_an_archive_that_claims_to_be_an_encoding_stays_packed(web: Web, options: Any) -> None:
    packed = gzip.compress(BODY, mtime=0)
    url = web.serve('/m.bin', plain(packed, **{'Content-Encoding': 'gzip'}))
    assert fetch(request(url, packed), options()).read_bytes() == packed


def test_a_compressed_result_that_is_broken_or_a_bomb_is_refused(
        web: Web, cache_directory: Path, options: Any) -> None:
    headers = {'Content-Encoding': 'gzip'}
    url = web.serve('/m.onnx', plain(gzip.compress(BODY, mtime=0)[:-9], **headers))
    with pytest.raises(IntegrityError):
        fetch(request(url, BODY), options())
    url = web.serve('/m.onnx', plain(gzip.compress(bytes(50_000_000)), **headers))
    with pytest.raises(FetchError, match='more than the allowed 262.1 kB'):
        fetch(request(url, BODY, size=len(BODY)), options())
    assert files_in(cache_directory) == []
