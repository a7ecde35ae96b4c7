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

"""``params``, and the parameters in ``--help``: complete, without ROS, and taken by real nodes."""

import json
import os
import subprocess
import sys

import pytest
from ros2_classify.cli import main, NODES
from ros2_classify.ros.node.parameter_pages import allowed_by, help_text
from ros2_classify.ros.parameter_tables import TABLES
import shared_data
import yaml


def specs_of(program):
    return [spec for _, groups in TABLES[program] for _, specs in groups for spec in specs]


@pytest.mark.parametrize('node', NODES)
def test_the_help_has_every_parameter_with_its_facts(capsys, node):
    assert main([node, '--help']) == 0
    text = capsys.readouterr().out
    assert f'usage: ros2 run ros2_classify {node} ' in text
    plain = ' '.join(text.split())
    for spec in specs_of(node):
        assert f'\n  {spec.name} (' in text
        assert ' '.join(spec.description.split()) in plain
        assert allowed_by(spec).lstrip(', ') in plain
    for _, groups in TABLES[node]:
        assert all(f'\n{title}:\n' in text for title, _ in groups)


def test_a_reader_that_has_enough_is_no_error():
    command = f'{sys.executable} -m ros2_classify server --help; echo "code $?" >&2'
    writer = subprocess.Popen(
        ['bash', '-c', f'({command}) | true'], stderr=subprocess.PIPE, text=True,
        env={**os.environ, 'PYTHONPATH': str(shared_data.ROOT)})
    assert writer.communicate(timeout=60)[1] == 'code 0\n'


def test_lines_of_the_help_fit_a_terminal():
    for width in (60, 99):
        text = help_text(TABLES['server'][0][1], width)
        # Names with their facts stay on one line, which is easier to grep.
        assert max(len(line) for line in text.splitlines() if line.startswith('      ')) <= width


@pytest.mark.parametrize('node', NODES)
def test_the_file_has_every_parameter_and_the_defaults(capsys, node):
    assert main(['params', node]) == 0
    text = capsys.readouterr().out
    values = {}
    for each in yaml.safe_load(text).values():
        values.update(each['ros__parameters'])
    for spec in specs_of(node):
        if spec.from_model:
            assert spec.name not in values and f'\n    # {spec.name}: ' in text
        else:
            assert values[spec.name] == spec.default
            assert type(values[spec.name]) is type(spec.default)
    assert max(map(len, text.splitlines())) <= 99


@pytest.mark.parametrize('words', [['params', 'server'], ['server', '--help']])
def test_it_works_without_ros(tmp_path, words):
    (tmp_path / 'rclpy.py').write_text('raise ImportError("no ROS here")\n')
    for name in ('sensor_msgs', 'vision_msgs', 'rcl_interfaces', 'std_srvs'):
        (tmp_path / f'{name}.py').write_text('raise ImportError("no ROS here")\n')
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_classify', *words], capture_output=True, text=True,
        check=False, timeout=60, env={
            **os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{shared_data.ROOT}'})
    assert done.returncode == 0, done.stderr
    assert 'score_threshold' in done.stdout


def test_as_json(capsys):
    assert main(['params', 'composed', '--json']) == 0
    data = json.loads(capsys.readouterr().out)
    rows = {(row['node'], row['name']): row for row in data['parameters']}
    assert data['node'] == 'composed' and data['file'] is None
    assert rows['server', 'qos']['choices'] == ['auto', 'best_effort', 'reliable']
    assert rows['camera', 'jpeg_quality']['minimum'] == 1
    assert rows['camera', 'rate']['type'] == 'double'


def test_the_file_is_written_once(tmp_path, capsys):
    path = tmp_path / 'p.yaml'
    assert main(['params', 'camera', '--output', str(path)]) == 0
    assert f'--params-file {path}' in path.read_text()
    assert main(['params', 'camera', '--output', str(path)]) == 2
    assert 'exists; choose another name, or use --force' in capsys.readouterr().err
    assert main(['params', 'camera', '--output', str(path), '--force']) == 0
    assert main(['params', '--output', str(tmp_path / 'none' / 'p.yaml')]) == 2
    assert 'cannot be written' in capsys.readouterr().err


def test_an_unknown_node_is_named(capsys):
    with pytest.raises(SystemExit):
        main(['params', 'sever'])
    assert "'sever' is not allowed; did you mean server?" in capsys.readouterr().err
