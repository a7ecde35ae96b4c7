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
    assert len(CLASSES) == 19
    assert all(issubclass(kind, errors.Ros2ClassifyError) for kind in CLASSES)


@pytest.mark.parametrize('kind', CLASSES, ids=lambda kind: kind.__name__)
def test_tree_in_the_docstring_matches_the_code(kind):
    # A row runs to the next branch, or to the drawing's end.
    row = errors.__doc__.partition(f'── {kind.__name__} ')[2].partition('── ')[0]
    assert row
    assert ('(also a ValueError)' in row) == issubclass(kind, ValueError)


def test_the_docstring_draws_nothing_else():
    drawn = set(re.findall(r'── (\w+)', errors.__doc__))
    assert drawn == {kind.__name__ for kind in CLASSES}
