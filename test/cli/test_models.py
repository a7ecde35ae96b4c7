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

"""``models`` and its verbs, by their words and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archive_files import make
from cache_files import sha256
from download_fixtures import *  # noqa: F401, F403 - pytest finds fixtures by name
import pytest
from ros2_classify.cli import main
from ros2_classify.model import catalog
from web_server import Web

BODY = b'weights' * 5000


@pytest.fixture(autouse=True)
def models(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Path:
    """Make a catalogue: from a URL, without a hash, from a path, and from an archive."""
    directory = tmp_path / 'models'
    directory.mkdir()
    (directory / 'far.yaml').write_text(
        f'source: {{url: {web.serve("/m.onnx", BODY)}, sha256: {sha256(BODY)}, '
        f'size: {len(BODY)}}}\n'
        'task: detection\nlicense: MIT\noutput: {decoder: yolox, strides: [8, 16]}\n'
        'labels: [cat, dog]\n')
    (directory / 'loose.yaml').write_text(f'source: {{url: {web.url}/m.onnx}}\n')
    (directory / 'near.onnx').write_bytes(b'local')
    (directory / 'near.yaml').write_text(
        f'source: {{path: near.onnx, sha256: {sha256(b"local")}}}\n')
    packed = make(tmp_path / 'a.zip', {'in/net.onnx': b'packed', 'in/w.bin': b'w'}).read_bytes()
    (directory / 'packed.yaml').write_text(
        f'source: {{url: {web.serve("/a.zip", packed)}, sha256: {sha256(packed)}, '
        'member: in/net.onnx}\n')
    monkeypatch.setattr(catalog, 'shipped_directory', lambda: None)
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(directory))
    return directory


def _json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert main(['models', *words, '--json']) == code
    return json.loads(capsys.readouterr().out)


def test_list_says_what_is_here(
        web: Web, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = {row['name']: row['state'] for row in _json(capsys, 'list')}
    assert states == {'far': 'not fetched (35.0 kB)', 'loose': 'URL without a sha256',
                      'near': 'here', 'packed': 'not fetched'}
    assert not web.requests
    main(['models', 'fetch', 'far'])
    row, *_ = _json(capsys, 'list')
    assert row['state'] == 'here'
    assert Path(row['model_file']).read_bytes() == BODY
    capsys.readouterr()
    assert main(['models', 'list']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == 'far     detection  35.0 kB  MIT        yes'
    assert lines[2] == 'loose   inferred   -        not given  no: URL without a sha256'


def test_fetch_prints_paths(web: Web, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['models', 'fetch', 'near', 'packed']) == 0
    captured = capsys.readouterr()
    near, packed = captured.out.splitlines()
    assert near == f'near: {models / "near.onnx"}'
    assert Path(packed.partition(': ')[2]).read_bytes() == b'packed'
    assert 'packed: ' in captured.err  # the progress
    rows = _json(capsys, 'fetch', 'far', str(models / 'near.yaml'))
    assert [row['name'] for row in rows] == ['far', 'near']


def test_fetch_refuses_and_says_why(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['models', 'fetch', 'loose']) == 1
    assert f'"sha256: {sha256(BODY)}"' in capsys.readouterr().err
    assert main(['models', 'fetch', 'far', '--offline']) == 0  # the same bytes are there
    assert main(['models', 'fetch', 'packed', '--offline']) == 1
    assert 'models bundle packed --output' in capsys.readouterr().err
    assert main(['models', 'fetch', 'loose', '--allow-unverified']) == 0
    assert 'UNVERIFIED MODEL' in capsys.readouterr().err
    assert main(['models', 'fetch', 'nonsense']) == 1


def test_verify_finds_what_was_damaged(
        web: Web, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / 'broken.yaml').write_text('sorce: x\n')
    rows = _json(capsys, 'verify')
    assert {row['name']: row['state'] for row in rows} == {
        'broken': 'unusable', 'far': 'not fetched', 'loose': 'no sha256', 'near': 'ok',
        'packed': 'not fetched'}
    (models / 'broken.yaml').unlink()
    # One that was asked for by name has to be there.
    assert _json(capsys, 'verify', 'far', code=1)[0]['state'] == 'not fetched'
    fetched = {row['name']: Path(row['model_file'])
               for row in _json(capsys, 'fetch', 'far', 'packed')}
    rows = _json(capsys, 'verify')
    assert [row['state'] for row in rows] == ['ok', 'no sha256', 'ok', 'ok', 'ok', 'ok']
    fetched['far'].write_bytes(b'evil')
    (models / 'near.onnx').write_bytes(b'evil')
    rows = _json(capsys, 'verify', code=1)
    assert {row['name'] for row in rows if row['state'] == 'damaged'} == {
        'far', 'near', f'cache {sha256(BODY)[:12]}'}
    capsys.readouterr()
    assert main(['models', 'verify', 'far']) == 1
    assert capsys.readouterr().out.splitlines() == [
        f'damaged      far  {fetched["far"]}', '1 checked, 1 failed']
    (models / 'near.onnx').unlink()
    assert _json(capsys, 'verify', 'near', code=1)[0]['state'] == 'missing'
    # Looking repairs nothing, and asks nobody.
    assert web.count('/m.onnx') == 1


def test_verify_notices_a_damaged_tree(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(_json(capsys, 'fetch', 'packed')[0]['model_file'])
    (file.parent / 'w.bin').write_bytes(b'evil')
    # The archive is intact: it is unpacked again, as it would be at the next start.
    assert _json(capsys, 'verify', 'packed')[0]['state'] == 'ok'
    assert (file.parent / 'w.bin').read_bytes() == b'w'


def test_bundle_and_import(
        web: Web, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / 'out.tar'
    assert main(['models', 'bundle', 'far', 'packed', '--output', str(bundle)]) == 0
    out = capsys.readouterr().out
    assert f'wrote {bundle}' in out
    assert 'models import out.tar' in out
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'robot'))
    monkeypatch.setenv('ROS2_CLASSIFY_OFFLINE', '1')
    monkeypatch.delenv('ROS2_CLASSIFY_MODEL_PATH')
    assert main(['models', 'import', str(bundle)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'ready: model:=far', 'ready: model:=packed',
        '2 downloaded files and 0 converted models are in the cache']
    asked = len(web.requests)
    assert [row['name'] for row in _json(capsys, 'fetch', 'far', 'packed')] == ['far', 'packed']
    assert [row['state'] for row in _json(capsys, 'verify')] == ['ok'] * 4
    assert len(web.requests) == asked


def test_import_into_a_directory_of_ones_own(
        models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, directory = tmp_path / 'out.tar', tmp_path / 'mine'
    made = _json(capsys, 'bundle', 'near', '--output', str(bundle))
    assert made['files'] == ['models/near.yaml', 'models/near.onnx']
    assert made['size'] == bundle.stat().st_size
    monkeypatch.delenv('ROS2_CLASSIFY_MODEL_PATH')
    imported = _json(capsys, 'import', str(bundle), '--directory', str(directory))
    assert imported == {'models': [str(directory / 'near.yaml')], 'files': [], 'converted': [],
                        'replaced': []}
    capsys.readouterr()
    assert main(['models', 'import', str(bundle), '--folder', str(directory)]) == 0  # words: old
    assert capsys.readouterr().err.startswith(
        'warning: --folder is now --directory; '  # words: old
        'the old name goes with the next release\n')
    assert main(['models', 'import', str(tmp_path / 'none.tar')]) == 1
    assert 'no such bundle' in capsys.readouterr().err


def test_show(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    facts = _json(capsys, 'show', 'far')
    assert facts['source']['sha256'] == sha256(BODY)
    assert facts['state'] == 'not fetched (35.0 kB)'
    assert facts['output'] == {'decoder': 'yolox', 'strides': [8, 16]}
    assert facts['labels'] == '2 names'
    capsys.readouterr()
    assert main(['models', 'show', 'near']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'name: near'
    assert 'source.path: near.onnx' in lines
    assert 'task: -' in lines


def test_infer_fetches_too(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2 = pytest.importorskip('cv2')
    np = pytest.importorskip('numpy')
    from ros2_classify.testing import save_color_classifier

    save_color_classifier(tmp_path / 'colors.onnx')
    cv2.imwrite(str(tmp_path / 'red.png'), np.full((20, 20, 3), (0, 0, 255), np.uint8))
    body = (tmp_path / 'colors.onnx').read_bytes()
    url = web.serve('/colors.onnx', body)
    words = ['infer', '--image', str(tmp_path / 'red.png'), '--json']
    assert main([*words, '--model', url]) == 1
    assert main([*words, '--model', f'{url}#sha256={sha256(body)}', '--offline']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['model'] == 'colors'
    assert result['results'][0]['class_id'] == 0
