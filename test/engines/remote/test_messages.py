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

"""A response of a model server takes no more memory than its shape says."""

import tracemalloc

import graphs
import numpy as np
import pytest
from ros2_classify.engines.remote.messages import read_outputs


def response(contents: bytes) -> memoryview:
    """Return an output of two numbers."""
    tensor = graphs.piece(1, 'y') + graphs.piece(2, 'INT64') + graphs.piece(3, b'\2')
    return memoryview(graphs.piece(5, tensor + graphs.piece(5, contents)))


@pytest.mark.parametrize('contents', [
    graphs.piece(3, b'\5\6'), graphs.number(3, 5) + graphs.number(3, 6)])
def test_numbers_of_a_message(contents: bytes) -> None:
    outputs, _ = read_outputs(response(contents), None, {})
    assert np.array_equal(outputs['y'], np.array([5, 6], np.int64))


@pytest.mark.parametrize('contents', [
    graphs.piece(3, bytes(4_000_000)), graphs.number(3, 5) * 1_000_000])
def test_more_numbers_than_the_shape_has(contents: bytes) -> None:
    """A byte for each became an object of Python's."""
    data = response(contents)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match='more numbers than its shape'):
            read_outputs(data, None, {})
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
