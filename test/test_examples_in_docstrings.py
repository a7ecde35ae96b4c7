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

"""Each public name has an example in its docstring, the example runs, and its types are known."""

import doctest
import importlib.util
import inspect
from pathlib import Path
import subprocess
import sys

import pytest
import ros2_classify
from ros2_classify import testing
from shared_data import ROOT

PUBLIC = {
    **{name: getattr(ros2_classify, name) for name in ros2_classify.__all__},
    **{f'testing.{name}': value for name, value in vars(testing).items()
       if inspect.getmodule(value) is testing and not name.startswith('_') and callable(value)},
}
DOCUMENTED = [name for name, value in PUBLIC.items()
              if name != 'Result' and not (
                  inspect.isclass(value) and issubclass(value, Exception))]
TYPED = """
from typing import Any

from ros2_classify import Pipeline, Result

def use(image: Any, anything: Pipeline[Result]) -> None:
    reveal_type(Pipeline.load('m', task='classification', provider='cpu')(image))
    reveal_type(Pipeline.load('m', task='detection')(image))
    reveal_type(Pipeline.load('m', task='segmentation').warm_up())
    reveal_type(Pipeline.load('m', task='embedding')(image))
    Pipeline.load('m', task='detection')(image).boxes
    anything = Pipeline.load('m', task='detection')
    Pipeline.load('m')(image).boxes
"""


@pytest.mark.parametrize('name', DOCUMENTED)
def test_the_example_of_a_public_name_runs(name: str) -> None:
    if name.startswith('testing.save'):
        pytest.importorskip('onnx', reason='writes a model with the package onnx')
    value = PUBLIC[name]
    finder = doctest.DocTestFinder(recurse=inspect.isclass(value))
    found = [test for test in finder.find(value, name.split('.')[-1], globs={}) if test.examples]
    assert found and found[0].name == name.split('.')[-1], f'{name} has no example'
    said: list[str] = []
    for test in found:
        result = doctest.DocTestRunner().run(test, out=said.append)
        assert not result.failed, ''.join(said)


@pytest.mark.skipif(not importlib.util.find_spec('mypy'), reason='mypy is not installed')
def test_the_task_decides_the_type_of_the_results(tmp_path: Path) -> None:
    path = tmp_path / 'typed.py'
    path.write_text(TYPED)
    done = subprocess.run(
        [sys.executable, '-m', 'mypy', '--strict', '--follow-imports=silent', str(path)],
        text=True, capture_output=True, cwd=ROOT, timeout=300)
    said = [line.split('typed.py:')[1] for line in done.stdout.splitlines() if 'typed.py:' in line]
    kinds = [line.split('"')[1].rpartition('.')[2] for line in said if 'Revealed' in line]
    assert kinds == ['Classification', 'Detections', 'Segmentation', 'Embedding'], done.stdout
    errors = [line for line in said if 'error' in line]
    # Without a task the results may be any of those that have no boxes.
    assert [line.split('"')[1] for line in errors] == [
        'Classification', 'Segmentation', 'Embedding'], errors
    assert all('has no attribute "boxes"' in line for line in errors), errors
