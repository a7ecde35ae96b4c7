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

"""
Inputs that multiply, made at random: words of a format, repeated, nested, compressed, and slow.

Each case has an address space of 1 GiB more than before, and ten seconds of processor time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import gzip
import itertools
import lzma
from pathlib import Path
import resource
import time
from typing import Any
import zlib

import attacks
from fuzzing import fuzz
from hypothesis import strategies as st
import pytest

from ros2_classify.download import http
from ros2_classify.errors import FetchError, Ros2ClassifyError
from test_connection import raw_server  # test/download

ALLOWED = 1 << 30
SECONDS = 10.0
MOST = 1 << 17

YAML = [b'a: ', b'- ', b'[', b']', b'{', b'}', b',', b'&a ', b'*a', b'<<: ', b'\n', b'  ', b'? ',
        b'"', b"'", b'|\n', b'!!int ', b'0x', b'1:', b'9', b'_', b'.', b'1e9', b'\\u0041', b'#',
        b'---\n', b'%YAML 1.1\n', b'names: ', b'source: {path: m.onnx}\n']
LABELS = [b'[', b']', b'{', b'}', b'(', b')', b',', b'"a"', b"'a'", b':', b'1', b'\n', b'item {',
          b'id: 1', b'name: "a"', b' ', b'\\x41', b'\\N{BULLET}', b'-', b'+', b'0,a\n', b'#', b'u']
XML = [b'<a>', b'</a>', b'<a/>', b'<!DOCTYPE a [', b'<!ENTITY b "c">', b'&b;', b'&#65;', b']>',
       b'<![CDATA[', b']]>', b'<!--', b'-->', b' x="y"', b'<?p?>', b'<object>', b'</object>']
JSON = [b'[', b']', b'{', b'}', b',', b'"images":', b'"annotations":', b'"categories":', b'1',
        b'"id":', b'1e9', b'-', b'"\\u0041"', b'NaN', b'null', b'{"id":1},']
CSV = [b'image,label\n', b'a,b\n', b'"', b',', b'\n', b';', b'x', b'\r', b'""']
TABLE = [b'0 ', b'1e9 ', b'\n', b',', b'nan ', b'0 0 0 1\n', b'.', b'9']
PROTO = [b'\x0a\x00', b'\x12\x00', b'\x3a\x00', b'\x2a\x02\x0a\x00', b'\x0a\x04\x0a\x02\x0a\x00',
         b'\x08\x08', b'\xff', b'\x80', b'\x3a\x0a', b'\x1a\x00', b'\x62\x00', b'\x42\x02\x10\x01']
JPEG = [b'\xff\xd8', b'\xff\xd9', b'\xff\xe0\0\2', b'\xff\xfe\0\3a', b'\xff', b'\xff\xff', b'\x00',
        b'\xff\xda\0\x08\1\1\0\0\0\0', b'\xff\xdb\0\2', b'\xff\xc4\0\2', b'\xff\xd0',
        b'\xff\xc2\0\x0b\x08\4\0\4\0\1\1\x11\0']
PNG = [attacks.chunk(kind, data) for kind, data in (
    (b'tEXt', b'k\0v'), (b'zTXt', b'k\0\0' + zlib.compress(bytes(100_000))), (b'IDAT', b''),
    (b'iCCP', b'k\0\0' + zlib.compress(bytes(100_000))), (b'IDAT', zlib.compress(bytes(99_999))),
    (b'PLTE', bytes(768)), (b'IEND', b''), (b'fdAT', bytes(8)))]
TAR = [bytes(512), attacks.pax(1)[:512].ljust(512, b'\0'), b'x' * 512, b'0' * 512]
ZIP = [b'PK\1\2', b'PK\3\4', b'PK\5\6', b'PK\6\6', b'PK\6\7', bytes(16), b'\xff' * 8, b'a']


def as_is(data: bytes) -> bytes:
    return data


def read_prior_file(data: bytes, directory: Path) -> None:
    from ros2_classify.decoders.priors import read_priors

    (directory / 'priors.txt').write_bytes(data)
    read_priors(directory / 'priors.txt')


def png_of(data: bytes) -> bytes:
    return attacks.png(data)


def compressed(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: pack(data * 64)


# Words, what is made of them, and the reader.
READERS: dict[str, tuple[list[bytes], Callable[[bytes], bytes], attacks.Reader]] = {
    'descriptor': (YAML, as_is, attacks.read_descriptor),
    'camera': (YAML, as_is, attacks.read_camera),
    'labels': (LABELS, as_is, attacks.read_labels),
    'labels in yaml': (YAML, as_is, attacks.read_labels),
    'priors': (TABLE, as_is, read_prior_file),
    'model': (PROTO, as_is, attacks.read_model),
    'graph': (PROTO, as_is, attacks.read_tensorflow),
    'jpeg': (JPEG, lambda data: b'\xff\xd8' + data, attacks.read_message),
    'png': (PNG, png_of, attacks.read_message),
    'png file': (PNG, png_of, attacks.read_image_file),
    'tar': (TAR, as_is, attacks.list_archive),
    'tar.gz': (TAR, compressed(gzip.compress), attacks.list_archive),
    'tar.xz': (TAR, compressed(lzma.compress), attacks.list_archive),
    'zip': (ZIP, lambda data: b'PK\3\4' + data, attacks.list_archive),
    'voc': (XML, as_is, attacks.read_dataset('voc', 'Annotations/a.xml')),
    'coco': (JSON, as_is, attacks.read_dataset('coco', 'c.json')),
    'yolo': (YAML, as_is, attacks.read_dataset('yolo', 'data.yaml')),
    'csv': (CSV, as_is, attacks.read_dataset('csv', 'a.csv')),
}


@st.composite
def multiplied(draw: st.DrawFn, words: list[bytes], most: int = MOST) -> bytes:
    """Make a beginning, a few words again and again, perhaps those in others, and an end."""
    some = st.lists(st.sampled_from(words), max_size=4).map(b''.join)
    unit = draw(some.filter(bool))
    for _ in range(draw(st.integers(1, 2))):
        count = draw(st.sampled_from((2, 64, 1000, most)))
        unit = draw(some) + (unit * max(1, min(count, most // len(unit)))) + draw(some)
    return draw(some) + unit + draw(some)


@contextmanager
def limited() -> Iterator[None]:
    """Allow 1 GiB more address space, and ten seconds of the processor."""
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ALLOWED, hard))
    began = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize('name', READERS)
@fuzz(0.15, data=st.data())
def test_words_that_multiply(name: str, tmp_path: Path, data: st.DataObject) -> None:
    words, finish, read = READERS[name]
    made = finish(data.draw(multiplied(words)))
    with limited():
        try:
            read(made, tmp_path)
        except Ros2ClassifyError as error:
            assert len(str(error)) < 5000


HTTP = [b'HTTP/1.1 100 Continue\r\n\r\n', b'HTTP/1.1 200 OK\r\n', b'X: y\r\n', b'\r\n',
        b'Transfer-Encoding: chunked\r\n', b'1;' + b'e' * 40 + b'\r\nx\r\n', b'5;', b'0\r\n', b'x',
        b'Content-Length: 262144\r\n', b'HTTP/1.1 302 Found\r\nLocation: /m.onnx\r\n\r\n']


@fuzz(0.06, start=multiplied(HTTP, 4096), again=multiplied(HTTP, 64),
      pause=st.sampled_from((0.0, 0.01)))
def test_bytes_that_never_end(
        tmp_path_factory: pytest.TempPathFactory, start: bytes, again: bytes, pause: float,
) -> None:
    """A server that sends words of HTTP for ever, at once or byte by byte."""
    from cache_files import request
    from ros2_classify.download.fetch import fetch
    from ros2_classify.download.options import FetchOptions

    def behave(send: Callable[[bytes], Any]) -> None:
        send(start)
        for number in itertools.count():
            send(again[number % len(again):][:1] if pause else again)
            time.sleep(pause)

    options = FetchOptions(cache=tmp_path_factory.mktemp('cache'), timeout=0.3, attempts=1)
    patience, http.PATIENCE = http.PATIENCE, 0.3
    began = time.monotonic()
    try:
        with raw_server(behave) as url, limited(), pytest.raises(FetchError) as raised:
            fetch(request(url, bytes(1 << 18)), options)
    finally:
        http.PATIENCE = patience
    assert time.monotonic() - began < 15 and len(str(raised.value)) < 5000
