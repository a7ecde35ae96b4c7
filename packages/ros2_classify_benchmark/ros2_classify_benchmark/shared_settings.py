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

"""Parameters of the server that count for the bare loop as well, so that like meets like."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ros2_classify.engines import EngineSettings
from ros2_classify.filters import parse_class_thresholds
from ros2_classify.options import Options
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.settings import Settings
import yaml

# The server has no parameter for the directory. With one camera, the server takes one image at a
# time, and so does the loop.
_ENGINE = {field.name: field.name for field in fields(EngineSettings)
           if field.name not in ('cache', 'cache_directory', 'cameras', 'max_batch')}
_ENGINE['engine_cache'] = 'cache'
# What the server takes as one text.
_LISTS = ('custom_operators', 'external_data')
# That one is the model's; the server has no parameter of the name.
_OPTIONS = {field.name for field in fields(Options)} - {'multi_label'}
# What the benchmark sets itself, for the bare loop as well or for its own sake.
TAKEN = {'model': '--model', 'image_transport': '--transport', 'image_topics': '--cameras',
         'output_namespaces': '--cameras', 'trace_file': '--keep', 'autostart': ''}


def engine_values(settings: Settings) -> dict[str, Any]:
    """Return the engine settings of the bare loop: those of the server."""
    # A record of this machine is for --tuned only: without it, runs must be comparable.
    values: dict[str, Any] = {
        'provider': settings.provider, 'threads': settings.threads, 'tuning': 'off'}
    for name, value in _given(settings).items():
        if name in _LISTS:
            value = [each for each in str(value).split(':') if each]
        if name in _ENGINE:
            values[_ENGINE[name]] = value
    EngineSettings(**values)
    return values


def option_values(settings: Settings) -> dict[str, Any]:
    """Return the thresholds and limits that are set for the server."""
    values = {name: value for name, value in _given(settings).items() if name in _OPTIONS}
    # As the server reads them: an empty list has no type for ROS.
    if 'classes' in values:
        values['classes'] = tuple(filter(None, values['classes']))
    if 'class_thresholds' in values:
        values['class_thresholds'] = parse_class_thresholds(
            filter(None, values['class_thresholds']))
    Options(**values)
    return values


def names(settings: Settings) -> list[str]:
    """Return the names of the parameters that are given."""
    return list(_given(settings))


def given(settings: Settings, name: str, default: Any) -> Any:
    """Return a parameter of the server as it is given."""
    return _given(settings).get(name, default)


def _given(settings: Settings) -> dict[str, Any]:
    """Return the parameters by name; of several values the last one counts, as in ROS."""
    found = {}
    for text in settings.parameters:
        name, assigned, value = text.partition(':=')
        if not name or not assigned or not value:
            raise BenchError(f'-p {text!r} is no parameter; one is, for example, threads:=2')
        if name in TAKEN:
            instead = f'; use {TAKEN[name]}' if TAKEN[name] else ''
            raise BenchError(f'-p {text!r}: the benchmark sets {name} itself{instead}')
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BenchError(
                f'-p {text!r}: its value {value!r} is no YAML; put it in quotes') from error
    return found
