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

"""What is noticed about images while they come; a clock that is set by hand."""

from types import SimpleNamespace

import pytest
from ros2_classify.ros.diagnostics.status import Level
from ros2_classify.ros.server.image_monitor import ImageWatch


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return ImageWatch('/image', clock)


def stamp(seconds):
    return SimpleNamespace(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))


def keys(watch):
    return [(finding.key, finding.level) for finding in watch.findings()]


def test_stamps_that_go_back_are_counted_and_shown_for_a_while(watch, clock):
    for seconds in (5.0, 5.5, 5.5, 6.0, 1.25, 1.5):
        watch.stamped(stamp(seconds))
    assert watch.jumps == 1
    found, = watch.findings()
    assert (found.key, found.level) == ('jumped_back', Level.WARN)
    assert 'on /image went back by 4.75 s' in found.text
    clock.now += 10.0
    assert watch.findings() == []


def test_a_change_of_form_is_noticed(watch):
    assert [watch.usable(form) for form in (
        '4x3 rgb8', '4x3 rgb8', '8x6 rgb8', '8x6 mono8', '8x6 mono8')] == [
            '', '', '4x3 rgb8', '8x6 rgb8', '']
    assert (watch.changes, watch.form) == (2, '8x6 mono8')


def test_unusable_images_are_an_error_until_a_good_one_comes_and_then_a_warning(watch, clock):
    watch.unusable('no such encoding')
    clock.now += 60.0
    assert keys(watch) == [('unusable', Level.ERROR)]
    watch.unusable('no such encoding')
    watch.usable('4x3 rgb8')
    assert keys(watch) == [('unusable', Level.WARN)]
    assert watch.findings()[0].text == 'unusable image on /image: no such encoding'
    clock.now += 10.0
    assert keys(watch) == []


@pytest.mark.parametrize(('latency', 'words'), [
    (0.02, ''), (-0.1, ''), (50.0, ''), (-3.0, '3.0 s ahead of this'),
    (1e8, '100000000.0 s behind this')])
def test_clocks_that_differ_are_noticed(watch, latency, words):
    watch.answered(latency)
    texts = [finding.text for finding in watch.findings()]
    assert (words in texts[0] and 'use_sim_time' in texts[0]) if words else not texts
