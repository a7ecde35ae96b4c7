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


"""The server's page in a real browser: both cameras, what is wrong, parameters and the model."""

import re
import urllib.error
import urllib.request

from browser import Browser
import pytest
from rcl_interfaces.srv import GetParameters
from shared_data import ROOT
from vision_msgs.msg import Detection2DArray

SAMPLES = ROOT / 'models' / 'scenes'  # words: old
TOPICS = ['/page_front/image', '/page_rear/image']


@pytest.fixture
def browser():
    found = Browser()
    yield found
    found.close()


@pytest.fixture
def url(start):
    """Start two cameras and a server that nobody subscribes to; return the page's URL."""
    for topic, name in zip(TOPICS, ('many_cards.jpg', 'one_card.jpg')):
        start('camera', {'source': SAMPLES / name, 'rate': 5.0}, remap={'image': topic})
    server = start('server', {
        'model': 'cards_detector', 'image_topics': TOPICS, 'web': '127.0.0.1:0'})
    server.wait_for_line('active: ')
    return re.search(r'the page is (http://127\.0\.0\.1:\d+/\?token=\S+)', server.output)[1]


def rows(browser):
    return browser.value("document.querySelectorAll('#results li').length")


def choose(browser, topic):
    browser.value(f"[...document.querySelectorAll('figure')].find((each) => "
                  f"each.textContent.includes('{topic}')).click()")


def test_the_page_shows_all_cameras_and_sets_what_counts_for_one(url, browser, peer):
    browser.open(url)
    browser.wait("document.querySelectorAll('figure img').length == 2")
    # The browser is the only one who wants results.
    browser.wait("[...document.querySelectorAll('figure img')].every("
                 'each => each.naturalWidth == 640)')
    choose(browser, TOPICS[0])
    browser.wait("document.querySelectorAll('#results li').length >= 12")
    choose(browser, TOPICS[1])
    browser.wait("document.querySelectorAll('#results li').length == 1")

    # A slider sets the parameter of this camera alone.
    choose(browser, TOPICS[0])
    browser.drag('score_threshold', 0.99)
    browser.wait("document.querySelectorAll('#results li').length == 0")
    found = peer.call(GetParameters, '/server/get_parameters', GetParameters.Request(
        names=['page_front.score_threshold', 'page_rear.score_threshold']))
    assert [each.double_value for each in found.values] == [0.99, pytest.approx(0.45)]
    choose(browser, TOPICS[1])
    browser.wait("document.querySelectorAll('#results li').length == 1")

    # The node's rules are those of the page.
    browser.value('(() => { const e = document.forms.controls.elements.classes;'
                  "e.value = 'elephant'; e.dispatchEvent(new Event('change')); })()")
    assert 'elephant' in browser.wait(
        "!document.querySelector('#control-error').hidden"
        " && document.querySelector('#control-error').textContent")
    assert 'classification' in browser.value(
        "control('model', {name: 'cards_classifier'})"
        '.then(() => "", (error) => error.message)')
    assert browser.value("control('model', {name: 'cards_cascade'})"
                         '.then((done) => done.note, (error) => error.message)') == (
        'cards_cascade is in use')
    browser.wait("document.querySelector('#model').textContent == 'cards_cascade'")


def test_nobody_who_looks_costs_nothing(url, peer):
    """Without a browser the server does not even subscribe to the images."""
    peer.spin_until(lambda: not peer.node.count_subscribers(TOPICS[0]), 'no subscription')
    # A subscriber gets results all the same.
    found = peer.collect(Detection2DArray, '/page_front/detections')
    peer.spin_until(lambda: found, 'a result')


def test_the_token_is_needed(url):
    with pytest.raises(urllib.error.HTTPError, match='403'):
        urllib.request.urlopen(url.replace('/?token=', '/state?token=x'))
    assert b'/page_front/image' in urllib.request.urlopen(
        url.replace('/?token=', '/state?token=')).read()


@pytest.mark.parametrize(('place', 'said'), [
    ('localhost', "web is 'localhost' but must be host and port, .*; write localhost:8080"),
    ('0.0.0.0:99999', 'the port 99999 is not from 0 .* to 65535'), ('true', "web is 'true' but")])
def test_a_wrong_place_is_a_sentence(start, place, said):
    server = start('server', {'model': 'cards_detector'}, arguments=[
        '--ros-args', '-p', f'web:={place}'])
    server.wait_for_line(said)
    assert server.process.wait(20)


def test_a_port_alone_is_for_this_machine_only(start):
    """Of the command line it is a number; 0 takes a free one."""
    server = start('server', {'model': 'cards_detector'}, arguments=['--ros-args', '-p', 'web:=0'])
    server.wait_for_line(r'the page is http://127\.0\.0\.1:\d+/')
