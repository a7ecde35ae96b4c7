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

"""Which reliability is chosen over time, and what counts while two subscriptions are open."""

import pytest
from ros2_classify.ros.server.reliability import (
    BEST_EFFORT, Handover, ReliabilityChoice, RELIABLE)

CAMERA, OTHER, POOR = ('camera', RELIABLE), ('other', RELIABLE), ('poor', BEST_EFFORT)


@pytest.fixture
def choice(clock):
    return ReliabilityChoice(clock)


def test_a_reliable_camera_that_sends_is_followed_once_it_has_settled(choice, clock):
    assert choice.choose([CAMERA], 0) == BEST_EFFORT
    clock.now += 1.0
    assert choice.choose([CAMERA], 5) == BEST_EFFORT
    clock.now += 1.0
    assert choice.choose([CAMERA], 10) == RELIABLE


def test_it_settles_until_a_reliable_camera_is_followed(choice, clock):
    seen = []
    for images in (0, 5, 10):
        choice.choose([CAMERA], images)
        seen.append(choice.settling)
        clock.now += 1.0
    choice.choose([CAMERA, POOR], 20)
    assert seen + [choice.settling] == [True, True, False, False]
    choice.choose([], 20)
    assert not choice.settling


def test_who_never_sends_is_not_followed(choice, clock):
    """Discovery still knows a publisher that was killed."""
    for _ in range(60):
        clock.now += 1.0
        assert choice.choose([CAMERA], 7) == BEST_EFFORT
    # One image, come or lost, is enough.
    assert choice.choose([CAMERA], 8) == RELIABLE


def test_one_best_effort_publisher_decides_at_once_and_for_as_long_as_it_is_known(choice, clock):
    settle(choice, clock, [CAMERA])
    assert choice.choose([CAMERA, POOR], 20) == BEST_EFFORT
    for _ in range(30):
        clock.now += 1.0
        assert choice.choose([CAMERA, POOR], 30) == BEST_EFFORT
    assert choice.choose([CAMERA], 40) == BEST_EFFORT
    clock.now += 2.0
    assert choice.choose([CAMERA], 41) == RELIABLE


def test_a_reliable_camera_that_restarts_changes_nothing(choice, clock):
    settle(choice, clock, [CAMERA])
    for publishers in ([CAMERA, OTHER], [OTHER], [], [CAMERA]):
        clock.now += 1.0
        assert choice.choose(publishers, 10) == RELIABLE


def test_after_a_while_without_publishers_anything_may_come(choice, clock):
    settle(choice, clock, [CAMERA])
    assert choice.choose([], 10) == RELIABLE
    clock.now += 10.0
    assert choice.choose([], 10) == BEST_EFFORT


def test_a_new_subscription_to_the_same_cameras_is_reliable_again(choice, clock):
    settle(choice, clock, [CAMERA])
    clock.now += 100.0
    assert choice.choose([CAMERA], 10, subscribed=False) == RELIABLE
    assert choice.choose([], 10, subscribed=False) == BEST_EFFORT


def settle(choice, clock, publishers):
    """Have images come until the choice is made."""
    choice.choose(publishers, 0)
    clock.now += 2.0
    assert choice.choose(publishers, 1) == RELIABLE


def test_an_image_counts_once_whichever_subscription_brings_it(clock):
    handover = Handover(clock)
    assert handover.is_new(100, 1, by_new=False)
    assert not handover.is_new(100, 1, by_new=True)
    # Another publisher's image with the same number, and the same one's next.
    assert handover.is_new(101, 1, by_new=True)
    assert handover.is_new(102, 2, by_new=True)
    assert not handover.is_new(102, 2, by_new=False)


def test_it_ends_when_the_new_subscription_has_brought_an_image_or_none_comes(clock):
    idle, busy = Handover(clock), Handover(clock)
    busy.is_new(100, 1, by_new=False)
    clock.now += 1.5
    assert not idle.done and not busy.done
    busy.is_new(101, 2, by_new=True)
    assert busy.done and not idle.done
    clock.now += 8.5
    assert idle.done


def test_only_what_neither_brought_is_lost(clock):
    handover = Handover(clock)
    handover.lost(5)
    assert handover.explain(0, ended=False) == 0
    assert handover.explain(3, ended=False) == 3
    assert handover.explain(0, ended=True) == 0
    assert handover.explain(4, ended=False) == 0
