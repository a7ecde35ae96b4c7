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

"""The exception tree is whole, and its drawing shows it."""

import inspect
import re

import pytest

from ros2_classify import errors

CLASSES = [value for _, value in inspect.getmembers(errors, inspect.isclass)]


def test_every_error_is_caught_by_the_base():
    assert len(CLASSES) == 9
    assert all(issubclass(kind, errors.Ros2ClassifyError) for kind in CLASSES)


@pytest.mark.parametrize('kind', CLASSES, ids=lambda kind: kind.__name__)
def test_tree_in_the_docstring_matches_the_code(kind):
    row = next(line for line in errors.__doc__.splitlines() if f'── {kind.__name__} ' in line)
    assert ('also a ValueError' in row) == issubclass(kind, ValueError) or (
        # Where the sentence runs over two rows, the second one says it.
        kind is errors.OutputError and '(also a ValueError)' in errors.__doc__)


def test_the_docstring_draws_nothing_else():
    drawn = set(re.findall(r'── (\w+)', errors.__doc__))
    assert drawn == {kind.__name__ for kind in CLASSES}
