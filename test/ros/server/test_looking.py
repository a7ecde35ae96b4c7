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

"""What counts as seen, in one image and in several."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from ros2_classify import Classification, Detections, Labels, Segmentation, Timing
from ros2_classify.ros.server import looking
from ros2_classify.ros.server.looking import Question, Sight, Tally, times_problem
from ros2_classify.ros.server.publishers import Published
from shared_data import ROOT

NO_TIME = Timing(0.0, 0.0, 0.0)
BRIGHT = np.full((48, 64, 3), 90, np.uint8)


def detections(*names):
    count = len(names)
    return Detections(
        np.tile(np.float32([[1, 2, 3, 4]]), (count, 1)), np.arange(count),
        np.linspace(0.9, 0.5, count), np.array(names, object), (64, 48), NO_TIME)


def classification(*names):
    count = len(names)
    return Classification(
        np.arange(count), np.linspace(0.6, 0.2, count), np.array(names, object), (64, 48), NO_TIME)


def look(result, *classes, pixels=BRIGHT, max_age=0.0, age=None):
    published = Published(result, 'header', pixels, 'bgr', 'label')
    return Question(classes, max_age).look(published, '/image', age)


def test_only_detections_of_the_classes_are_left():
    sight = look(detections('cup', 'ball', 'cup'), 'ball')
    assert sight.seen and (sight.name, round(sight.score, 3)) == ('ball', 0.7)
    assert sight.result.labels.tolist() == ['ball'] and sight.header == 'header'
    sight = look(detections('cup', 'ball'))
    assert sight.name == 'cup' and len(sight.result) == 2


def test_what_is_not_there_is_not_seen():
    for sight in (look(detections('cup'), 'ball'), look(detections())):
        assert not sight.seen and not sight.problem and len(sight.result) == 0


def test_a_class_that_is_only_second_is_not_seen():
    assert look(classification('cup', 'ball'), 'cup').score == pytest.approx(0.6)
    assert not look(classification('cup', 'ball'), 'ball').seen


def test_a_segmenter_sees_all_classes_but_the_background():
    image = np.zeros((48, 64), np.uint8)
    image[:12] = 1

    def halves(background):
        return Segmentation(
            image, np.array([0, 1]), np.array([0.75, 0.25]), np.array(['wall', 'road'], object),
            (64, 48), NO_TIME, background)

    assert look(halves(0)).name == 'road' and look(halves(None)).name == 'wall'
    assert look(halves(0), 'road').score == 0.25 and not look(halves(0), 'sky').seen


@pytest.mark.parametrize('level, dark', [(0, True), (16, True), (17, False)])
def test_nothing_in_a_dark_image_is_no_result(level, dark):
    pixels = np.zeros((480, 640), np.uint8)
    pixels[::7, ::10] = level
    sight = look(detections(), pixels=pixels)
    assert ('dark' in sight.problem) == dark
    # What is seen in the dark is seen.
    assert look(detections('cup'), pixels=pixels).seen


def test_too_old_and_from_the_future():
    assert 'is 3.0 s old' in look(detections('cup'), max_age=2.0, age=3.0).problem
    assert 'in the future' in look(detections('cup'), max_age=2.0, age=-3.0).problem
    for max_age, age in ((0.0, 3.0), (4.0, 3.0), (2.0, None), (2.0, -0.4)):
        assert look(detections('cup'), max_age=max_age, age=age).seen


def test_a_result_of_before_is_used_only_if_it_is_new_and_shows_it():
    published = Published(detections('cup'), 'header', None, '', 'label')
    assert Question(('cup',), 2.0).recall(published, 1.0).seen
    assert Question(('cup',), 2.0).recall(published, 2.1) is None
    assert Question(('ball',), 2.0).recall(published, 1.0) is None


def test_an_unknown_class_is_refused_with_the_nearest():
    labels = Labels.from_names(['cup', 'ball'])
    assert Question(('cup', 'ball')).unknown(labels) == ''
    assert Question(('cup', 'bal')).unknown(labels) == (
        "the model has no class 'bal': did you mean 'ball'?")
    assert len(Question(('x' * 100_000,)).unknown(labels)) < 200
    assert Question(('xyz',)).unknown(labels) == "the model has no class 'xyz': it has cup, ball"


def test_of_a_model_without_names_only_numbers_are_classes():
    assert Question(('39',)).unknown(None) == Question(()).unknown(None) == ''
    assert Question(('red',)).unknown(None, ['red']) == ''
    assert Question(('39', 'person')).unknown(None) == (
        "the model has no class 'person': its classes have no names; give their numbers, such as "
        '0, or a descriptor with labels')


def tally_of(times, images, shown):
    tally = Tally(times, images)
    for number, seen in enumerate(shown):
        tally.add(Sight(name='cup' if seen == '1' else '', score=0.5, problem='?' * (seen == '?')))
        if tally.enough:
            return number + 1
    return tally


@pytest.mark.parametrize('times, images, shown, after', [
    (1, 0, '0001', 4), (3, 0, '10010001', 8), (3, 5, '11000110010101', 10), (2, 2, '101011', 6),
    (0, 0, '01', 2), (2, 3, '1?0?1', 5)])
def test_when_it_was_seen_often_enough(times, images, shown, after):
    assert tally_of(times, images, shown) == after


def test_counts():
    tally = tally_of(5, 0, '0110?')
    assert (tally.images, tally.seen, tally.problems, tally.best_score) == (4, 2, 1, 0.5)
    assert tally.gap() == ('4 images could be looked at, too few to see it 5 times; 1 could not '
                           'be looked at: ?')


def test_images_that_stopped_say_nothing_of_now(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(looking.time, 'monotonic', lambda: now[0])
    tally = Tally(1, 0)
    for _ in range(3):
        now[0] += 1.0
        tally.add(Sight())
    now[0] += 2.9
    assert tally.gap() == ''
    now[0] += 0.2
    assert tally.gap() == 'the last image that could be looked at came 3.1 s ago'


def test_more_times_than_images_is_refused():
    assert 'seen 4 times in 3 images cannot be' in times_problem(4, 3)
    assert times_problem(3, 3) == times_problem(3, 0) == ''


def test_the_tree_of_the_page_has_the_names_of_the_action():
    (tree,) = re.findall(
        r'```xml\n(.*?)```', (ROOT / 'docs/look.md').read_text(), re.DOTALL)
    node = ElementTree.fromstring(tree).find('.//LookUntil')
    goal, result, _ = (ROOT / 'packages/ros2_classify_interfaces/action/LookUntil.action'
                       ).read_text().split('---\n')
    fields = re.findall(r'^[\w/]+(?:\[\])? (\w+)$', goal, re.MULTILINE)
    assert set(node.attrib) - {*fields, 'server_name', 'outcome', 'sentence'} == set()
    assert 'uint8 outcome' in result and 'string message' in result
