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

"""What the launch files hand to RViz2 and to the server, checked without launch."""

from pathlib import Path
import re
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_rviz_shows_the_annotated_image_as_sensor_data():
    config = yaml.safe_load((ROOT / 'rviz' / 'annotated_image.rviz').read_text())
    display, = config['Visualization Manager']['Displays']
    assert display['Class'] == 'rviz_default_plugins/Image'
    # The saved layout of the window holds a dock of the display's name.
    layout = bytes.fromhex(config['Window Geometry']['QMainWindow State'])
    assert display['Name'].encode('utf-16-be') in layout
    assert display['Enabled'] is True and display['Value'] is True
    assert display['Topic'] == {
        'Value': '/server/debug_image', 'Depth': 1, 'History Policy': 'Keep Last',
        'Reliability Policy': 'Best Effort', 'Durability Policy': 'Volatile'}
    # The window's own entry must name the display, or the image stays hidden.
    assert display['Name'] in config['Window Geometry']


def test_the_parameters_file_names_parameters_that_exist():
    parameters = pytest.importorskip(
        'ros2_classify.ros.server.parameters', reason='rclpy is not installed').PARAMETERS
    specs = {spec.name: spec for spec in parameters}
    text = (ROOT / 'config' / 'server.yaml').read_text()
    given = yaml.safe_load(text)['/**']['server']['ros__parameters']
    for name, value in given.items():
        assert type(value) is type(specs[name].default), name
        assert not specs[name].choices or value in specs[name].choices
    # Those that are commented out are an offer.
    for name in re.findall(r'^ {6}# (\w+): [\d.]+$', text, re.MULTILINE):
        assert specs[name].from_model


def test_the_xml_file_includes_the_python_one():
    root = ElementTree.parse(ROOT / 'launch' / 'camera_pipeline.launch.xml').getroot()
    include = root.find('include')
    assert include.get('file') == (
        '$(find-pkg-share ros2_classify)/launch/camera_pipeline.launch.py')
    python = (ROOT / 'launch' / 'camera_pipeline.launch.py').read_text()
    for argument in include.findall('arg'):
        assert f"'{argument.get('name')}'" in python
        assert argument.get('value') == f'$(var {argument.get("name")})'
