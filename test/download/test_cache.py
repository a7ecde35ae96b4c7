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

"""The cache between processes and threads, and what it says when the disk does not play along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import fcntl
import os
from pathlib import Path
import queue
import subprocess
import sys
import threading
import time
from typing import Any

from cache_files import files_in, request, sha256
import pytest
from ros2_classify.download import cache as cache_module
from ros2_classify.download.cache import Cache
from ros2_classify.download.fetch import fetch
from ros2_classify.errors import FetchCancelledError, FetchError
from web_server import hanging, Web

BODY = bytes(range(256)) * 1024
DEADLINE = 30.0
ROOT = Path(__file__).resolve().parents[2]

# What each process runs: the URL and the hash come as arguments.
PROGRAM = """
import logging, sys
from ros2_classify.download.fetch import fetch, Request
from ros2_classify.download.options import FetchOptions
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')
request = Request(label='tiny', origin='tiny.yaml', model='tiny', url=sys.argv[1],
                  sha256=sys.argv[2])
sys.stdout.reconfigure(line_buffering=True)
print('path', fetch(request, FetchOptions(timeout=30.0, attempts=1)))
"""


@contextmanager
def _processes(count: int, *arguments: str) -> Iterator[tuple[Any, queue.Queue[str]]]:
    """Run programs at once; their lines come through a queue."""
    lines: queue.Queue[str] = queue.Queue()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', PROGRAM, *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env={**os.environ, 'PYTHONPATH': path})
        for _ in range(count)]

    def read(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip())
    threads = [threading.Thread(target=read, args=(process,)) for process in processes]
    for thread in threads:
        thread.start()
    try:
        yield processes, lines
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for thread in threads:
            thread.join()
        for process in processes:
            process.stdout.close()


def _wait_for(lines: queue.Queue[str], words: str) -> str:
    seen = []
    end = time.monotonic() + DEADLINE
    while True:
        try:
            line = lines.get(timeout=max(end - time.monotonic(), 0))
        except queue.Empty:
            raise AssertionError(f'no {words!r} in {seen}') from None
        if words in line:
            return line
        seen.append(line)


def test_processes_that_start_at_once_download_once(web: Web, cache_directory: Path) -> None:
    url = web.serve('/m.onnx', hanging(BODY, 1000))
    with _processes(3, url, sha256(BODY)) as (processes, lines):
        # One downloads; the server holds it until both others have said that they wait.
        _wait_for(lines, 'another process is fetching tiny; waiting for it')
        _wait_for(lines, 'another process is fetching tiny; waiting for it')
        web.released.set()
        paths = {_wait_for(lines, 'path ') for _ in processes}
        assert [process.wait(DEADLINE) for process in processes] == [0, 0, 0]
    assert paths == {f'path {cache_directory}/files/{sha256(BODY)}/m.onnx'}
    assert web.count('/m.onnx') == 1
    assert files_in(cache_directory) == [f'files/{sha256(BODY)}/m.onnx']


def test_a_process_that_was_killed_is_no_hindrance(
        web: Web, cache_directory: Path, options: Any) -> None:
    started = threading.Event()

    def announce(handler: Any) -> None:
        started.set()
        hanging(BODY, 1000)(handler)
    url = web.serve('/m.onnx', announce, BODY)
    with _processes(1, url, sha256(BODY)) as (processes, _):
        assert started.wait(DEADLINE)
        processes[0].kill()
        assert processes[0].wait(DEADLINE) < 0
    assert fetch(request(url, BODY), options()).read_bytes() == BODY
    assert files_in(cache_directory) == [f'files/{sha256(BODY)}/m.onnx']


def test_threads_take_turns(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    inside, most, done = [0], [0], []

    def work() -> None:
        with cache.lock('key', 'it'):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            os.sched_yield()
            inside[0] -= 1
            done.append(1)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert (len(done), most) == (8, [1])
    assert files_in(tmp_path) == []


def test_a_lock_that_vanished_while_it_was_taken_is_not_held(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, flock = tmp_path / 'key.lock', fcntl.flock

    def slow(descriptor: int, how: int) -> None:
        path.unlink()  # the last owner goes just now
        flock(descriptor, how)
    monkeypatch.setattr(fcntl, 'flock', slow)
    assert cache_module._take(path) is None
    monkeypatch.undo()
    descriptor = cache_module._take(path)
    assert descriptor is not None
    assert cache_module._take(path) is None
    os.close(descriptor)


def test_waiting_can_be_cancelled(tmp_path: Path) -> None:
    cache, cancel = Cache(tmp_path), threading.Event()
    with cache.lock('key', 'it'):
        with pytest.raises(FetchCancelledError):
            with cache.lock('key', 'it', cancel, lambda text: cancel.set()):
                raise AssertionError('two inside')
        with cache.lock('other', 'it'):
            pass  # another key is free


def test_what_was_left_long_ago_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old, directory, new = cache.part('old'), cache.part('directory'), cache.part('new')
    old.write_bytes(b'old')
    directory.mkdir()
    (directory / 'file').write_bytes(b'old')
    new.write_bytes(b'new')
    for path in (old, directory):
        os.utime(path, (0, 0))
    cache.drop_stale()
    assert files_in(tmp_path) == ['partial/new.part']


def test_backups_are_told_to_skip_it(tmp_path: Path) -> None:
    Cache(tmp_path / 'cache').part('key')
    assert (tmp_path / 'cache' / 'CACHEDIR.TAG').read_text().startswith(
        'Signature: 8a477f597d28d172789f06886806bc55\n')


def test_a_cache_that_is_only_read_needs_no_writing(
        web: Web, cache_directory: Path, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch(request(web.serve('/m.onnx', BODY), BODY), options())

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError('the cache is written to')
    for name in ('mkdir', 'write_text', 'unlink'):
        monkeypatch.setattr(Path, name, refuse)
    assert fetch(request(f'{web.url}/m.onnx', BODY), options()) == path


def test_a_cache_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / 'files').mkdir()
    (tmp_path / 'files' / sha256(b'')).write_bytes(b'')
    assert Cache(tmp_path).find(sha256(b'')) is None
    assert Cache(tmp_path / 'nowhere').hashes() == []
    (tmp_path / 'partial').write_text('in the way')
    with pytest.raises(FetchError, match='cannot be used .*set ROS2_CLASSIFY_CACHE'):
        Cache(tmp_path).part('key')


def test_a_damaged_file_is_replaced_whatever_its_name(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    directory = tmp_path / 'files' / sha256(BODY)
    directory.mkdir(parents=True)
    (directory / 'a.onnx').write_bytes(b'damaged')
    part = cache.part('key')
    part.write_bytes(BODY)
    assert cache.get(sha256(BODY)) is None
    assert cache.publish(part, sha256(BODY), 'z.onnx') == cache.get(sha256(BODY))
    assert files_in(tmp_path) == [f'files/{sha256(BODY)}/z.onnx']
    assert cache.hashes() == [sha256(BODY)]
