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

"""Results from anybody: what the client reads is a result, or no result."""

from __future__ import annotations

from array import array
from typing import Any

from fuzzing import fuzz
from hypothesis import strategies as st
import numpy as np
import pytest
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.ros.messages.vision import READERS
from sensor_msgs.msg import Image
from test_fuzz_messages import PRINTABLE
from vision_msgs.msg import (
    BoundingBox2D, Classification, Detection2D, Detection2DArray, ObjectHypothesis,
    ObjectHypothesisWithPose)

NUMBERS = st.one_of(st.floats(), st.floats(0, 100))
IDS = st.one_of(PRINTABLE, st.integers(-5, 10**20).map(str))
HYPOTHESES = st.builds(
    lambda class_id, score: ObjectHypothesis(class_id=class_id, score=score), IDS, NUMBERS)


def box(values: list[float]) -> BoundingBox2D:
    """Return a bounding box."""
    found = BoundingBox2D(size_x=values[2], size_y=values[3])
    found.center.position.x, found.center.position.y = values[:2]
    return found


DETECTIONS = st.builds(
    lambda edges, found, number: Detection2D(id=number, bbox=box(edges), results=[
        ObjectHypothesisWithPose(hypothesis=each) for each in found]),
    st.lists(NUMBERS, min_size=4, max_size=4), st.lists(HYPOTHESES, max_size=2), PRINTABLE)
MESSAGES = {
    'classification': st.builds(
        lambda results: Classification(results=results), st.lists(HYPOTHESES, max_size=4)),
    'detection': st.builds(
        lambda found: Detection2DArray(detections=found), st.lists(DETECTIONS, max_size=4)),
    'segmentation': st.builds(
        lambda height, width, encoding, data: Image(
            height=height, width=width, step=width, encoding=encoding, data=array('B', data)),
        st.integers(0, 9), st.integers(0, 9), st.sampled_from(('mono8', 'mono16', 'rgb8', '')),
        st.binary(max_size=100))}


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('task', READERS)
@fuzz(data=st.data(), width=st.integers(1, 50), height=st.integers(1, 50))
def test_any_result(task: str, data: Any, width: int, height: int) -> None:
    """Every number of a result may be anything."""
    msg = data.draw(MESSAGES[task])
    try:
        result = READERS[task](msg, (width, height), {0: 'cat', 3: 'dog'})
    except Ros2ClassifyError as error:
        assert str(error)
        return
    assert np.isfinite(result.scores).all()
    assert str(result)
