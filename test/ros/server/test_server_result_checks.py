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

"""What results tell about a wrong descriptor, on ``/diagnostics`` and in the log."""

import pytest
from ros_models import save_brightness
from ros_stream import Camera
from vision_msgs.msg import Detection2DArray

IMAGES = 'server: images /image'
INFERENCE = 'server: inference'
MODEL = 'server: model'
# Images by brightness: those for which the model's result is wrong in some way, and a right one.
LOGIT, INVERTED, BEYOND, RIGHT = ((round(part * 255),) * 3 for part in (0.15, 0.42, 0.62, 0.82))


@pytest.fixture
def brightness(tmp_path):
    """Return the descriptor of a model whose result is wrong where the image is dark."""
    return save_brightness(tmp_path)


def test_each_kind_of_wrong_result_is_told(start, peer, operator, brightness):
    server = start('server', {'model': brightness})
    results = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image')
    assert len(camera.result(RIGHT, results).detections) == 1
    operator.wait(MODEL, 'OK', 'brightness on CPU', results_with_a_class_beyond_the_labels='0')

    msg = camera.result(BEYOND, results)
    assert [row.results[0].hypothesis.class_id for row in msg.detections] == ['9']
    values = operator.wait(MODEL, 'WARN', 'brightness: [1-9] results had a class beyond the '
                           'labels, the last one 9, while they end at 1')
    assert int(values['results with a class beyond the labels']) >= 1

    for _ in range(30):
        assert camera.result(INVERTED, results).detections == []
    values = operator.wait(MODEL, 'WARN', r'\d\d of the last \d\d boxes are inverted or mostly '
                           'outside of the image, before they are clipped')
    assert int(values['boxes inverted or outside of the image']) >= 30

    # A score that is no probability is no result.
    since, sent = len(results), camera.message(LOGIT)
    camera.send(sent)
    operator.wait(INFERENCE, 'ERROR', 'a score is 2, but scores are from 0 to 1')
    values = operator.wait(MODEL, 'WARN', 'results had a score outside of 0 to 1 and were not '
                           'published, the last one 2: if the model returns logits, set output.'
                           'activation')
    assert int(values['scores outside of 0 to 1']) >= 1
    assert all(msg.header != sent.header for msg in results[since:])
    assert len(camera.result(RIGHT, results).detections) == 1

    log = server.stop()
    for words in ('class beyond the labels', 'boxes are inverted', 'had a score outside of 0'):
        assert len([line for line in log.splitlines()
                    if words in line and 'WARN' in line]) == 1, words


def test_one_result_for_all_images_is_told_until_the_model_changes(
        start, peer, operator, detector):
    server = start('server', {'model': detector})
    results = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image')
    # A still camera is not accused.
    for _ in range(15):
        camera.result((200, 10, 10), results)
    operator.wait(MODEL, 'OK', 'boxes on', images_with_the_result_of_another_one='[01]')
    for number in range(11):
        camera.result((20 * number, 255 - 20 * number, 100), results)
    operator.wait(MODEL, 'WARN', r'boxes: \d+ different images of /image in a row had the same '
                  'result; input.scale, mean and std', images_with_the_result_of_another_one='1.')
    assert peer.set_values(model=str(detector)) == []
    operator.wait(MODEL, 'OK', 'boxes on', images_with_the_result_of_another_one='0')
    server.stop()
