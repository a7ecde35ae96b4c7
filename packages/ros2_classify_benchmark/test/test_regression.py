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


"""The regression check compares ratios with recorded ones."""

from dataclasses import asdict, replace
import json

import pytest
from ros2_classify_benchmark import regression
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.settings import Plan, QUICK, Settings

NODE = {'in_node_over_bare': 1.0, 'throughput_over_bare': 0.9, 'cpu_over_bare': 1.1,
        'overload_latency_over_bare_paced': None}
RECORD = {'settings': {'model': 'm', 'width': 320, 'parameters': ['a:=1'], 'later': 1},
          'nodes': {'node': NODE}}


def test_a_record_is_read(tmp_path):
    path = tmp_path / 'record.json'
    path.write_text(json.dumps(RECORD) + '\n')
    record = regression.read(path)
    assert regression.settings_of(record) == Settings(model='m', width=320, parameters=('a:=1',))
    assert regression.ratios(record) == {
        'in_node_over_bare': 1.0, 'throughput_over_bare': 0.9, 'cpu_over_bare': 1.1}


def test_a_record_of_the_last_release_is_read(tmp_path):
    path = tmp_path / 'record.json'
    path.write_text(json.dumps({**RECORD, 'network_sha256': 'aa'}))  # words: old
    assert regression.read(path) == {**RECORD, 'model_sha256': 'aa'}


def test_what_was_printed_is_a_record_too(tmp_path):
    path = tmp_path / 'record.json'
    path.write_text(f'| a | table |\n\n{json.dumps(RECORD)}\n')
    assert regression.read(path) == RECORD


def test_it_is_measured_as_long_as_the_recorded_run_was():
    plan = json.loads(json.dumps(asdict(QUICK)))
    assert regression.plan_of({'plan': {**plan, 'later': 1}}, Plan(), None) == QUICK
    assert regression.plan_of({'plan': plan}, Plan(), 7) == replace(QUICK, repetitions=7)
    for record in ({}, {'plan': None}):
        assert regression.plan_of(record, Plan(), None) == Plan()


def test_another_model_and_other_images_are_said():
    then = {'model_sha256': 'aa', 'provider': 'CPU', 'input': {'sha256': 'bb', 'count': 8}}
    assert regression.changed(then, then) == []
    assert regression.changed({}, then) == []
    said = regression.changed(then, {**then, 'model_sha256': 'cc', 'input': {'sha256': 'dd'}})
    assert len(said) == 2
    assert 'the model (sha256) is not that of the record' in said[0]
    assert 'dd in the place of bb' in said[1]


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"nodes": {"node": {}}}'])
def test_what_is_no_record_is_said(tmp_path, text):
    path = tmp_path / 'record.json'
    path.write_text(text)
    with pytest.raises(BenchError, match='is no record of a measurement'):
        regression.read(path)


def test_a_record_that_is_missing_is_said(tmp_path):
    with pytest.raises(BenchError, match='cannot be read: No such file'):
        regression.read(tmp_path / 'record.json')


@pytest.mark.parametrize('measured, passed', [
    ({}, True), ({'in_node_over_bare': 1.07}, True), ({'in_node_over_bare': 1.09}, False),
    ({'in_node_over_bare': 0.5}, True), ({'throughput_over_bare': 0.84}, True),
    ({'throughput_over_bare': 0.82}, False), ({'throughput_over_bare': 2.0}, True)])
def test_what_is_worse_than_the_tolerance_is_found(measured, passed):
    recorded = regression.ratios(RECORD)
    found = regression.compare(recorded, {**recorded, **measured})
    assert all(each.passed for each in found) == passed
    assert ('WORSE' in regression.table(found)) != passed


def test_a_ratio_that_is_not_measured_any_more_has_not_passed():
    recorded = regression.ratios(RECORD)
    found = regression.compare(recorded, {'in_node_over_bare': 1.0})
    assert [each.passed for each in found] == [True, False, False]
