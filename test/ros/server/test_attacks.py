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

"""One server that attacks are tried on, in a control group of 1 GiB, works after each."""

from __future__ import annotations

from array import array
from collections.abc import Callable
import json
from pathlib import Path
import re
import subprocess
import sys

import attacks
import bombs
import pytest
from ros2_classify_benchmark.stress.control_group import control_group
from ros_process import Peer, Process, ROOT
from ros_stream import Camera
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Classification

LIMIT = 1 << 30
RED = (200, 0, 0)
# Quick ones, of each way into the server; all of them are tried by the test marked stress.
QUICK = ('jpeg scans behind garbage', 'png texts', 'global pax headers', 'zip64 directory',
         'yaml lists', 'yaml base 60', 'yaml hexadecimal', 'one label', 'input of a model',
         'grids of cells')


def test_each_attack_of_the_table_has_a_way_into_a_server(tmp_path: Path) -> None:
    attacked = {*attacks.ATTACKS, *attacks.HARMLESS}
    assert set(QUICK) <= attacked
    for name, (_, read, *_) in {**attacks.ATTACKS, **attacks.HARMLESS}.items():
        assert read in bombs.WAYS, name


def test_a_server_survives_a_selection(
        start: Callable[..., Process], peer: Peer, classifier: Path, tmp_path: Path) -> None:
    group = control_group(LIMIT)
    # By default, none of these files would even be read.
    server = start('server', {
        'model': classifier, 'image_transport': 'compressed', 'model_changes': 'any'},
        environment={
            'ROS2_CLASSIFY_CACHE': str(tmp_path / 'cache'), 'ROS2_CLASSIFY_OFFLINE': None},
        within=group.command() if group else None)
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image/compressed', msg_type=CompressedImage)
    camera.result(RED, results)
    good = classifier.with_suffix('.onnx')
    for bomb in (*bombs.of_the_table(tmp_path, good, QUICK),
                 *bombs.beside_the_table(tmp_path, good)):
        if bomb.model is None:
            camera.send(CompressedImage(format='\x1b[2Jjpeg', data=array('B', bomb.image)))
        else:
            refused = peer.set_values(model=str(bomb.model))
            assert refused and re.search(bomb.words, refused[0]), (bomb.name, refused)
        results.clear()
        assert camera.result(RED, results).results[0].class_id == 'red', bomb.name
    peer.set_values(model='\x1b]0;x\x07' + 'x' * 1_000_000)
    status = Path(f'/proc/{server.process.pid}/status').read_text()
    peak = int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) * 1024
    assert peak < LIMIT, peak
    assert sum(map(len, server.lines)) < 100_000 and '\x1b' not in server.output.replace(
        '\x1b[0m', '').replace('\x1b[31m', '').replace('\x1b[33m', '')
    server.kill()
    if group is not None:
        assert group.kills() == 0
        group.close()


@pytest.mark.stress
def test_the_shipped_model_survives_all_of_the_table_in_one_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_classify_benchmark.stress', 'attacks', '--json',
         '--keep', str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=1800)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    attacked = {*attacks.ATTACKS, *attacks.HARMLESS}
    assert report['numbers']['attacks'] > len(attacked)
    assert {each.partition(': ')[2] for each in report['numbers'] if ': ' in each} > attacked
