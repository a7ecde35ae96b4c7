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

"""A server beside a cv_bridge that ends its process with a segmentation fault."""

from array import array
import os

import numpy as np
import pytest
from ros_process import ROOT
from ros_stream import Camera
from vision_msgs.msg import Classification

GREEN = (10, 200, 60)

# Built for NumPy 1, it prints a text and crashes at the first conversion of some encodings.
BROKEN = """
import os
import sys
print('A module that was compiled using NumPy 1.x cannot be run in NumPy 2', file=sys.stderr)


class CvBridge:
    def imgmsg_to_cv2(self, msg, encoding):
        os.kill(os.getpid(), 11)
"""


@pytest.fixture
def environment(tmp_path):
    """Return the environment of a server that finds this cv_bridge."""
    boost = tmp_path / 'cv_bridge' / 'boost'
    boost.mkdir(parents=True)
    (boost.parent / '__init__.py').write_text(BROKEN)
    (boost / '__init__.py').write_text('')
    (boost / 'cv_bridge_boost.py').write_text('')
    return {'PYTHONPATH': os.pathsep.join([str(tmp_path), str(ROOT)])}


def yuv422(msg, encoding):
    """Return a green image in this encoding, or of this name, from one of another one."""
    u, y0, v, y1 = 54, 145, 34, 145
    row = np.tile(np.array([u, y0, v, y1], np.uint8), msg.width // 2)
    msg.data = array('B', np.tile(row, (msg.height, 1)).tobytes())
    msg.step, msg.encoding = 2 * msg.width, encoding
    return msg


def test_the_server_lives_and_says_which_one_converts(
        start, peer, operator, classifier, environment):
    server = start('server', {'model': classifier}, environment=environment)
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.result(GREEN, results)
    # Only cv_bridge could know it, and may not be asked.
    camera.send(yuv422(camera.message(GREEN), 'yuv422_of_a_camera'))
    server.wait_for_line("unusable image on /image: unknown encoding 'yuv422_of_a_camera'")
    result = camera.result_to(yuv422(camera.message(GREEN), 'yuv422'), results)
    assert result.results[0].class_id == 'green'
    operator.wait('server: inference', 'OK', 'results per second',
                  image_backend='opencv.*built for another NumPy.*SIGSEGV.*')
    server.stop()


def test_a_server_that_must_use_it_says_why_it_does_not(start, peer, classifier, environment):
    server = start('server', {'model': classifier, 'image_backend': 'cv_bridge'},
                   environment=environment)
    server.wait_for_line(
        'image_backend is cv_bridge, but it cannot be used: it was built for another NumPy.*'
        'SIGSEGV.*doctor.*or set image_backend to auto')
    assert server.wait() != 0
