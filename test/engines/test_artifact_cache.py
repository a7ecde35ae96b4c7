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

"""What engines keep is whole or not there, and never used when it was changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ros2_classify.download.cache import Cache
from ros2_classify.engines import EngineSettings
from ros2_classify.engines.artifact_cache import (
    cache_of, find_file, find_refusal, keep_file, keep_refusal, kept_directory, key_of)

KEY = 'k' * 64


def write(path: Path) -> None:
    path.write_bytes(b'made')


def test_a_file_comes_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert find_file(cache, 'optimized', KEY) is None
    path = keep_file(cache, 'optimized', KEY, write)
    assert path is not None and path.read_bytes() == b'made'
    assert find_file(cache, 'optimized', KEY) == path
    # A process that makes it at the same time caches the same file.
    assert keep_file(cache, 'optimized', KEY, write) == path
    assert not list((tmp_path / 'partial').iterdir())


def test_a_changed_file_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(tmp_path)
    path = keep_file(cache, 'optimized', KEY, write)
    assert path is not None
    path.write_bytes(b'hostile')
    assert find_file(cache, 'optimized', KEY) is None
    assert 'is damaged and will be made again' in caplog.text and not path.exists()


def test_nothing_is_left_of_what_fails(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b'half')
        raise ValueError('no')

    with pytest.raises(ValueError):
        keep_file(Cache(tmp_path), 'optimized', KEY, fail)
    assert find_file(Cache(tmp_path), 'optimized', KEY) is None
    assert not list((tmp_path / 'partial').iterdir())


def test_a_disk_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    blocked = tmp_path / 'file'
    blocked.write_text('no directory')
    made: list[Path] = []
    assert keep_file(Cache(blocked), 'optimized', KEY, made.append) is None
    assert not made and 'not cached' in caplog.text
    keep_refusal(Cache(blocked), 'batched', KEY, 'why')
    with kept_directory(Cache(blocked), 'tensorrt', KEY, 'x') as directory:
        assert directory is None


def test_refusals(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert find_refusal(cache, 'batched', KEY) == ''
    keep_refusal(cache, 'batched', KEY, 'because')
    assert find_refusal(cache, 'batched', KEY) == 'because'


def test_keys_tell_apart_all_that_counts(tmp_path: Path) -> None:
    one, other = tmp_path / 'one', tmp_path / 'other'
    one.write_bytes(b'1')
    other.write_bytes(b'2')
    keys = {key_of(one, '1.20', 'RTX'), key_of(one, '1.21', 'RTX'), key_of(one, '1.20', 'A2000'),
            key_of(other, '1.20', 'RTX'), key_of(one, '1.20\nRTX')}
    # Texts of the facts are lines: the last is the same as the first, and no more.
    assert len(keys) == 4
    assert key_of(one, 3) == key_of(one, '3')


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path))
    found = cache_of(EngineSettings())
    assert found is not None and found.directory == tmp_path
    assert cache_of(EngineSettings(cache=False)) is None
    other = cache_of(EngineSettings(cache_directory=tmp_path / 'x'))
    assert other is not None and other.directory == tmp_path / 'x'
    monkeypatch.setattr('ros2_classify.engines.artifact_cache.default_cache_directory', _no_home)
    assert cache_of(EngineSettings()) is None


def _no_home() -> Path:
    from ros2_classify.errors import FetchError
    raise FetchError('no home')


def test_a_directory_that_a_provider_fills(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with kept_directory(cache, 'tensorrt', KEY, 'x') as directory:
        assert directory is not None and not list(directory.iterdir())
        (directory / 'a.engine').write_bytes(b'engine')
        lock = os.listdir(tmp_path / 'locks')
        assert lock == [f'tensorrt-{KEY}.lock']
    with kept_directory(cache, 'tensorrt', KEY, 'x') as directory:
        assert directory is not None and (directory / 'a.engine').exists()
        assert not os.listdir(tmp_path / 'locks'), 'many may read it at once'


def test_an_interrupted_build_starts_again_with_its_timings(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(KeyboardInterrupt), \
            kept_directory(cache, 'tensorrt', KEY, 'x') as directory:
        assert directory is not None
        (directory / 'half.engine').write_bytes(b'half')
        (directory / 'all.timing').write_bytes(b'times')
        raise KeyboardInterrupt
    with kept_directory(cache, 'tensorrt', KEY, 'x') as directory:
        assert directory is not None
        assert [path.name for path in directory.iterdir()] == ['all.timing']


def test_a_provider_that_did_not_start_completes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with kept_directory(Cache(tmp_path), 'tensorrt', KEY, 'x') as directory:
            assert directory is not None and not list(directory.iterdir())


def test_what_cannot_be_loaded_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with kept_directory(cache, 'tensorrt', KEY, 'x') as directory:
        assert directory is not None
        (directory / 'a.engine').write_bytes(b'engine')
    with pytest.raises(RuntimeError), kept_directory(cache, 'tensorrt', KEY, 'x'):
        raise RuntimeError('cannot deserialize')
    with kept_directory(cache, 'tensorrt', KEY, 'x') as directory:
        assert directory is not None and not list(directory.iterdir())
