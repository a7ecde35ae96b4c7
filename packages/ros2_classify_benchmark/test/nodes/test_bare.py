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

"""The bare loop runs the same engine, with the same results, as the server with its parameters."""

from dataclasses import fields
import json
import sys
from unittest.mock import Mock

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines import EngineSettings
from ros2_classify.options import Options
from ros2_classify.ros.server.specs import ENGINE_PARAMETERS, PARAMETERS
from ros2_classify_benchmark.nodes import bare
from ros2_classify_benchmark.settings import Settings
from ros2_classify_benchmark.shared_settings import engine_values, option_values, TAKEN


class Frames:
    """Has no images."""

    def __init__(self, directory):
        self.index = {'transport': 'raw'}


def test_the_loop_is_set_as_it_is_told(classifier, monkeypatch):
    loops = []
    settings = {'frames': '', 'model': str(classifier), 'engine': {'threads': 1, 'cache': False},
                'options': {'top_k': 2}}
    monkeypatch.setattr(sys, 'argv', ['bare', json.dumps(settings)])
    monkeypatch.setattr(bare, 'Frames', Frames)
    monkeypatch.setattr(bare.signal, 'signal', lambda *_: None)
    monkeypatch.setattr(bare, 'runtime', Mock())
    monkeypatch.setattr(
        bare, 'serve', lambda commands, ready: loops.append((commands['run'], ready)))
    given = []

    def engine_settings(**values):
        given.append(EngineSettings(**values))
        return given[0]

    monkeypatch.setattr(bare, 'EngineSettings', engine_settings)
    bare.main()
    assert given == [EngineSettings(threads=1, cache=False)]
    loop, facts = loops[0][0].__self__, loops[0][1]
    assert facts['sha256'] == sha256_of_file(facts['file'])
    assert loop._options == loop._pipeline.options.replace(top_k=2)


def test_all_of_the_servers_parameters_of_engine_and_results_are_known():
    """A new one that the loop isn't told of would have the benchmark compare unlike things."""
    texts = {'provider': 'cpu', 'precision': 'fp32', 'arena': 'exact'}
    given = tuple(f'{spec.name}:={texts.get(spec.name, json.dumps(spec.default))}'
                  for spec in PARAMETERS if spec.name not in TAKEN)
    engine = engine_values(Settings(parameters=given))
    assert engine.keys() == {
        'cache' if spec.name == 'engine_cache' else spec.name for spec in ENGINE_PARAMETERS}
    assert option_values(Settings(parameters=given)).keys() == {
        field.name for field in fields(Options)} & {spec.name for spec in PARAMETERS}


def test_what_the_benchmark_sets_itself_are_parameters_of_the_server():
    assert set(TAKEN) <= {spec.name for spec in PARAMETERS}
