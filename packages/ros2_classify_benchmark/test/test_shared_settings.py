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

"""Parameters of the server that the bare loop gets as well."""

import pytest
from ros2_classify.errors import EngineError, OptionsError
from ros2_classify_benchmark import session
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.settings import Settings
from ros2_classify_benchmark.shared_settings import engine_values, option_values
from ros2_classify_benchmark.systems import other

GIVEN = Settings(parameters=(
    'precision:=fp16', 'threads:=3', 'spinning:=never', 'engine_cache:=false', 'threads:=2',
    'custom_operators:=/a.so:/b.so', 'max_batch:=4', 'top_k:=7', 'score_threshold:=0.5',
    'class_id:=index'))


def test_engine_and_results_get_what_is_theirs():
    assert engine_values(GIVEN) == {
        'provider': 'auto', 'threads': 2, 'precision': 'fp16', 'spinning': 'never', 'cache': False,
        'custom_operators': ['/a.so', '/b.so'], 'tuning': 'off'}
    assert option_values(GIVEN) == {'top_k': 7, 'score_threshold': 0.5}


def test_without_parameters_provider_and_threads_are_the_command_lines():
    settings = Settings(provider='cpu', threads=0)
    assert engine_values(settings) == {
        'provider': 'cpu', 'threads': 0, 'tuning': 'off'}
    assert option_values(settings) == {}


@pytest.mark.parametrize(('parameter', 'error', 'said'), [
    ('threads', BenchError, "-p 'threads' is no parameter"),
    ('threads:=', BenchError, 'is no parameter'),
    ('top_k:={', BenchError, 'is no YAML'),
    ('model:=yolox_nano', BenchError, 'the benchmark sets model itself; use --model'),
    ('image_transport:=compressed', BenchError, 'use --transport'),
    ('autostart:=false', BenchError, 'the benchmark sets autostart itself'),
    ('threads:=many', EngineError, "threads is 'many'"),
    ('precision:=fp1', EngineError, "precision is 'fp1'"),
    ('top_k:=0', OptionsError, 'top_k is 0')])
def test_what_is_wrong_is_said_before_anything_is_started(parameter, error, said, tmp_path):
    with pytest.raises(error, match=said):
        session.Session(Settings(parameters=(parameter,)), tmp_path)


def test_the_process_of_the_loop_is_told(monkeypatch, tmp_path):
    told = {}
    monkeypatch.setattr(
        session, 'Helper', lambda module, settings, *_: told.update({module: settings}))
    monkeypatch.setattr(session.Session, '_prepare', lambda _: {})
    session.Session(GIVEN, tmp_path)
    words = told['ros2_classify_benchmark.nodes.bare']
    assert (words['engine'], words['options']) == (engine_values(GIVEN), option_values(GIVEN))


def test_a_tuned_server_has_its_own_defaults():
    tuned = other(Settings(model='m'), {'file': 'f', 'task': 'detection'}, 'tuned')
    words = ' '.join(tuned.commands[0])
    assert 'tuning:=auto' in words and 'threads' not in words
    assert f'-r detections:={tuned.results[0]}' in words


def test_another_node_is_told_the_same_threads():
    subject = other(GIVEN, {'file': 'f', 'task': 't'}, 'node {image} {result} {threads}')
    assert subject.commands[0][-1] == '2'
