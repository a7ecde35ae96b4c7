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
from ros2_classify.ros.diagnostics.issues import Level
from ros2_classify.ros.server.image_monitor import ImageMonitor, LossMonitor


@pytest.fixture
def monitor(clock):
    return ImageMonitor('/image', clock)


def stamp(seconds):
    return SimpleNamespace(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))


def keys(monitor):
    return [(issue.key, issue.level) for issue in monitor.issues()]


def test_stamps_that_go_back_are_counted_and_shown_for_a_while(monitor, clock):
    for seconds in (5.0, 5.5, 5.5, 6.0, 1.25, 1.5):
        monitor.stamped(stamp(seconds))
    assert monitor.jumps == 1
    found, = monitor.issues()
    assert (found.key, found.level) == ('jumped_back', Level.WARN)
    assert 'on /image went back by 4.75 s' in found.text
    clock.now += 10.0
    assert monitor.issues() == []


def test_images_without_a_stamp_are_unstamped_and_neither_old_nor_in_the_past(monitor):
    monitor.stamped(stamp(5.0))
    monitor.stamped(stamp(0.0))
    found, = monitor.issues()
    assert (found.key, found.level) == ('unstamped', Level.WARN)
    assert 'the images on /image are unstamped: header.stamp is 0' in found.text
    assert monitor.jumps == 0
    monitor.published(1e8)
    assert keys(monitor) == [('unstamped', Level.WARN)]
    monitor.stamped(stamp(6.0))
    assert keys(monitor) == [('clocks_differ', Level.WARN)]


def test_the_interval_is_the_usual_one(monitor, clock):
    assert monitor.interval is None
    monitor.arrived(1, since=90.0)
    assert monitor.interval is None
    for seconds, images in ((6.0, 1), (6.0, 1), (600.0, 1), (12.0, 2)):
        clock.now += seconds
        monitor.arrived(images, since=90.0)
    assert monitor.interval == 6.0
    # The time without a subscription is no interval.
    clock.now += 1000.0
    monitor.arrived(1, since=clock.now - 1.0)
    for _ in range(4):
        clock.now += 0.5
        monitor.arrived(1, since=90.0)
    assert monitor.interval == 0.5


def test_a_change_of_form_is_noticed(monitor):
    assert [monitor.usable(form) for form in (
        '4x3 rgb8', '4x3 rgb8', '8x6 rgb8', '8x6 mono8', '8x6 mono8')] == [
            '', '', '4x3 rgb8', '8x6 rgb8', '']
    assert (monitor.changes, monitor.image_format) == (2, '8x6 mono8')


def test_unusable_images_are_an_error_until_a_good_one_comes_and_then_a_warning(monitor, clock):
    monitor.unusable('no such encoding')
    clock.now += 60.0
    assert keys(monitor) == [('unusable', Level.ERROR)]
    monitor.unusable('no such encoding')
    monitor.usable('4x3 rgb8')
    assert keys(monitor) == [('unusable', Level.WARN)]
    assert monitor.issues()[0].text == 'unusable image on /image: no such encoding'
    clock.now += 10.0
    assert keys(monitor) == []


@pytest.mark.parametrize(('latency', 'words'), [
    (0.02, ''), (-0.1, ''), (50.0, ''), (-3.0, '3.0 s ahead of this'),
    (1e8, '100000000.0 s behind this')])
def test_clocks_that_differ_are_noticed(monitor, latency, words):
    monitor.published(latency)
    texts = [issue.text for issue in monitor.issues()]
    assert (words in texts[0] and 'use_sim_time' in texts[0]) if words else not texts


def monitor_of_losses(clock):
    """Return a monitor, and remember how many images there have been so far."""
    losses = LossMonitor(clock)
    losses.totals = [0, 0]
    return losses


def span(losses, clock, came, lost, seconds=5.0):
    """Let images come and get lost within a time, and judge at its end."""
    losses.totals = [total + more for total, more in zip(losses.totals, (came, lost))]
    clock.now += seconds
    return losses.judge(*losses.totals)


@pytest.mark.parametrize(('came', 'lost', 'said'), [
    (150, 0, ''), (0, 0, ''), (3, 4, ''), (150, 7, ''),
    (95, 5, '5 of 100 images of the last 5 s'),
    (10, 140, '140 of 150 images of the last 5 s'),
    (0, 5, '5 of 5 images of the last 5 s')])
def test_only_a_symptom_is_said(clock, came, lost, said):
    losses = monitor_of_losses(clock)
    assert span(losses, clock, came, lost) == said


def test_nothing_is_judged_too_early_and_nothing_counted_twice(clock):
    losses = monitor_of_losses(clock)
    assert span(losses, clock, 50, 50, 4.9) == ''
    assert span(losses, clock, 50, 0, 0.2) == '50 of 150 images of the last 5 s'
    assert span(losses, clock, 150, 0, 70.0) == ''


def test_what_got_lost_before_the_reliability_changed_is_no_symptom(clock):
    losses = monitor_of_losses(clock)
    clock.now += 4.0
    assert losses.judge(50, 50, changing=True) == ''
    clock.now += 1.0
    assert losses.judge(60, 50) == ''
    clock.now += 4.0
    assert losses.judge(100, 50) == losses.symptom == ''
    clock.now += 5.0
    assert losses.judge(110, 90) == '40 of 50 images of the last 5 s'


def test_the_same_is_said_again_after_a_minute(clock):
    losses = monitor_of_losses(clock)
    said = [bool(span(losses, clock, 0, 100)) for _ in range(30)]
    assert [index for index, yes in enumerate(said) if yes] == [0, 12, 24]
