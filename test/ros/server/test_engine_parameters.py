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

"""The parameters of the engine and its settings say the same."""

from dataclasses import fields

import pytest
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.ros.server.parameters import ENGINE_PARAMETERS, engine_settings

DEFAULTS = {spec.name: spec.default for spec in ENGINE_PARAMETERS}


def test_the_defaults_are_those_of_the_engine():
    assert engine_settings(DEFAULTS) == EngineSettings()


def test_every_setting_has_a_parameter():
    """But for those that come from elsewhere: the number of cameras, and the cache's variable."""
    names = {field.name for field in fields(EngineSettings)} - {
        'max_batch', 'cache_directory', 'cameras'}
    assert {name.replace('engine_', '') for name in DEFAULTS} == names


@pytest.mark.parametrize(('name', 'value', 'setting', 'expected'), [
    ('provider', 'cuda', 'provider', 'cuda'),
    ('require_provider', False, 'require_provider', False),
    ('device_id', 3, 'device_id', 3),
    ('precision', 'fp16', 'precision', 'fp16'),
    ('threads', 2, 'threads', 2),
    ('spinning', 'never', 'spinning', 'never'),
    ('memory_limit', 512, 'memory_limit', 512),
    ('graph_optimization', 'basic', 'graph_optimization', 'basic'),
    ('tuning', 'off', 'tuning', 'off'),
    ('arena', 'doubling', 'arena', 'doubling'),
    ('shrink_memory', True, 'shrink_memory', True),
    ('cuda_graphs', True, 'cuda_graphs', True),
    ('engine_cache', False, 'cache', False),
    ('custom_operators', '/a.so:/b.so', 'custom_operators', ('/a.so', '/b.so')),
    ('external_data', '/data:', 'external_data', ('/data',)),
])
def test_each_parameter_reaches_the_engine(name, value, setting, expected):
    assert name in DEFAULTS
    settings = engine_settings({**DEFAULTS, name: value})
    assert settings == EngineSettings().replace(**{setting: expected})
