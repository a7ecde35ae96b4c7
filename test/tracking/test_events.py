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

"""Events of objects with ids, from tracks that were made up."""

from dataclasses import replace
import re

import cv2
import numpy as np
import pytest
from ros2_classify import InputError, OptionsError, Tracker
from ros2_classify.tracking.events import Events
from ros2_classify.tracking.places import crosses, inside, parse_lines, parse_zones
import sequences
import shared_data


def found(*objects):
    """Return detections of id, x and y of the foot, and label; the image is 640 x 480."""
    result = sequences.detections(
        [[x - 20, y - 60, x + 20, y] for _, x, y, *_ in objects], None,
        [label for *_, label in (each if len(each) > 3 else (*each, 'cat') for each in objects)])
    return replace(result, track_ids=np.array([each[0] for each in objects], object))


def kinds(events):
    return [(event.kind, event.track_id) for event in events]


def walk(events, path, rate=10.0, name='1', label='cat'):
    """Return the events of one object that is at these places, image by image."""
    return [event for number, place in enumerate(path)
            for event in events(found((name, *place, label)), number / rate, {name})]


def test_an_object_appears_once_and_is_gone_when_the_tracker_forgets_it():
    events = Events()
    assert kinds(events(found(('1', 100, 200), ('', 300, 200)), 0.0, {'1'})) == [('appeared', '1')]
    assert events(found(('1', 100, 200)), 0.5, {'1'}) == []
    assert events(found(), 1.0, {'1'}) == [] and events.present == {'1': 'cat'}
    gone, = events(found(), 2.0, set())
    assert (gone.kind, gone.track_id, gone.label, gone.seconds) == ('gone', '1', 'cat', 2.0)
    assert gone.box == (80, 140, 120, 200) and events.present == {}


def test_a_flickering_detector_gives_one_appeared():
    tracker, events, told = Tracker(), Events(), []
    random = np.random.default_rng(0)
    for number in range(300):
        boxes = [[100, 100, 160, 200]] if random.random() < 0.4 else []
        # False boxes of single images, too.
        boxes += [[400 + number % 200, 300, 440 + number % 200, 400]] if number % 50 == 7 else []
        result = tracker(sequences.detections(boxes), number / 30)
        told += events(result, number / 30, tracker.live_ids)
    assert kinds(told) == [('appeared', '1')]


def test_a_class_changes_by_votes_not_by_single_images():
    events = Events()
    labels = ['cat', 'dog', 'cat', 'cat', 'dog', 'cat', *['dog'] * 30]
    told = [event for number, label in enumerate(labels)
            for event in events(found(('1', 100, 200, label)), number / 10, {'1'})]
    assert [(event.kind, event.previous, event.label) for event in told] == [
        ('appeared', '', 'cat'), ('class_changed', 'cat', 'dog')]
    assert told[1].stamp == pytest.approx(0.9) and events.present == {'1': 'dog'}


def test_all_are_gone_when_nobody_looks_any_more():
    events = Events(zones=parse_zones(['all=0,0,1,0,1,1,0,1']))
    events(found(('1', 100, 200), ('2', 300, 200)), 1.0, {'1', '2'})
    events(found(('1', 100, 200)), 3.0, {'1', '2'})
    told = events.end()
    assert kinds(told) == [('left_zone', '1'), ('gone', '1'), ('left_zone', '2'), ('gone', '2')]
    assert [event.seconds for event in told if event.kind == 'gone'] == [2.0, 2.0]
    assert events.present == {} and events.end() == []


def test_words_and_counts():
    events = Events(parse_lines(['door=0.5,0.1,0.5,0.9']),
                    parse_zones(['right=0.5,0,1,0,1,1,0.5,1@0.5']))
    assert events.counts == {'door': '0 left, 0 right', 'right': '0'}
    walk(events, [(x, 240) for x in range(200, 450, 20)])
    walk(events, [(x, 200) for x in range(450, 200, -20)], name='2')
    told = walk(events, [(500, 300)] * 10, name='3')
    assert str(told.pop(0)) == '2 cat gone'
    assert events.counts == {'door': '1 left, 1 right', 'right': '1'}
    assert [str(event) for event in told] == ['3 cat appeared', '3 cat in_zone right after 0.5 s']
    assert told[1].to_dict() == {
        'kind': 'in_zone', 'id': '3', 'label': 'cat', 'box': [480, 240, 520, 300],
        'place': 'right', 'seconds': 0.5}


LINE = parse_lines(['door=0.5,0.1,0.5,0.9'])  # downwards, in the middle


@pytest.mark.parametrize(('path', 'directions'), [
    ([(200, 240), (300, 240), (340, 240), (500, 240)], ['left']),
    ([(500, 240), (300, 240)], ['right']),
    # In one step, and there and back again.
    ([(10, 240), (630, 240), (10, 240)], ['left', 'right']),
    # It wavers on the line: hysteresis.
    ([(200, 240), *[(318, 240), (322, 240)] * 10, (200, 240)], []),
    ([(200, 240), *[(318, 240), (322, 240)] * 10, (440, 240)], ['left']),
    # Past the line's end.
    ([(200, 470), (440, 470)], []),
    ([(440, 240)], []),
])
def test_lines(path, directions):
    told = [event for event in walk(Events(LINE), path) if event.kind != 'appeared']
    assert [(event.kind, event.place) for event in told] == (
        [('crossed_line', 'door')] * len(directions))
    assert [event.direction for event in told] == directions


