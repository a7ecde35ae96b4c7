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

"""Trails behind objects with ids, and their ids in the tabs."""

from dataclasses import replace

import numpy as np
from ros2_classify import draw
from ros2_classify.results.overlay_tracks import Trails
import sequences


def found(x, name='7'):
    """Return one object with an id."""
    result = sequences.detections([[x, 100, x + 60, 160]])
    return replace(result, track_ids=np.array([name], object))


def drawn(trails, x, stamp, name='7'):
    """Return where a trail was drawn into a black image."""
    canvas = np.zeros((480, 640, 3), np.uint8)
    trails.draw(canvas, found(x, name), stamp)
    return canvas.any(axis=2)


def test_a_trail_follows_the_foot_of_the_object_and_ends():
    trails = Trails(seconds=1.0)
    assert not drawn(trails, 100, 0.0).any()
    marked = drawn(trails, 200, 0.5)
    assert marked[160, 130:231].all() and not marked[:150].any()
    # The first point is too old by now.
    marked = drawn(trails, 300, 1.25)
    assert marked[160, 230:331].all() and not marked[160, :220].any()


def test_objects_without_an_id_and_an_earlier_time_leave_no_trail():
    trails = Trails()
    drawn(trails, 100, 5.0, '')
    assert not drawn(trails, 200, 5.1, '').any()
    drawn(trails, 100, 5.2)
    assert not drawn(trails, 200, 0.0).any()


def test_the_id_is_in_the_tab():
    image = np.full((480, 640, 3), 90, np.uint8)
    with_id, without = draw(image, found(200)), draw(image, found(200, ''))
    plain = draw(image, sequences.detections([[200, 100, 260, 160]]))
    assert (without == plain).all()
    assert (with_id != plain).any()
