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

"""Which frames are chosen, against where they must be."""

import numpy as np
import pytest
from ros2_classify.clips.sampler import Sampler


def chosen(sampler, stamps):
    """Return the numbers of the frames, each as often as it fills steps, and the holes."""
    numbers, holes = [], 0
    for number, stamp in enumerate(stamps):
        needed = sampler.needs(stamp)
        choice = sampler(stamp)
        assert needed == bool(choice.times or choice.holes)
        numbers += choice.times * [number]
        holes += choice.holes
    return numbers, holes


@pytest.mark.parametrize('start', [0.0, 1.7e9])
@pytest.mark.parametrize('hertz, expected', [
    (10, [*range(12)]), (20, [*range(0, 24, 2)]), (30, [*range(0, 36, 3)]),
    (60, [*range(0, 72, 6)])])
def test_multiples_of_the_rate(start, hertz, expected):
    stamps = start + np.arange(expected[-1] + 1) / hertz
    assert chosen(Sampler(10, 1.0), stamps.tolist()) == (expected, 0)


@pytest.mark.parametrize('hertz', [9, 9.9, 10.05, 12, 14.7, 15, 24, 25, 29.97, 50])
def test_any_camera_gives_the_rate_and_no_frame_is_far_from_its_time(hertz):
    stamps = (np.arange(round(60 * hertz)) / hertz).tolist()
    numbers, holes = chosen(Sampler(10, 1.0), stamps)
    assert holes == 0
    # Rates close to the model's are taken as they are; others are made the model's.
    spacing = np.diff(np.array(stamps)[numbers])
    assert spacing.mean() == pytest.approx(0.1, rel=0.11 if 8.9 < hertz < 10.1 else 0.02)
    assert spacing.max() <= 0.1 + max(1 / hertz, 0.012)


@pytest.mark.parametrize('seed', range(3))
def test_jitter_costs_no_frame(seed):
    random = np.random.default_rng(seed)
    stamps = (np.arange(600) / 10 + random.uniform(-0.02, 0.02, 600)).tolist()
    numbers, holes = chosen(Sampler(10, 1.0), stamps)
    assert numbers == [*range(600)] and holes == 0


def test_a_slower_camera_fills_steps_twice_and_a_much_slower_one_leaves_holes():
    for hertz in (8.2, 6.6, 5, 3):
        numbers, holes = chosen(Sampler(10, 1.0), (np.arange(200) / hertz).tolist())
        # All frames are taken, and all steps are counted.
        assert set(numbers) == {*range(200)}
        assert len(numbers) + holes == pytest.approx(2000 / hertz, rel=0.03)
        assert (holes == 0) == (hertz > 8)


def test_pauses_and_time_going_back_start_again():
    sampler = Sampler(10, 1.0)
    assert [sampler(stamp).reset for stamp in (5.0, 5.1, 6.1, 7.2, 7.1, 7.2)] == [
        '', '', '', 'gap', 'time went back', '']
    assert sampler(7.2).repeated
    sampler.reset()
    assert sampler(0.0).reset == ''


def test_without_a_rate_every_frame_counts():
    assert chosen(Sampler(None, 1.0), [0.0, 0.001, 0.5, 0.9]) == ([0, 1, 2, 3], 0)
