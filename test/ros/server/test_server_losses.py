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


"""Images lost in the middleware, between real processes."""

import re

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Classification


@pytest.fixture
def large_image(tmp_path):
    """Return an image that is twelve times the segment that Fast DDS has by default."""
    path = tmp_path / 'large.png'
    cv2.imwrite(str(path), np.zeros((1080, 1920, 3), np.uint8))
    return path


def test_the_server_warns_of_a_camera_without_the_profile(
        start, peer, classifier, large_image):
    server = start('server', {'model': classifier})
    peer.collect(Classification, '/classification')
    camera = start('camera', {'source': large_image, 'rate': 30.0,
                              'qos_overrides./image.publisher.reliability': 'best_effort'},
                   environment={'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'})
    line = server.wait_for_line(r'\d+ of \d+ images of the last \d+ s did not arrive')
    assert 'images lost on /image:' in line
    assert re.search('have the camera publish reliably.*config/fastdds.xml', line), line
    assert 'compressed' in line
    camera.stop()
    server.stop()


def test_the_server_says_nothing_where_it_is_slow_itself(start, peer, classifier, large_image):
    server = start('server', {'model': classifier, 'image_transport': 'compressed'})
    results = peer.collect(Classification, '/classification', 1000)
    images = peer.collect(CompressedImage, '/image/compressed', 1)
    # Far more than can be decoded: most are replaced by newer ones before their turn.
    camera = start('camera', {'source': large_image, 'rate': 300.0, 'wait_for_subscribers': 2})
    peer.spin_until(lambda: len(images) > 1000 and len(results) > 100, 'many images')
    camera.stop()
    counts = server.stop()
    assert 'did not arrive' not in counts
    assert ' 0 replaced' not in counts
