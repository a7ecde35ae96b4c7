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

"""A server with models that see time: over real DDS, the same as the pipeline's own stream."""

from dataclasses import replace
import re
import time

from cascade_models import save_cascade
from clip_models import save_faulty_window, save_rnn, save_streaming, save_window
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from ros2_classify import ObjectClips, Pipeline
from ros2_classify.ros.messages.image import to_image_msg
from ros2_classify.ros.server.clips import CameraClips
from ros2_classify_interfaces.srv import Classify
from std_msgs.msg import Header
from vision_msgs.msg import Classification, Detection2DArray

RELIABLE = QoSProfile(depth=50)


def frames(count, seed=1, step=0.1, start=1000.0):
    """Return images of noise with their stamps, in seconds."""
    rng = np.random.default_rng(seed)
    return [(start + step * number, rng.integers(0, 256, (12, 16, 3), np.uint8))
            for number in range(count)]


def message(stamp, pixels):
    """Return an image's message."""
    header = Header(frame_id='eye')
    header.stamp.sec = int(stamp)
    header.stamp.nanosec = round(1e9 * (stamp - int(stamp)))
    return to_image_msg(pixels, 'rgb8', header)


def seconds(msg):
    """Return a message's stamp."""
    return round(msg.header.stamp.sec + 1e-9 * msg.header.stamp.nanosec, 6)


def told(msg):
    """Return what a result says, and of which frame."""
    return seconds(msg), [(each.class_id, round(each.score, 4)) for each in msg.results]


def expected(model, *parts):
    """Return what the pipeline says of frames, one after the other."""
    with Pipeline.load(model) as pipeline:
        return [(round(each.t1, 6), [(label, round(float(score), 4)) for label, score in zip(
            each.labels, each.scores)]) for each in pipeline.clips(
                frame for part in parts for frame in part)]


class Film:
    """A camera that publishes given frames, when the server and its results are connected."""

    def __init__(self, peer, topic, results):
        self._peer = peer
        self.frames = 0
        self._publisher = peer.node.create_publisher(type(message(*frames(1)[0])), topic, RELIABLE)
        peer.spin_until(self._publisher.get_subscription_count, f'a subscriber of {topic}')
        # Long before all others; they are another clip.
        while not results:
            stamp = 10.0 + 0.1 * self.frames
            self.show(frames(1, start=stamp))
        peer.spin_until(lambda: seconds(results[-1]) == round(stamp, 6), 'the last result')
        results.clear()

    def show(self, *parts, pause=0.03):
        """Publish frames in their order."""
        for stamp, pixels in (frame for part in parts for frame in part):
            self._publisher.publish(message(stamp, pixels))
            self.frames += 1
            end = time.monotonic() + pause
            self._peer.spin_until(lambda: time.monotonic() >= end, 'the pause')


@pytest.mark.parametrize('save', [save_window, save_streaming, save_rnn])
def test_a_topic_gives_what_the_frames_give_in_python(start, peer, tmp_path, save):
    model = save(tmp_path)
    server = start('server', {'model': model, 'score_threshold': 0.0})
    results = peer.collect(Classification, '/classification', RELIABLE)
    # A pause, and a camera whose time begins again.
    parts = [frames(9), frames(6, 2, start=1005.0), frames(7, 3, start=500.0)]
    film = Film(peer, '/image', results)
    film.show(*parts)
    wanted = expected(model, *parts)
    peer.spin_until(lambda: len(results) >= len(wanted), 'all results')
    assert [told(each) for each in results] == wanted and len(wanted) > 5
    assert {each.header.frame_id for each in results} == {'eye'}
    counted = server.stop()
    assert re.search(' 0 replaced .* 0 unusable, 0 failed', counted), counted


def test_each_camera_has_its_own_clip(start, peer, tmp_path):
    model = save_streaming(tmp_path)
    start('server', {'model': model, 'image_topics': '[/a/image, /b/image]'})
    results = {name: peer.collect(Classification, f'/{name}/classification', RELIABLE)
               for name in 'ab'}
    films = {name: Film(peer, f'/{name}/image', results[name]) for name in 'ab'}
    shown = {name: frames(12, seed) for seed, name in enumerate('ab')}
    for each in zip(shown['a'], shown['b']):
        films['a'].show([each[0]])
        films['b'].show([each[1]])
    for name in 'ab':
        wanted = expected(model, shown[name])
        peer.spin_until(lambda: len(results[name]) >= len(wanted), 'all results')
        assert [told(each) for each in results[name]] == wanted


def test_another_model_has_seen_nothing_of_the_clip(start, peer, tmp_path):
    model = save_streaming(tmp_path)
    other = save_streaming(tmp_path, name='other', initial=1)
    start('server', {'model': model, 'model_changes': 'any'})
    results = peer.collect(Classification, '/classification', RELIABLE)
    film = Film(peer, '/image', results)
    first, second = frames(5), frames(5, 2, start=1000.5)
    film.show(first)
    peer.spin_until(lambda: len(results) == 5, 'results')
    assert peer.set_values(model=str(other)) == []
    film.show(second)
    peer.spin_until(lambda: len(results) == 10, 'results of the other model')
    assert [told(each) for each in results[5:]] == expected(other, second)


