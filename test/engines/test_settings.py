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

"""Settings of an engine are checked when they are made, and each error says what is allowed."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from ros2_classify import EngineError, EngineSettings
from ros2_classify.engines import open_engine
from ros2_classify.engines.hardware import default_threads
from ros2_classify.engines.session import session_options


def test_the_defaults_suit_a_robot() -> None:
    settings = EngineSettings()
    assert (settings.provider, settings.precision, settings.threads) == ('auto', 'fp32', 0)
    assert settings.spinning == 'auto' and settings.require_provider and settings.max_batch == 1
    assert 1 <= default_threads() <= 4


@pytest.mark.parametrize(('cores', 'threads'), [(1, 1), (2, 1), (3, 2), (5, 4), (64, 4)])
def test_one_core_is_left_for_the_rest_of_the_robot(
        monkeypatch: pytest.MonkeyPatch, cores: int, threads: int) -> None:
    # Numbers that no machine has, so that each is a core of its own.
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(5000, 5000 + cores)))
    assert default_threads() == threads


@pytest.mark.parametrize(('parallel', 'threads'), [(1, 4), (2, 3), (3, 2), (7, 1), (64, 1)])
def test_inferences_side_by_side_share_the_cores(
        monkeypatch: pytest.MonkeyPatch, parallel: int, threads: int) -> None:
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(5000, 5008)))
    assert default_threads(parallel) == threads


@pytest.mark.parametrize(('spinning', 'threads', 'parallel', 'spins', 'stops'), [
    ('auto', 3, 1, '1', '1'), ('auto', 4, 1, '0', '0'), ('auto', 5, 1, '0', '0'),
    ('auto', 0, 1, '1', '1'), ('auto', 2, 2, '0', '0'), ('auto', 1, 3, '1', '1'),
    ('never', 3, 1, '0', '0'), ('inference', 5, 2, '1', '1'), ('always', 5, 1, '1', '0')])
def test_threads_spin_during_an_inference_where_a_core_is_left(
        monkeypatch: pytest.MonkeyPatch, spinning: Any, threads: int, parallel: int, spins: str,
        stops: str) -> None:
    ort = pytest.importorskip('onnxruntime')
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(5000, 5004)))
    options = session_options(
        ort, EngineSettings(spinning=spinning, threads=threads, parallel=parallel), on_cpu=True)
    assert options.get_session_config_entry('session.intra_op.allow_spinning') == spins
    assert options.get_session_config_entry('session.force_spinning_stop') == stops


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('provider', '', 'auto or the name'),
    ('provider', 3, 'auto or the name'),
    ('threads', -1, 'from 0 to 256 (0: choose for me)'),
    ('threads', True, 'whole number'),
    ('threads', 1.0, 'whole number'),
    ('parallel', 0, 'from 1 to 64'),
    ('parallel', 65, 'from 1 to 64'),
    ('device_id', 256, 'from 0 to 255'),
    ('max_batch', 0, 'from 1 to 256'),
    ('memory_limit', 1 << 21, 'MiB (0: no limit)'),
    ('precision', 'fp8', 'fp32, tf32, fp16, int8'),
    ('arena', 'large', 'exact, doubling'),
    ('spinning', True, 'auto, never, inference, always'),
    ('require_provider', 'no', 'True or False'),
    ('custom_operators', '/a.so', 'list of paths'),
    ('external_data', [''], 'list of paths'),
])
def test_wrong_values(name: str, value: Any, words: str) -> None:
    for make in (lambda: EngineSettings(**{name: value}),
                 lambda: EngineSettings().replace(**{name: value})):
        with pytest.raises(EngineError) as caught:
            make()
        assert str(caught.value).startswith(f'{name} is {value!r}') and words in str(caught.value)


def test_they_are_values() -> None:
    settings = EngineSettings(external_data=['/data'])  # type: ignore[arg-type]
    assert settings == EngineSettings(external_data=('/data',)) and hash(settings)
    assert settings.replace(threads=2) != settings
    with pytest.raises(FrozenInstanceError):
        settings.threads = 2  # type: ignore[misc]
    with pytest.raises(EngineError, match='no such setting'):
        settings.replace(thread=2)


def test_the_short_forms_count(tmp_path: Any) -> None:
    with pytest.raises(EngineError, match="'banana' is unknown"):
        open_engine(tmp_path, provider='banana', settings=EngineSettings(provider='cpu'))
    with pytest.raises(EngineError, match='threads is 999'):
        open_engine(tmp_path, threads=999, settings=EngineSettings(threads=1))
