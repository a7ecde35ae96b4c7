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

"""Large images between processes, and when the profile for them is taken."""

import os
from pathlib import Path
import re
import shutil
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from ros2_classify.ros.node import dds_profile
from ros2_classify.ros.node.dds_profile import environment, NEW_VARIABLE, OLD_VARIABLE
from sensor_msgs.msg import Image

PROFILE = Path(__file__).resolve().parents[3] / 'config' / 'fastdds.xml'


def test_the_profile_is_the_default_and_holds_a_image_of_four_thousand_columns():
    names = {'dds': 'http://www.eprosima.com'}
    root = ElementTree.parse(PROFILE).getroot()
    shared_memory, udp = root.findall('.//dds:transport_descriptor', names)
    assert shared_memory.findtext('dds:type', None, names) == 'SHM'
    assert udp.findtext('dds:type', None, names) == 'UDPv4'
    segment = int(shared_memory.findtext('dds:segment_size', '', names))
    longest = int(shared_memory.findtext('dds:maxMessageSize', '', names))
    assert 3840 * 2160 * 3 < longest <= segment
    # Two processes must find room in a container's 64 MB.
    assert 2 * segment < 64 * 10**6
    participant = root.find('.//dds:participant', names)
    assert participant.get('is_default_profile') == 'true'
    used = [each.text for each in participant.findall('.//dds:userTransports/*', names)]
    assert used == [each.findtext('dds:transport_id', None, names)
                    for each in (shared_memory, udp)]


@pytest.mark.parametrize(('distro', 'variable'), [
    ('humble', OLD_VARIABLE), ('jazzy', OLD_VARIABLE), ('kilted', NEW_VARIABLE),
    ('lyrical', NEW_VARIABLE), ('rolling', NEW_VARIABLE)])
def test_the_distribution_decides_the_variable(distro, variable):
    assert environment({'ROS_DISTRO': distro}) == {variable: str(PROFILE)}


@pytest.mark.parametrize(('version', 'variable'), [
    ('3.3.16', OLD_VARIABLE), ('7.1.6', OLD_VARIABLE), ('9.1.2', NEW_VARIABLE),
    ('unknown', NEW_VARIABLE)])
def test_without_its_name_the_version_decides(monkeypatch, version, variable):
    monkeypatch.setattr('importlib.metadata.version', lambda _: version)
    assert list(environment({})) == [variable]


@pytest.mark.parametrize('chosen', [
    {OLD_VARIABLE: '/my.xml'}, {NEW_VARIABLE: '/my.xml'},
    {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}, {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}])
def test_the_choice_of_the_user_stays(chosen):
    assert environment({'ROS_DISTRO': 'jazzy', **chosen}) == {}


def test_a_profile_in_the_working_directory_stays(monkeypatch, tmp_path):
    (tmp_path / 'DEFAULT_FASTRTPS_PROFILES.xml').touch()
    monkeypatch.chdir(tmp_path)
    assert environment({'ROS_DISTRO': 'jazzy'}) == {}


def test_an_install_without_shared_files_has_no_profile(monkeypatch):
    monkeypatch.setattr(dds_profile, 'shipped_directory', lambda: None)
    assert dds_profile.profile_file() is None and environment({}) == {}


def test_this_process_takes_it(monkeypatch):
    for name in dds_profile.CHOICES:
        monkeypatch.setenv(name, '')
    assert dds_profile.use() == PROFILE
    assert environment() == {}


def test_a_receiver_has_only_a_smaller_segment(monkeypatch):
    small = PROFILE.with_name('fastdds_receiver.xml')
    whole, part = (re.sub('<!--.*?-->', '', path.read_text(), flags=re.DOTALL)
                   for path in (PROFILE, small))
    assert part == whole.replace('25165824', str(8 * 2**20)) != whole
    # An annotated image of 1920x1080 has room in it.
    assert 1920 * 1080 * 3 < 8 * 2**20
    for name in dds_profile.CHOICES:
        monkeypatch.setenv(name, '')
    assert dds_profile.use(receiver=True) == small
    # The profile that a launch file has set for all processes is no choice of the user's.
    monkeypatch.setenv(dds_profile.variable(os.environ), str(PROFILE))
    assert dds_profile.use(receiver=True) == small
    assert os.environ[dds_profile.variable(os.environ)] == str(small)


def test_a_receiver_leaves_the_user_s_own_profile(monkeypatch):
    monkeypatch.setenv(dds_profile.variable(os.environ), '/my.xml')
    assert dds_profile.use(receiver=True) is None
    assert os.environ[dds_profile.variable(os.environ)] == '/my.xml'


def test_best_effort_images_of_full_hd_arrive(start, peer, tmp_path):
    """The camera takes the profile by itself; it is the sender that needs it."""
    pattern = np.tile(np.arange(1920, dtype=np.uint16).astype(np.uint8)[:, None], (1080, 1, 3))
    assert cv2.imwrite(str(tmp_path / '0.png'), pattern, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    for number in range(1, 20):
        shutil.copy(tmp_path / '0.png', tmp_path / f'{number}.png')
    images = peer.collect(Image, '/image', qos_profile_sensor_data)
    camera = start('camera', {
        'source': tmp_path, 'loop': False, 'rate': 10.0,
        'qos_overrides./image.publisher.reliability': 'best_effort'})
    peer.spin_until(lambda: camera.process.poll() is not None, "the camera's end")
    assert camera.wait() == 0
    # With the middleware's defaults it is one or two of them.
    assert len(images) >= 15
    assert all(np.array_equal(np.frombuffer(msg.data, np.uint8), pattern.ravel())
               for msg in images[::5])
    # A profile that can't be read would be told of here.
    assert 'XML' not in camera.output and 'Error' not in camera.output, camera.output
    assert '20 images published' in camera.output