def test_a_frame_between_two_models_is_the_first_of_the_new_one(tmp_path):
    """It may come before the server has told the stream of the change."""
    clips = CameraClips()
    pixels = frames(1)[0][1]
    with Pipeline.load(save_window(tmp_path)) as old, Pipeline.load(save_window(tmp_path)) as new:
        for number in range(4):
            result = clips.stream(old).offer(0.1 * number, pixels)
        assert result is not None
        assert clips.stream(new).offer(0.4, pixels) is None
        assert clips.stream(new).reason == 'filling'


def test_frames_that_come_too_fast_are_counted(start, peer, tmp_path):
    model = save_window(tmp_path)
    server = start('server', {'model': model})
    results = peer.collect(Classification, '/classification', RELIABLE)
    film = Film(peer, '/image', results)
    film.show(frames(400), pause=0.0)
    film.show(frames(1, start=1040.0), pause=2.0)
    counted = server.stop()
    received, results, replaced, between = (
        int(re.search(rf'(\d+) {what}', counted)[1])
        for what in ('frames received', 'results', 'replaced', 'of clips between results'))
    assert received == results + replaced + between, counted
    assert received > 380, counted


def test_diagnostics_show_the_clip_and_what_is_missing(start, peer, operator, tmp_path):
    start('server', {'model': save_window(tmp_path)})
    results = peer.collect(Classification, '/classification', RELIABLE)
    film = Film(peer, '/image', results)
    name = 'server: images /image'
    film.show(frames(6))

    def last():
        return {value.key: value.value for status in operator.statuses(name)[-1:]
                for value in status.values}
    peer.spin_until(lambda: last().get('clip of the last result, end (s)') == '1000.500', 'a clip')
    assert last()['clip of the last result, begin (s)'] == '1000.200'
    assert last()['clip, frames missing'] == '0'
    # A camera at 5 Hz, for a model at 10 Hz.
    film.show(frames(8, step=0.2, start=1010.0))
    peer.spin_until(lambda: any(
        'frames come at 5 Hz' in each.message for each in operator.statuses(name)), 'the problem')


def test_a_service_has_no_clip(start, peer, tmp_path):
    start('server', {'model': save_window(tmp_path)})
    request = Classify.Request()
    request.image = message(*frames(1)[0])
    response = peer.call(Classify, '/server/classify', request)
    assert not response.success
    assert 'sees clips, not single images: 4 frames at 10 Hz' in response.message


def test_what_each_object_does_is_an_entry_of_its_results(start, peer, tmp_path):
    save_window(tmp_path)
    cascade = save_cascade(tmp_path, '{motion: {model: window.yaml, padding: 0.0}}')
    start('server', {'model': cascade, 'tracking': True, 'track_confirm': 1})
    results = peer.collect(Detection2DArray, '/detections', RELIABLE)
    film = Film(peer, '/image', results)
    shown = frames(8)
    film.show(shown)
    peer.spin_until(lambda: results and seconds(results[-1]) == 1000.7, 'the last result')
    with Pipeline.load(cascade) as pipeline:
        stage, = pipeline.stages.over_time
        clips = ObjectClips(stage.model, padding=0.0)
        for stamp, pixels in shown:
            found = pipeline(pixels)
            last = clips(stamp, replace(found, track_ids=np.array(
                [str(row) for row in range(len(found))], object)), pixels)
        wanted = [f'motion:{said.labels[0]}' for said in last.attributes['clip']]
    told = [[each.hypothesis.class_id for each in detection.results][1]
            for detection in results[-1].detections]
    assert told == wanted and len(wanted) == 3
    assert {detection.id for detection in results[-1].detections} != {''}


def test_a_stage_that_sees_clips_asks_for_ids(start, tmp_path):
    save_window(tmp_path)
    server = start('server', {'model': save_cascade(tmp_path, '{motion: {model: window.yaml}}')})
    server.wait_for_line('WARN.*stages motion without effect: .*tracking:=true')


def test_a_stage_that_sees_clips_and_fails_is_a_fault_of_the_model(
        start, peer, operator, tmp_path):
    """Though the detector before it succeeds with each image."""
    save_faulty_window(tmp_path)
    cascade = save_cascade(tmp_path, '{motion: {model: window.yaml, padding: 0.0}}')
    server = start('server', {'model': cascade, 'tracking': True, 'track_confirm': 1})
    server.expected_failure = 'no result|failed'
    results = peer.collect(Detection2DArray, '/detections', RELIABLE)
    film = Film(peer, '/image', results)
    stamps = iter(np.arange(1000.0, 1100.0, 0.1))
    inference = 'server: inference'

    def white_until(condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, what
            film.show([(next(stamps), np.full((12, 16, 3), 255, np.uint8))])

    white_until(lambda: any(
        re.search('the model has failed .*next attempt in', status.message)
        for status in operator.statuses(inference)), 'a pause')
    white_until(lambda: 'reloaded' in server.output, 'a new session')
    values = operator.wait(inference, 'OK', 'results per second|no image', faults='[5-9]|..+')
    assert 'out of' in values['last error'] and 'no result for an image' in server.output
    results.clear()
    for stamp in np.arange(2000.0, 2060.0, 0.1):
        film.show(frames(1, start=stamp))
        if any(len(each.detections[0].results) == 2 for each in results):
            break
    assert results and len(results[-1].detections[0].results) == 2
