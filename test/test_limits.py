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

"""Bounds: what multiplies is refused before it takes memory or time."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import socket
import stat
import struct
import subprocess
import sys
import time

import attacks
import cv2
import numpy as np
import pytest
from ros2_classify import Labels, load_descriptor, load_labels, read_image
from ros2_classify.cli import main
from ros2_classify.decoders.priors import read_priors
from ros2_classify.download.cache import Cache
from ros2_classify.download.fetch import fetch_whole, Request
from ros2_classify.download.hashing import sha256_of_directory
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import (
    DescriptorError, FetchError, InputError, LabelsError, ModelNotFoundError)
from ros2_classify.image_io import decode_jpeg, pixel_chunks
from ros2_classify.limits import open_plain, open_to_write, shown, text_problem, write_text
from ros2_classify.model.catalog import resolve
from ros2_classify.sources.base import SourceError
from ros2_classify.sources.open import open_source

IMAGE = str(Path(__file__).parents[1] / 'models/scenes/one_card.jpg')


def run(name: str, directory: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, attacks.__file__, name, str(directory)], capture_output=True,
        text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize('name', [*attacks.ATTACKS, *attacks.ELSEWHERE])
def test_the_worst_input_grows_until_it_is_refused(name: str, tmp_path: Path) -> None:
    """In a process with an address space of 1 GiB; memory and time are those of the worst size."""
    found = run(name, tmp_path)
    *_, megabytes, seconds = {**attacks.ATTACKS, **attacks.ELSEWHERE}[name]
    assert attacks.LIMIT.search(found['refusal']), found
    assert found['length'] < 1000 and found['mb'] < megabytes and found['seconds'] < seconds, found


@pytest.mark.parametrize('name', attacks.HARMLESS)
def test_what_a_decoder_does_not_need_does_not_reach_it(name: str, tmp_path: Path) -> None:
    found = run(name, tmp_path)
    *_, megabytes, seconds = attacks.HARMLESS[name]
    assert not found['refusal'] and found['size'] > 8_000_000
    assert found['mb'] < megabytes and found['seconds'] < seconds, found


@pytest.mark.parametrize(('width', 'allowed'), [(256, 64), (4096, 64), (5000, 53), (8192, 20)])
def test_scans_by_the_size_of_the_image(width: int, allowed: int, tmp_path: Path) -> None:
    """Twenty passes over 64 Mpixel take about as long as eighty over 16."""
    start = b'\xff\xd8\xff\xc2' + struct.pack('>HBHHB', 11, 8, width, width, 1) + b'\1\x11\0'
    scan = b'\xff\xda' + struct.pack('>HB', 8, 1) + b'\1\0\0\0\0'
    for count, words in ((allowed, 'cut off|damaged'), (allowed + 1, f'more than the {allowed}')):
        with pytest.raises(InputError, match=words):
            decode_jpeg(start + scan * count + b'\xff\xd9', cv2.IMREAD_COLOR)


def test_the_chunks_that_a_png_keeps() -> None:
    plain = attacks.png()
    assert pixel_chunks(plain) is plain
    extra = [attacks.chunk(kind, b'x') for kind in (b'tEXt', b'iCCP', b'acTL', b'prVt')]
    needed = [attacks.chunk(b'PLTE', b'abc'), attacks.chunk(b'tRNS', b'\0')]
    given = attacks.png(extra[0], *needed, *extra[1:]) + b'after the end'
    assert pixel_chunks(given) == attacks.png(*needed)
    exif = attacks.chunk(b'eXIf', b'x')
    assert pixel_chunks(attacks.png(exif, *extra), b'eXIf') == attacks.png(exif)


def test_pixels_of_a_png_stay(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    data = cv2.imencode('.png', image)[1].tobytes()
    (tmp_path / 'a.png').write_bytes(data[:33] + attacks.chunk(b'tEXt', b'k\0text') + data[33:])
    assert np.array_equal(read_image(tmp_path / 'a.png'), image)


@pytest.mark.parametrize('kind', ['pipe', 'device', 'directory'])
def test_only_plain_files(kind: str, tmp_path: Path) -> None:
    """A pipe to which nobody writes would be waited for; a device never ends."""
    path = tmp_path / 'thing'
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    else:
        path.mkdir()
    with pytest.raises(OSError, match='not a regular file|Is a directory'):
        open_plain(path)
    with pytest.raises(InputError, match='not a regular file|is a directory'):
        read_image(path)
    with pytest.raises(LabelsError, match='not a regular file|Is a directory'):
        load_labels(path)
    with pytest.raises(DescriptorError, match='not a regular file|Is a directory'):
        load_descriptor(path)
    with pytest.raises(DescriptorError, match='not a regular file|Is a directory'):
        read_priors(path)
    options = FetchOptions(cache=tmp_path / 'cache', allow_unverified=True, attempts=1)
    with pytest.raises(FetchError, match='not a regular file|it is a directory'):
        fetch_whole(Request('m', 'here', 'm', url=path.as_uri()), options)
    with pytest.raises((FetchError, ModelNotFoundError), match='not a regular file|a directory'):
        fetch_whole(Request('m', 'here', 'm', url=path.as_uri(), sha256='0' * 64), options)


def test_a_pipe_in_a_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(OSError, match='not a regular file'):
        sha256_of_directory(tmp_path)


def test_a_file_url_has_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('ros2_classify.download.http.MAX_BYTES', 1000)
    (tmp_path / 'large').write_bytes(bytes(1001))
    with pytest.raises(FetchError, match='1001 bytes are more than the 1000 that are allowed'):
        fetch_whole(Request('m', 'here', 'm', url=(tmp_path / 'large').as_uri(), sha256='0' * 64),
                    FetchOptions(cache=tmp_path / 'cache', attempts=1))
    assert not list(Cache(tmp_path / 'cache').directory.rglob('*.part'))


def test_half_characters(tmp_path: Path) -> None:
    """No message can carry them: the model would be used and nothing published."""
    half = '\ud800'
    with pytest.raises(LabelsError, match='name of class 3 has half a character'):
        Labels({0: 'a', 3: f'b{half}'})
    for name, text in (('a.json', r'["a", "\ud800"]'), ('b.yaml', '- "a"\n- "\\ud800"\n')):
        (tmp_path / name).write_text(text)
        with pytest.raises(LabelsError, match='half a character'):
            load_labels(tmp_path / name)
    for line in (r'license: "\udfff"', r'labels: [a, "\ud800"]', r'"\ud800": a',
                 r'output: {decoder: yolo, output: "\ud800"}'):
        (tmp_path / 'm.yaml').write_text(f'source: {{path: m.onnx}}\n{line}\n')
        with pytest.raises(DescriptorError, match='m.yaml, line 2.*half a character'):
            load_descriptor(tmp_path / 'm.yaml')
    assert text_problem('\U0001f600 ok') == ''


def test_a_line_for_a_terminal() -> None:
    assert shown('Fahrrad, 自転車, 👨‍👩‍👧, 20\xa0%') == 'Fahrrad, 自転車, 👨‍👩‍👧, 20\xa0%'
    assert shown('a\x1b[2Jb\x07\x9b1m\u202ec\ud800\r') == (
        r'a\x1b[2Jb\x07\x9b1m\u202ec\ud800\r')
    assert shown('one\n[ERROR] two\n  three') == 'one\n  [ERROR] two\n  three'
    line = shown('x' * 1_000_000 + 'end')
    assert len(line) < 2100 and line.endswith('xend') and '…998003 characters…' in line
    assert shown('x' * 2000) == 'x' * 2000


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / 'pipe.onnx')
    return tmp_path / 'pipe.onnx'


def test_a_pipe_that_nobody_reads_is_not_waited_for(pipe: Path) -> None:
    with pytest.raises(OSError, match='it is a pipe, and nobody reads from it'):
        open_to_write(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, 'read by \xfcs')
    assert os.read(reader, 100).decode() == 'read by \xfcs'
    os.close(reader)


@pytest.mark.parametrize('words', [
    ['infer', 'cards_detector', IMAGE, '--output', '{}.png'],
    ['infer', 'cards_detector', IMAGE, IMAGE, '--results', '{}.csv'],
    ['infer', 'cards_detector', IMAGE, IMAGE, '--output', '{}.avi'],
    ['params', 'server', '--output', '{}.yaml', '--force'],
    ['models', 'describe', 'cards_detector', '--output', '{}.yaml', '--force'],
    ['models', 'bundle', 'cards_detector', '--output', '{}.tar']])
def test_an_output_that_is_a_pipe_is_a_sentence(
        words: list[str], pipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was waited for, or replaced by a file: so would be a device."""
    path = pipe.with_suffix(Path(words[words.index('--output' if '--output' in words else
                                                   '--results') + 1]).suffix)
    pipe.rename(path)
    begun = time.monotonic()
    assert main([word.format(path.with_suffix('')) for word in words]) in (1, 2)
    assert time.monotonic() - begun < 20
    found = capsys.readouterr()
    assert 'it is a pipe' in found.err + found.out, found
    assert stat.S_ISFIFO(path.stat().st_mode) and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(('make', 'words'), [
    (lambda path: os.mkfifo(path), 'a pipe'), (lambda path: path.mkdir(), 'a directory'),
    (lambda path: path.symlink_to('/dev/zero'), 'a device'),
    (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), 'a socket')])
@pytest.mark.parametrize('name', ['m.onnx', 'm.yaml', 'm'])
def test_a_path_that_is_no_file_is_called_what_it_is(
        make: Callable[[Path], object], words: str, name: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    with pytest.raises(ModelNotFoundError, match=f'{words}|not a model: '):
        resolve(tmp_path / name)
    if words != 'a directory':
        with pytest.raises(SourceError, match=words):
            open_source(str(tmp_path / name))
