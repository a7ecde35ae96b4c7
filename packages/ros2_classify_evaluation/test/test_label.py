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

"""Recordings in pieces: what is written, what is resumed, and what killed processes leave."""

import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ros2_classify import InputError, OptionsError, Pipeline
from ros2_classify_evaluation.label import engines
from ros2_classify_evaluation.label.pieces import expand
from ros2_classify_evaluation.label.run import label

MODEL = 'cards_detector'


@pytest.fixture(scope='module')
def drives(bags, samples, tmp_path_factory):
    """Return a directory with four bags of three images each, and two images."""
    root = tmp_path_factory.mktemp('drives')
    for number in range(4):
        bags(root / f'drive{number}', {'/camera': [
            np.ascontiguousarray(sample.image[..., ::-1])
            for sample in samples[3 * number:3 * number + 3]]})
    from ros2_classify import write_image
    for number in range(2):
        write_image(root / f'{number}.png', np.ascontiguousarray(
            samples[number].image[..., ::-1]))
    return root


def contents(out):
    """Return the bytes of all labels by name, and the record."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob('*'))
            if path.is_file() and path.name != '.lock'}


@pytest.fixture(scope='module')
def plain(drives, tmp_path_factory):
    """Return what the plain loop writes."""
    out = tmp_path_factory.mktemp('plain')
    label(MODEL, [str(drives)], out, form='coco', workers=1)
    return contents(out)


def test_pieces_are_files_and_images(drives):
    pieces = expand([str(drives), str(drives / 'drive0')])
    assert [Path(each.path).name for each in pieces] == [
        drives.name, *(f'drive{number}.mcap' for number in range(4))]
    assert pieces[0].images == ('0.png', '1.png')
    with pytest.raises(InputError, match='no recordings at'):
        expand([str(drives / '*.gone')])


def test_names_change_with_the_file_and_the_model(drives, tmp_path):
    piece = expand([str(drives / '0.png')])[0]
    assert piece.name('a') == piece.name('a') != piece.name('b')
    before = piece.name('a')
    stat = os.stat(drives / '0.png')
    os.utime(drives / '0.png', ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert piece.name('a') != before
    os.utime(drives / '0.png', ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_labels_are_those_of_the_model(drives, plain, samples):
    record = json.loads(plain['label.json'])
    assert len(record['pieces']) == 5 and not any(each['problem'] for each in record['pieces'])
    data = json.loads(plain[record['pieces'][1]['labels']])
    assert [each['stamp'] for each in data['images']] == pytest.approx([100, 100.1, 100.2])
    names = {each['id']: each['name'] for each in data['categories']}
    with Pipeline.load(MODEL, provider='cpu') as pipeline:
        found = pipeline(np.ascontiguousarray(samples[0].image[..., ::-1]), 'bgr')
    mine = [(names[each['category_id']], each['score'], each['bbox'])
            for each in data['annotations'] if each['image_id'] == 1]
    assert [(name, score) for name, score, _ in mine] == [
        (name, pytest.approx(score, abs=1e-4)) for name, score in zip(
            found.labels.tolist(), found.scores.tolist())]
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    assert np.allclose([box for _, _, box in mine], np.hstack((found.boxes[:, :2], sides)),
                       atol=0.1)


def test_a_second_run_needs_resume_and_does_only_what_is_missing(drives, plain, tmp_path):
    out = tmp_path / 'out'
    label(MODEL, [str(drives / 'drive[01]')], out, form='coco', workers=1)
    with pytest.raises(InputError, match='is not empty: .* --resume'):
        label(MODEL, [str(drives)], out, form='coco')
    found = label(MODEL, [str(drives)], out, form='coco', workers=1, resume=True)
    assert sorted(each.new for each in found.done) == [False, False, True, True, True]
    assert contents(out) == plain


def test_a_damaged_bag_costs_its_own_piece(drives, plain, tmp_path):
    good = drives / 'drive0/drive0.mcap'
    bad = tmp_path / 'bad.mcap'
    bad.write_bytes(good.read_bytes()[:good.stat().st_size // 2])
    found = label(MODEL, [str(drives), str(bad)], tmp_path / 'out', form='coco', workers=1)
    assert [Path(each.piece.path).name for each in found.failed] == ['bad.mcap']
    assert 'bad.mcap' in found.failed[0].problem
    labels = contents(tmp_path / 'out')
    assert json.loads(labels.pop('label.json'))['pieces'][-1]['labels'] == ''
    assert labels == {name: each for name, each in plain.items() if name != 'label.json'}


def test_messages_play_beside_the_recording(drives, tmp_path):
    """The labels are read back as a dataset's truth, with the stamps of the images."""
    label(MODEL, [str(drives / 'drive0')], tmp_path / 'out', form='mcap', workers=1)
    label(MODEL, [str(drives / 'drive0')], tmp_path / 'again', form='mcap', workers=1)
    assert contents(tmp_path / 'out')['label.json'] == contents(tmp_path / 'again')['label.json']
    from rosbags.highlevel import AnyReader
    from ros2_classify_evaluation.vision_messages import make_store
    place = next((tmp_path / 'out/pieces').iterdir())
    with AnyReader([place], default_typestore=make_store(place)) as reader:
        messages = [(time, reader.deserialize(raw, connection.msgtype))
                    for connection, time, raw in reader.messages()]
    assert [time for time, _ in messages] == [100_000_000_000, 100_100_000_000, 100_200_000_000]
    stamps = [each.header.stamp for _, each in messages]
    assert [(each.sec, each.nanosec) for each in stamps] == [
        (100, 0), (100, 100_000_000), (100, 200_000_000)]
    assert any(len(each.detections) for _, each in messages)
    found = label(MODEL, [str(drives / '0.png')], tmp_path / 'image', form='mcap', workers=1)
    assert 'have no stamps' in found.failed[0].problem


