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


"""The table of targets."""

import json
import math

import pytest
from ros2_classify_benchmark import targets
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.settings import Plan, Settings
from ros2_classify_benchmark.targets import (
    _rows_of_memory, _rows_of_predecessor, into_document, measure_all, read_long_run,
    read_predecessor, Row, table)
import shared_data


def test_verdicts():
    assert Row('ratio', 1.05, 1.05).verdict == 'PASS'
    assert Row('ratio', 1.05, 1.06).verdict == 'MISSED'
    assert Row('rate', 0.95, 0.96, at_least=True).verdict == 'PASS'
    assert Row('rate', 0.95, 0.94, at_least=True).verdict == 'MISSED'
    assert Row('rate', 0.95, None).verdict == 'not measured'
    assert Row('rate', 0.95, math.nan).verdict == 'not measured'


def test_a_row_can_be_written_as_json():
    row = json.loads(json.dumps(Row('ms', 1.0, 0.12345, unit='ms').to_dict()))
    assert (row['measured'], row['verdict'], row['unit']) == (0.123, 'PASS', 'ms')


def test_the_table_has_a_line_for_each_row():
    text = table([Row('latency', 2.0, 2.5, unit='ms', command='bench', note='of 7'),
                  Row('rate', 0.95, None, at_least=True)])
    lines = [[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines()]
    assert lines[2] == ['latency (of 7)', '≤ 2 ms', '2.5', 'MISSED', '`bench`']
    assert lines[3] == ['rate', '≥ 0.95', '-', 'not measured', '']
    assert len({len(line) for line in text.splitlines()}) == 1


def test_the_table_is_put_between_the_marks_again_and_again(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('before\n\n<!-- targets: begin -->\n<!-- targets: end -->\nafter\n')
    for text in ('first', 'second'):
        into_document(page, text)
    assert page.read_text() == (
        'before\n\n<!-- targets: begin -->\nsecond\n<!-- targets: end -->\nafter\n')


def test_a_document_without_marks_stays_as_it_is(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('before\n<!-- targets: begin -->\n')
    with pytest.raises(BenchError, match='has no lines'):
        into_document(page, 'text')
    assert page.read_text() == 'before\n<!-- targets: begin -->\n'
    with pytest.raises(BenchError, match='cannot be read'):
        into_document(tmp_path / 'nothing.md', 'text')


def test_the_page_of_performance_has_a_place_for_the_table():
    assert '<!-- targets: begin -->' in (shared_data.ROOT / 'docs/performance.md').read_text()


def test_the_rows_of_the_predecessor_have_the_command_of_their_record(tmp_path):
    record = tmp_path / 'predecessor.json'
    record.write_text(json.dumps({
        'command': "python -m ros2_classify bench --against 'node {image} {result}'",
        'date': '2026-11-23T19:21:53Z', 'against': {'cpu': 0.4}}))
    rows = {row.name: row for row in _rows_of_predecessor(read_predecessor(record))}
    assert {row.command for row in rows.values()} == {"bench --against 'node {image} {result}'"}
    cpu = rows['over the predecessor: cpu']
    assert (cpu.measured, cpu.note) == (0.4, 'recorded 2026-11-23')
    assert {row.command for row in _rows_of_predecessor(None)} == {''}


def test_a_record_of_the_long_run_takes_its_place(tmp_path):
    path = tmp_path / 'duration.json'
    record = {'date': '2026-11-28T09:18:43Z', 'input': {'width': 1920, 'height': 1080},
              'run': {'lost_in_transport': 0, 'dropped_by_policy': 3, 'sent': 9, 'seconds': 598.0},
              'memory': {'growth_mib_in_10_min': 1.0}}
    path.write_text(json.dumps(record))
    assert read_long_run(path) == record
    small = {'input': {'step': 1920}, 'nodes': {'node': {'memory_over_bare_mib': 50.0}}}
    lost = _rows_of_memory(Settings(), small, record, 600.0)[2]
    assert lost.note == 'of 9; 3 dropped by the policy; recorded 2026-11-28'


@pytest.mark.parametrize('text', [
    'no JSON', '{}', '[1]', '7', '{"memory": {}, "input": {"width": 640, "height": 480}}'])
def test_another_file_is_no_long_run(tmp_path, text):
    path = tmp_path / 'other.json'
    path.write_text(text)
    with pytest.raises(BenchError, match='other.json'):
        read_long_run(path)


@pytest.mark.parametrize('text', ['no JSON', '[1]', '7', '{"date": "2026-11-28T09:18:43Z"}'])
def test_another_file_is_no_comparison_with_the_predecessor(tmp_path, text):
    path = tmp_path / 'other.json'
    path.write_text(text)
    with pytest.raises(BenchError, match='other.json'):
        read_predecessor(path)


@pytest.mark.parametrize('which', ['recorded', 'long_run'])
def test_a_wrong_record_is_said_before_anything_is_measured(tmp_path, which, monkeypatch):
    monkeypatch.setattr(targets, 'measure', None)
    with pytest.raises(BenchError, match='missing.json cannot be read'):
        measure_all(Settings(), Plan(), 600.0, tmp_path, print, dict,
                    **{which: tmp_path / 'missing.json'})


def test_long_commands_stand_below_the_table():
    rows = [Row('short', 1.0, 0.5, command='bench'), Row('long', 1.0, 0.5, command='x' * 61)]
    text = table(rows)
    assert '`bench`' in text and 'xxx' not in text and '(#against-other-nodes)' in text


@pytest.mark.parametrize(('seconds', 'growth', 'verdict', 'note'), [
    (599.0, None, 'not measured', 'the run took 599 s: too short'), (600.0, 1.5, 'PASS', '')])
def test_a_short_run_says_nothing_of_growth(seconds, growth, verdict, note):
    small = {'input': {'step': 1920}, 'nodes': {'node': {'memory_over_bare_mib': 50.0}}}
    long = {'run': {'lost_in_transport': 0, 'dropped_by_policy': 0, 'sent': 9},
            'memory': {'growth_mib_in_10_min': 1.5}}
    row = _rows_of_memory(Settings(), small, long, seconds)[1]
    assert (row.measured, row.verdict, row.note) == (growth, verdict, note)
    assert row.command == 'bench --duration 600 --size 1920x1080'