def test_a_zone_counts_after_its_seconds_and_short_ways_out_do_not_end_it():
    zone = parse_zones(['desk=0.25,0.25,0.75,0.25,0.75,0.75,0.25,0.75@2'])
    inner, outer = (320, 240), (20, 240)
    path = [outer, *[inner] * 15, *[outer] * 3, *[inner] * 15, *[outer] * 10]
    told = walk(Events(zones=zone), path)[1:]
    assert [(event.kind, event.place) for event in told] == [
        ('in_zone', 'desk'), ('left_zone', 'desk')]
    assert told[0].seconds == pytest.approx(2.0, abs=0.11)
    assert told[1].seconds == pytest.approx(3.2, abs=0.11)
    # Too short, and gone while inside.
    assert walk(Events(zones=zone), [*[inner] * 10, *[outer] * 10])[1:] == []
    events = Events(zones=zone)
    walk(events, [inner] * 30)
    assert kinds(events(found(), 5.0, set())) == [('left_zone', '1'), ('gone', '1')]


def test_a_zone_without_seconds_counts_at_once():
    # Those that the lower edge of the image cuts off are common.
    told = walk(Events(zones=parse_zones(['all=0,0,1,0,1,1,0,1'])), [(320, 480)])
    assert [event.kind for event in told] == ['appeared', 'in_zone']
    told = walk(Events(zones=parse_zones(['all=0,0,1,0,1,1,0,1'])), [(320, 240)])
    assert kinds(told) == [('appeared', '1'), ('in_zone', '1')]


def test_ids_are_needed():
    with pytest.raises(InputError, match='call a Tracker'):
        Events()(sequences.detections([]), 0.0, set())


@pytest.mark.parametrize(('read', 'word', 'words'), [
    (parse_lines, 'door', 'event_lines has .door. but each must be'),
    (parse_lines, 'door=0.1,0.2,0.3', 'such as door='),
    (parse_lines, 'door=0.1,0.2,0.3,1.5', 'from 0 to 1'),
    (parse_lines, 'door=0.1,0.2,0.1,0.2', 'two points'),
    (parse_lines, '=0.1,0.2,0.3,0.4', 'a name'),
    (parse_lines, 'a\x1b[2J=0.1,0.2,0.3,0.4', 'a name'),
    (parse_zones, 'desk=0,0,1,1', 'three or more points'),
    (parse_zones, 'desk=0,0,1,1,0,1@x', 'seconds'),
    (parse_zones, 'desk=0,0,1,1,0,nan', 'from 0 to 1'),
])
def test_wrong_places_are_refused(read, word, words):
    with pytest.raises(OptionsError, match=words):
        read([word])


def test_places_are_read():
    assert parse_lines(['']) == parse_zones([]) == ()
    with pytest.raises(OptionsError, match="'a' twice"):
        parse_lines(['a=0,0,1,1', 'a=0,0,1,0'])
    zone, = parse_zones([' my desk = 0,0, 1,0, 1,1 @ 2.5'])
    assert (zone.name, zone.points, zone.seconds) == (
        'my desk', ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)), 2.5)


def test_inside_and_crosses_against_other_ways_to_tell():
    random = np.random.default_rng(0)
    for one, other, third, place in random.random((300, 4, 2)):
        # Inside a triangle: on the same side of all edges.
        edges = [(one, other), (other, third), (third, one)]
        sides = [np.cross([*(b - a), 0], [*(place - a), 0])[2] > 0 for a, b in edges]
        assert inside(tuple(place), (tuple(one), tuple(other), tuple(third))) == (
            len(set(sides)) == 1)
        # Two segments meet where both parameters are between 0 and 1.
        (s, t) = np.linalg.solve(np.array([other - one, third - place]).T, third - one)
        assert crosses(tuple(one), tuple(other), tuple(place), tuple(third)) == (
            0 <= s <= 1 and 0 <= t <= 1)


def test_the_samples_of_the_page_run(capsys, monkeypatch, tmp_path):
    page = (shared_data.ROOT / 'docs/tracking.md').read_text(encoding='utf-8')
    video, sample = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    (tmp_path / 'models').symlink_to(shared_data.ROOT / 'models')
    monkeypatch.chdir(tmp_path)
    exec(compile(video, 'docs/tracking.md', 'exec'), {})
    assert cv2.VideoCapture('video.mp4').get(cv2.CAP_PROP_FRAME_COUNT) == 30
    exec(compile(sample, 'docs/tracking.md', 'exec'), {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        'appeared', 'crossed_line', 'in_zone']


@pytest.mark.parametrize('parse, words, said', [
    (parse_lines, [f'{row}=0,0,1,1' for row in range(65)], 'event_lines has 65 places but may'),
    (parse_zones, [f'{row}=0,0,1,0,1,1' for row in range(65)], 'event_zones has 65 places'),
    (parse_zones, ['desk=' + ','.join(['0.5'] * 130)], "'desk' has 65 points but may have 64")])
def test_there_are_not_too_many_places(parse, words, said):
    with pytest.raises(OptionsError, match=said):
        parse(words)