def test_tables_have_types_without_rows(tmp_path, bags):
    parquet = pytest.importorskip('pyarrow.parquet', reason='tables need pyarrow')
    bags(tmp_path / 'bag', {'/camera': [np.zeros((64, 64, 3), np.uint8)]})
    found = label(MODEL, [str(tmp_path / 'bag')], tmp_path / 'out', workers=1, threshold=1.0)
    table = parquet.read_table(next((tmp_path / 'out/pieces').iterdir()))
    assert table.num_rows == 0 and str(table.schema.field('score').type) == 'float'
    assert table.schema.metadata[b'images'] == b'1' and found.done[0].images == 1


def test_what_is_missing_is_named(drives, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(engines, 'import_module', missing)
    for engine in ('dask', 'ray'):
        with pytest.raises(OptionsError, match=f'--engine {engine} needs the Python package'):
            label(MODEL, [str(drives)], tmp_path / engine, engine=engine, form='coco')
    with pytest.raises(OptionsError, match='--address belongs to --engine dask or ray'):
        label(MODEL, [str(drives)], tmp_path / 'local', cluster='a:1', form='coco')


COMMAND = """
import sys
from pathlib import Path
from ros2_classify_evaluation.label.run import label
if __name__ == '__main__':
    out, engine, cluster, source = sys.argv[1:5]
    label({model!r}, [source], Path(out), form='coco', engine=engine, cluster=cluster, workers=2,
          resume=True)
"""


def run(drives, out, engine='local', cluster=''):
    script = out.parent / 'run.py'
    script.write_text(COMMAND.format(model=MODEL))
    # So that workers on a cluster find the packages, as an installation has it.
    path = os.pathsep.join(sys.path)
    return subprocess.Popen([sys.executable, str(script), str(out), engine, cluster, str(drives)],
                            env={**os.environ, 'PYTHONPATH': path})


def wait_for(condition, process=None, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end and (process is None or process.poll() is None)
        time.sleep(0.02)


def workers_of(process, word):
    """Return the processes below one, whose command lines match."""
    found, parents = [], {process.pid}
    entries = [(int(each.name), (each / 'stat').read_text().rsplit(')')[-1].split()[1])
               for each in Path('/proc').iterdir() if each.name.isdigit() and (each / 'stat')
               .exists()]
    grown = True
    while grown:
        more = {pid for pid, parent in entries if int(parent) in parents} - parents
        parents |= more
        grown = bool(more)
    for pid in sorted(parents - {process.pid}):
        try:
            if re.search(word, Path(f'/proc/{pid}/cmdline').read_text()):
                found.append(pid)
        except OSError:
            pass
    return found


def pieces_in(out):
    return list((out / 'pieces').glob('*')) if (out / 'pieces').exists() else []


@pytest.mark.stress
@pytest.mark.parametrize('engine, word', [
    ('local', 'multiprocessing-fork'), ('dask', 'multiprocessing-fork'),
    ('ray', '^ray::(work|IDLE)')])
def test_a_killed_worker_loses_and_doubles_nothing(drives, plain, tmp_path, engine, word):
    if engine != 'local':
        pytest.importorskip({'dask': 'distributed', 'ray': 'ray'}[engine],
                            reason=f'needs the extra {engine}')
    out = tmp_path / 'out'
    process = run(drives, out, engine)
    try:
        wait_for(lambda: (out / '.work').exists() and any((out / '.work').iterdir())
                 or pieces_in(out), process)
        wait_for(lambda: workers_of(process, word), process)
        os.kill(workers_of(process, word)[0], signal.SIGKILL)
        assert process.wait(400) == 0
    finally:
        process.kill()
    assert contents(out) == plain


@pytest.mark.stress
@pytest.mark.parametrize('engine', ['local', 'dask', 'ray'])
def test_a_killed_driver_loses_and_doubles_nothing(drives, plain, tmp_path, engine):
    if engine != 'local':
        pytest.importorskip({'dask': 'distributed', 'ray': 'ray'}[engine],
                            reason=f'needs the extra {engine}')
    out = tmp_path / 'out'
    process = run(drives, out, engine)
    wait_for(lambda: pieces_in(out), process)
    process.kill()
    process.wait()
    assert not (out / 'label.json').exists()
    process = run(drives, out, engine)
    assert process.wait(400) == 0
    assert contents(out) == plain
