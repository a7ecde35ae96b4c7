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

"""What numbers mean: levels, sentences and values."""

import pytest
from ros2_classify.ros.diagnostics.issues import find
from ros2_classify.ros.diagnostics.statistics import Ring
from ros2_classify.ros.diagnostics.status import Level
from ros2_classify.ros.diagnostics.summary import (
    camera_status, CameraFacts, input_status, InputFacts, judge, model_status, ModelFacts,
    work_status, WorkFacts)

LOST = find('compressed_lost', lost='9 of 10 images', topic='/image')
UNUSABLE = find('unusable', topic='/image', reason='no such encoding')
IDLE = find('nobody_listens', topics='/detections', topic='/image', also='')


def ring(*values):
    """Return times in seconds."""
    result = Ring()
    for value in values:
        result.add(value)
    return result


def test_the_worst_comes_first_and_nothing_is_left_out():
    level, message = judge([LOST, IDLE, UNUSABLE], 'fine')
    assert level == Level.ERROR
    assert message.index('no such encoding') < message.index('9 of 10 images')
    assert 'idle' not in message
    assert judge([IDLE], 'fine') == (Level.OK, IDLE.text)
    assert judge([], 'fine') == (Level.OK, 'fine')


def test_a_camera_s_images():
    facts = InputFacts(
        '/image', active=True, rate=29.96, result_rate=10.0, counts={'received': 90}, age=0.034,
        form='640x480 rgb8', publishers=1, listeners=2,
        latency=ring(*(each / 1000 for each in range(1, 101))), node_latency=ring(0.004))
    status = input_status(facts)
    assert (status.level, status.message) == (
        Level.OK, '30.0 images and 10.0 answers a second')
    values = dict(status.values)
    assert len(values) == len(status.values)
    assert values['topic'] == '/image' and values['received'] == '90'
    assert values['age of the last image [s]'] == '0.03'
    assert [round(float(values[f'stamp to answer {part} [ms]'])) for part in (
        'p50', 'p95', 'p99')] == pytest.approx([50, 95, 99], abs=1.5)
    assert values['arrival to answer p99 [ms]'] == '4.00'
    assert (values['publishers'], values['subscribers of the answers']) == ('1', '2')


@pytest.mark.parametrize(('facts', 'level', 'words'), [
    (InputFacts('/image', active=False, findings=[UNUSABLE]), Level.OK, 'not active'),
    (InputFacts('/image', active=True), Level.OK, 'waiting for the first image on /image'),
    (InputFacts('/image', active=True, findings=[LOST]), Level.WARN, '9 of 10'),
    (InputFacts('/image', active=True, findings=[UNUSABLE]), Level.ERROR, 'no such encoding'),
    (InputFacts('/image', active=True, findings=[IDLE]), Level.OK, 'nobody subscribes')])
def test_a_camera_s_images_in_trouble(facts, level, words):
    status = input_status(facts)
    assert status.level == level and words in status.message


@pytest.mark.parametrize(('facts', 'level', 'words'), [
    (WorkFacts('active', rate=12.04), Level.OK, '12.0 answers a second'),
    (WorkFacts('inactive'), Level.OK, 'the node is inactive'),
    (WorkFacts('configuring', doing='loading the model x for 4 s'), Level.OK, 'loading'),
    (WorkFacts('active', failed_lately=3, last_error='no memory'), Level.ERROR,
     '3 images of the last second got no answer: no memory'),
    (WorkFacts('active', findings=[find('hangs', seconds=12, limit=10)]), Level.ERROR,
     'has not come back for 12 s'),
    (WorkFacts('unconfigured', findings=[find('gave_up', reason='no memory')]), Level.ERROR,
     'stopped by a fault of the model: no memory'),
    (WorkFacts('active', findings=[find('clock_stands', at=0, seconds=9)]), Level.WARN,
     '/clock has stood still')])
def test_the_model_at_work(facts, level, words):
    status = work_status(facts)
    assert status.level == level and words in status.message
    assert dict(status.values)['lifecycle state'] == facts.state


def test_the_inference_s_values():
    values = dict(work_status(WorkFacts(
        'active', answered=5, failed=2, requests=1, faults=4, reloads=1, inference=ring(0.25),
        running_for=0.125, timeout=10.0, last_error='no memory')).values)
    assert values['inference p50 [ms]'] == '250.00' and values['last error'] == 'no memory'
    assert values['answered'] == '5' and values['faults of the model'] == '4'
    assert values['inference timeout [s]'] == '10.0'


@pytest.mark.parametrize(('facts', 'level', 'words'), [
    (ModelFacts(), Level.OK, 'no model is loaded'),
    (ModelFacts('boxes', provider='CPUExecutionProvider'), Level.OK,
     'boxes on CPUExecutionProvider'),
    (ModelFacts('boxes', asked='cuda', provider='CPUExecutionProvider', fell_back=True),
     Level.WARN, 'boxes runs on CPUExecutionProvider, as cuda could not be had'),
    (ModelFacts('boxes', refused='there is no such file'), Level.WARN,
     'boxes serves on, as the last change was refused: there is no such file')])
def test_the_model(facts, level, words):
    status = model_status(facts)
    assert status.level == level and words in status.message


def test_the_model_s_values():
    values = dict(model_status(ModelFacts(
        'boxes', 'detection', 'abc', 'auto', 'CPUExecutionProvider', version=2, load_time=61.5,
        engine_time=60.25, warm_up_time=0.25)).values)
    assert values['sha256'] == 'abc' and values['provider asked for'] == 'auto'
    assert values['fetched, converted and loaded in [s]'] == '61.500'
    assert values['engine built and started in [s]'] == '60.250'
    assert values['warmed up in [s]'] == '0.250' and values['models loaded so far'] == '2'


@pytest.mark.parametrize(('facts', 'level', 'words'), [
    (CameraFacts('scenes', ['/image'], listeners=1, rate=9.98), Level.OK,
     '10.0 images a second'),
    (CameraFacts('scenes', ['/image', '/image/compressed']), Level.OK,
     'nobody subscribes to /image or /image/compressed'),
    (CameraFacts('webcam 0', ['/image'], listeners=1, findings=[
        find('source_failed', reason='webcam 0 stopped delivering', seconds=1)]), Level.ERROR,
     'webcam 0 stopped delivering; opening it again every 1 s')])
def test_a_camera(facts, level, words):
    status = camera_status(facts)
    assert status.level == level and words in status.message
