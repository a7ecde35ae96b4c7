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

"""A cascade in the server: several cameras, diagnostics, another model of a stage, a failure."""

from cascade_models import save_cascade, save_colors
import pytest
from ros_models import save_faulty
from ros_stream import Camera
from vision_msgs.msg import Detection2DArray

RED, GREEN, WHITE = (200, 0, 0), (10, 200, 60), (255, 255, 255)


def said(result):
    """Return what each object's entries say."""
    return [[each.hypothesis.class_id for each in detection.results]
            for detection in result.detections]


def test_the_second_class_is_another_entry_of_the_same_object(start, peer, operator, tmp_path):
    save_colors(tmp_path)
    cascade = save_cascade(
        tmp_path, '{color: {model: colors.yaml, classes: [cup], max_crops: 1}}')
    server = start('server', {'model': cascade, 'image_topics': ['/a/image', '/b/image'],
                              'max_batch': 2, 'max_batch_delay': 0.2})
    results = {name: peer.collect(Detection2DArray, f'/{name}/detections') for name in 'ab'}
    cameras = {name: Camera(peer, f'/{name}/image', size=(100, 40)) for name in 'ab'}
    for name, rgb, color in (('a', RED, 'red'), ('b', GREEN, 'green'), ('a', GREEN, 'green')):
        assert said(cameras[name].result(rgb, results[name])) == [
            ['cup', f'color:{color}'], ['ball'], ['cup']]
    values = operator.wait('server: model', 'OK', 'cascade on')
    looked, cut = (int(values[f'stage color: {what}']) for what in (
        'boxes looked at', 'skipped, over max_crops'))
    assert looked == cut >= 3 and values['stage color: skipped, over budget_ms'] == '0'
    server.stop()


def test_a_stage_that_fails_is_a_fault_of_the_model(start, peer, operator, tmp_path):
    save_faulty(tmp_path)
    server = start('server', {'model': save_cascade(tmp_path, '{color: {model: faulty.yaml}}')})
    server.expected_failure = 'fail'
    results = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image', size=(100, 40))
    assert said(camera.result(RED, results))[0] == ['cup', 'color:red']
    before = len(results)
    camera.send(camera.message(WHITE))
    server.wait_for_line('no result for an image of /image')
    assert len(results) == before
    peer.spin_until(lambda: any(
        int({row.key: row.value for row in status.values}['model faults'])
        for status in operator.statuses('server: inference')), 'a fault of the model')
    # The next image is fine.
    assert said(camera.result(GREEN, results))[0] == ['cup', 'color:green']
    server.stop()


def test_another_stage_by_another_model(start, peer, tmp_path):
    save_colors(tmp_path)
    save_colors(tmp_path, 'farben', 'rot, gruen, blau')
    first = save_cascade(tmp_path, '{color: {model: colors.yaml}}')
    second = save_cascade(
        tmp_path, '{color: {model: colors.yaml}, farbe: {model: farben.yaml}}', 'other')
    server = start('server', {'model': first, 'model_roots': tmp_path})
    results = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image', size=(100, 40))
    assert said(camera.result(RED, results))[0] == ['cup', 'color:red']
    assert peer.set_values(model=str(second)) == []
    assert said(camera.result(RED, results))[0] == ['cup', 'color:red', 'farbe:rot']
    server.wait_for_line('stage color: colors stays loaded')
    server.stop()


def test_one_stage_by_its_parameter(start, peer, tmp_path):
    save_colors(tmp_path)
    save_colors(tmp_path, 'farben', 'rot, gruen, blau')
    cascade = save_cascade(tmp_path, '{color: {model: colors.yaml}, again: {model: colors.yaml}}')
    server = start('server', {'model': cascade, 'model_roots': tmp_path,
                              'stages.again': str(tmp_path / 'farben.yaml')})
    results = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image', size=(100, 40))

    def look():
        return said(camera.result(RED, results))[0]

    assert look() == ['cup', 'color:red', 'again:rot']
    assert peer.set_values(**{'stages.color': str(tmp_path / 'farben.yaml')}) == []
    server.wait_for_line('the stage color of cascade is farben now')
    assert look() == ['cup', 'color:rot', 'again:rot']
    for value, words in (('farben', 'there is no model'), (str(cascade), 'stages of its own'),
                         (str(tmp_path / 'boxes.yaml'), 'boxes.yaml')):
        (reason,) = peer.set_values(**{'stages.color': value})
        assert words in reason
    (reason,) = peer.set_values(**{'stages.colour': 'colors'})
    assert 'stages.color' in reason
    assert look() == ['cup', 'color:rot', 'again:rot']
    # It stays with another model that has this stage, and goes back to the descriptor's.
    other = save_cascade(tmp_path, '{color: {model: colors.yaml, padding: 0.1}}', 'other')
    assert peer.set_values(model=str(other)) == []
    server.wait_for_line('stages.again without effect: other lacks these stages')
    assert look() == ['cup', 'color:rot']
    assert peer.set_values(**{'stages.color': ''}) == []
    assert look() == ['cup', 'color:red']
    server.stop()


def test_a_stage_that_the_model_lacks_is_refused_at_start(start, tmp_path):
    save_colors(tmp_path)
    server = start('server', {'model': save_cascade(tmp_path, '{color: {model: colors.yaml}}'),
                              'stages.colour': 'colors'})
    server.wait_for_line('stages.colour is set, but the model cascade has the stages color only')
    server.kill()


def test_a_stage_that_may_not_be_set_is_refused(start, peer, tmp_path):
    for name in ('inside', 'outside'):
        (tmp_path / name).mkdir()
    save_colors(tmp_path / 'inside')
    outside = save_colors(tmp_path / 'outside')
    first = save_cascade(tmp_path / 'inside', '{color: {model: colors.yaml}}')
    second = save_cascade(tmp_path / 'inside', f'{{color: {{model: {outside}}}}}', 'other')
    server = start('server', {'model': first, 'model_roots': tmp_path / 'inside'})
    (reason,) = peer.set_values(model=str(second))
    assert 'outside' in reason
    server.stop()


def test_a_stage_can_be_looked_for(start, peer, tmp_path):
    srv = pytest.importorskip('ros2_classify_interfaces.srv')
    save_colors(tmp_path)
    server = start('server', {'model': save_cascade(tmp_path, '{color: {model: colors.yaml}}')})
    camera = Camera(peer, '/image', size=(100, 40))
    for classes, outcome in ((['red'], srv.Look.Response.FOUND),
                             (['blue'], srv.Look.Response.NOT_FOUND),
                             (['pink'], srv.Look.Response.COULD_NOT_LOOK)):
        future = peer.ask(srv.Look, '/server/look', srv.Look.Request(classes=classes))
        peer.spin_until(lambda: camera.send_now(RED) or future.done(), 'a response')
        assert future.result().outcome == outcome, future.result().message
    server.stop()
