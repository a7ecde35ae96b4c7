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

"""The judgement of numbers: levels, sentences and values."""

import pytest
from ros2_classify.ros.diagnostics.issues import find, Level
from ros2_classify.ros.diagnostics.statistics import Ring
from ros2_classify.ros.diagnostics.summary import (
    camera_status, DEPRECATED, inference_status, input_status, judge, model_status,
    with_deprecated)

LOST = find('compressed_lost', lost='9 of 10 images', topic='/image')
UNUSABLE = find('unusable', topic='/image', reason='no such encoding')
IDLE = find('nobody_listens', topics='/detections', topic='/image', also='')


def ring(*values):
    """Return times in seconds."""
    result = Ring()
    for value in values:
        result.add(value)
    return result


def test_the_worst_issue_comes_first_and_none_is_dropped():
    level, message = judge([LOST, IDLE, UNUSABLE], 'fine')
    assert level == Level.ERROR
    assert message.index('no such encoding') < message.index('9 of 10 images')
    assert 'idle' not in message
    assert judge([IDLE], 'fine') == (Level.OK, IDLE.text)
    assert judge([], 'fine') == (Level.OK, 'fine')


def test_a_status_shows_a_camera_s_images():
    status = input_status(
        '/image', active=True, rate=29.96, result_rate=10.0, counts={'received': 90}, age=0.034,
        image_format='640x480 rgb8', publishers=1, subscribers=2,
        latency=ring(*(each / 1000 for each in range(1, 101))), node_latency=ring(0.004))
    assert (status.level, status.message) == (
        Level.OK, '30.0 images and 10.0 results per second')
    values = dict(status.values)
    assert len(values) == len(status.values)
    assert values['topic'] == '/image' and values['received'] == '90'
    assert values['last image age [s]'] == '0.03'
    assert [round(float(values[f'stamp to result {part} [ms]'])) for part in (
        'p50', 'p95', 'p99')] == pytest.approx([50, 95, 99], abs=1.5)
    assert values['arrival to result p99 [ms]'] == '4.00'
    assert (values['publishers'], values['result subscribers']) == ('1', '2')


@pytest.mark.parametrize(('status', 'level', 'words'), [
    (input_status('/image', active=False, issues=[UNUSABLE]), Level.OK, 'not active'),
    (input_status('/image', active=True), Level.OK, 'waiting for the first image on /image'),
    (input_status('/image', active=True, issues=[LOST]), Level.WARN, '9 of 10'),
    (input_status('/image', active=True, issues=[UNUSABLE]), Level.ERROR, 'no such encoding'),
    (input_status('/image', active=True, issues=[IDLE]), Level.OK, 'nobody subscribes')])
def test_issues_of_a_camera_s_images_set_level_and_message(status, level, words):
    assert status.level == level and words in status.message


@pytest.mark.parametrize(('status', 'level', 'words'), [
    (inference_status('active', rate=12.04), Level.OK, '12.0 results per second'),
    (inference_status('inactive'), Level.OK, 'the node is inactive'),
    (inference_status('configuring', activity='loading the model x for 4 s'), Level.OK, 'loading'),
    (inference_status('active', failed_lately=3, last_error='no memory'), Level.ERROR,
     'no result for 3 images of the last second: no memory'),
    (inference_status('active', issues=[
        find('inference_timeout', step='the model', seconds=12, limit=10)]),
     Level.ERROR, 'has not come back for 12 s'),
    (inference_status('unconfigured', issues=[find('gave_up', reason='no memory')]), Level.ERROR,
     'stopped by a fault of the model: no memory'),
    (inference_status('active', issues=[find('clock_stands', at=0, seconds=9)]), Level.WARN,
     '/clock has stood still')])
def test_the_inference_is_judged(status, level, words):
    assert status.level == level and words in status.message
    assert dict(status.values)['lifecycle state']


def test_a_status_shows_the_inference():
    values = dict(inference_status(
        'active', published=5, failed=2, requests=1, faults=4, reloads=1, inference=ring(0.25),
        running_for=0.125, timeout=10.0, last_error='no memory').values)
    assert values['inference p50 [ms]'] == '250.00' and values['last error'] == 'no memory'
    assert values['results published'] == '5' and values['model faults'] == '4'
    assert values['inference timeout [s]'] == '10.0'


@pytest.mark.parametrize(('status', 'level', 'words'), [
    (model_status(), Level.OK, 'no model is loaded'),
    (model_status('boxes', provider='CPUExecutionProvider'), Level.OK,
     'boxes on CPUExecutionProvider'),
    (model_status('boxes', requested='cuda', provider='CPUExecutionProvider', fell_back=True),
     Level.WARN, 'boxes runs on CPUExecutionProvider: cuda is not available'),
    (model_status('boxes', refused='there is no such file'), Level.WARN,
     'boxes keeps serving: the last change of the model was refused: there is no such file'),
    (model_status('bare', unverified=('input.mean', 'input.std')), Level.WARN,
     'bare: not verified, for the model file does not say it: input.mean, input.std;')])
def test_the_model_is_judged(status, level, words):
    assert status.level == level and words in status.message


def test_a_status_shows_the_model():
    values = dict(model_status(
        'boxes', task='detection', sha256='abc', requested='auto',
        provider='CPUExecutionProvider', version=2, load_time=61.5,
        engine_time=60.25, warm_up_time=0.25).values)
    assert values['sha256'] == 'abc' and values['requested provider'] == 'auto'
    assert values['fetched, converted and loaded in [s]'] == '61.500'
    assert values['engine built and started in [s]'] == '60.250'
    assert values['unverified'] == 'none'
    assert values['warmed up in [s]'] == '0.250' and values['models loaded so far'] == '2'


@pytest.mark.parametrize(('status', 'level', 'words'), [
    (camera_status('samples', ['/image'], subscribers=1, rate=9.98), Level.OK,
     '10.0 images per second'),
    (camera_status('samples', ['/image', '/image/compressed']), Level.OK,
     'nobody subscribes to /image or /image/compressed'),
    (camera_status('webcam 0', ['/image'], subscribers=1, issues=[
        find('source_failed', reason='webcam 0 stopped delivering', seconds=1)]), Level.ERROR,
     'webcam 0 stopped delivering; opening it again in 1 s')])
def test_a_camera_node_is_judged(status, level, words):
    assert status.level == level and words in status.message


def test_old_keys_are_published_for_one_release_with_one_notice():
    values = input_status('/image', active=True, age=0.5, latency=ring(0.004)).values
    table = dict(values)
    for key, old in DEPRECATED.items():
        assert table.get(old) == table.get(key)
        assert (f'{old} (now {key})' in table['deprecated keys']) == (key in table)
    keys = [key for key, _ in values]
    assert keys.index('result rate [Hz]') < keys.index('rate answered [Hz]')  # words: old
    assert keys.count('deprecated keys') == 1
    assert with_deprecated((('topic', '/image'),)) == (('topic', '/image'),)
