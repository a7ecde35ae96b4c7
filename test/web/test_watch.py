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

"""``watch`` in a real browser: what is seen, what the controls do, and who is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time

from browser import Browser
import cv2
import numpy as np
import pytest
import shared_data

SAMPLES = shared_data.ROOT / 'models' / 'scenes'  # words: old
LIVE = "document.querySelector('#link').textContent == 'live'"
ROWS = "document.querySelectorAll('#results li').length"
NAME = "document.querySelector('figcaption .name').textContent"


@pytest.fixture
def watch(tmp_path):
    """Return a function that starts ``watch`` and returns its URL."""
    running = []

    def start(source, *words):
        process = subprocess.Popen(
            [sys.executable, '-m', 'ros2_classify', 'watch', '--model', 'cards_detector',
             '--source', str(source), '--port', '0', '--no-browser', *words],
            stdout=subprocess.PIPE, text=True, cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(shared_data.ROOT)})
        running.append(process)
        line = process.stdout.readline()
        found = re.search(r'http://127\.0\.0\.1:\d+/\?token=\S+', line)
        assert found, line
        return found[0]

    yield start
    for process in running:
        process.send_signal(signal.SIGINT)
    for process in running:
        assert process.wait(20) == 130


@pytest.fixture
def browser():
    found = Browser()
    yield found
    found.close()


def boxes_like(image, color):
    """Return how many pixels have a colour (BGR) of the overlay."""
    return int((abs(image.astype(int) - np.array(color)).max(axis=2) < 45).sum())


def test_what_is_seen_and_what_the_controls_do(watch, browser, tmp_path):
    browser.open(watch(SAMPLES))
    browser.wait(LIVE)
    # The token is not left where a screen shows it.
    assert browser.value('location.search') == ''
    assert browser.value("document.querySelector('#model').textContent") == 'cards_detector'
    assert browser.value("document.querySelector('#provider').textContent") == 'CPU'
    browser.value("control('pause')")
    browser.wait("document.querySelector('#pause').textContent == 'Play'")
    for _ in range(6):
        if browser.value(NAME).endswith('many_cards.jpg'):
            break
        before = browser.value(NAME)
        browser.value("document.querySelector('#step').click()")
        browser.wait(f'{NAME} != {before!r}')
    assert browser.wait(f'{ROWS} >= 12') and 'many_cards' in browser.value(NAME)
    browser.wait("document.querySelector('.screen img').naturalWidth == 640")

    # A file is shown by its name; the tooltip has the path.
    assert browser.value(NAME) == 'many_cards.jpg'
    assert browser.value("document.querySelector('figcaption .name').title") == str(
        SAMPLES / 'many_cards.jpg')

    # The boxes have the colours of the list.
    time.sleep(0.5)
    color = browser.value("getComputedStyle(document.querySelector('#results .swatch'))"
                          '.backgroundColor')
    bgr = [int(each) for each in re.findall(r'\d+', color)][::-1]
    with_boxes = browser.part('.screen')
    assert boxes_like(with_boxes, bgr) > 300

    # A slider acts at once, on a frame that stands still.
    browser.drag('score_threshold', 0.93)
    browser.wait(f'{ROWS} < 12 && {ROWS} > 0')
    rows = browser.value(ROWS)
    scores = browser.value("[...document.querySelectorAll('#results .score')]"
                           '.map((each) => Number(each.textContent))')
    assert len(scores) == rows and min(scores) >= 0.93
    browser.drag('score_threshold', 1.0)
    browser.wait(f'{ROWS} == 0')
    time.sleep(0.5)
    without = browser.part('.screen')
    assert boxes_like(without, bgr) < boxes_like(with_boxes, bgr) / 2
    assert (abs(without.astype(int) - with_boxes) > 60).mean() > 0.005
    browser.drag('score_threshold', 0.45)
    browser.wait(f'{ROWS} >= 12')

    # A filter by class, and one that the model does not have.
    typing = ("(() => {{ const e = document.forms.controls.elements.classes; e.value = '{}';"
              "e.dispatchEvent(new Event('change')); return true; }})()")
    browser.value(typing.format('stop'))
    browser.wait(f'{ROWS} == 1')
    browser.value(typing.format('elephant'))
    assert 'elephant' in browser.wait(
        "!document.querySelector('#control-error').hidden"
        " && document.querySelector('#control-error').textContent")

    # The button saves the frame as it came.
    browser.value("document.querySelector('#save').click()")
    said = browser.wait("document.querySelector('#where').textContent")
    saved = next((tmp_path / 'saved_frames').glob('*.png'))
    assert saved.name in said
    assert (cv2.imread(str(saved)) == cv2.imread(str(SAMPLES / 'many_cards.jpg'))).all()
    assert json.loads(saved.with_suffix('.json').read_text())['results'][0]['label'] == 'stop'

    # Playing changes the image.
    browser.value("document.querySelector('#pause').click()")
    browser.wait(f'!{NAME}.endsWith("many_cards.jpg")')
    time.sleep(0.5)
    assert (abs(browser.part('.screen').astype(int)[:200, :200]
                - with_boxes[:200, :200]) > 40).mean() > 0.1


def test_without_the_token_nothing_is_seen(watch, browser):
    browser.open(watch(SAMPLES).partition('?')[0])
    browser.wait("document.querySelector('main').textContent.includes('needs its token')")
    assert browser.value("document.querySelectorAll('img').length") == 1


def test_a_strange_name_is_refused(watch):
    """As DNS rebinding would do it: a name of an attacker that points to this machine."""
    other = Browser(words=('--host-resolver-rules=MAP evil.example 127.0.0.1',))
    try:
        other.open(watch(SAMPLES).replace('127.0.0.1', 'evil.example'))
        assert 'not the host' in other.value('document.body.textContent')
    finally:
        other.close()


def test_a_stalled_browser_delays_no_other(watch, browser, tmp_path):
    video = cv2.VideoWriter(
        str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 20.0, (640, 480))
    images = [cv2.imread(str(path)) for path in sorted(SAMPLES.glob('*.jpg'))]
    for number in range(200):
        video.write(images[number % len(images)])
    video.release()
    url = watch(tmp_path / 'v.avi', '--rate', '10')
    stalled = Browser()
    try:
        stalled.open(url)
        stalled.wait(LIVE)
        stalled.stop()
        browser.open(url)
        browser.wait(LIVE)
        number = f"Number({NAME}.split(' ').pop())"
        browser.wait(f'{number} > 0')
        before, begun = browser.value(number), time.monotonic()
        time.sleep(6)
        rate = (browser.value(number) - before) % 200 / (time.monotonic() - begun)
        assert rate > 5
    finally:
        stalled.close()


@pytest.mark.parametrize(('width', 'dark'), [(500, True), (500, False), (1400, True)])
def test_nothing_is_wider_than_the_screen(watch, width, dark):
    shown = Browser(width, 1000, dark=dark)
    try:
        shown.open(watch(SAMPLES))
        shown.wait(LIVE)
        shown.wait("document.querySelector('.screen img').naturalWidth == 640")
        assert shown.value('document.documentElement.scrollWidth') <= width
        back = shown.screenshot()[-3, 3]
        assert (back < 60).all() if dark else (back > 200).all()
    finally:
        shown.close()
