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

import importlib.util
from pathlib import Path
import re
import sys
from types import ModuleType
from xml.etree import ElementTree

import pytest
from ros2_classify.ros.node.spec import problem
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


class Anything(ModuleType):
    """A module of launch, which is not installed everywhere: every name is a class."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return type(name, (), {'__init__': lambda self, *args, **more: self.__dict__.update(
            args=args, **more)})


class Configuration:
    """A launch argument; the context of these tests is a dictionary."""

    def __init__(self, name):
        self._name = name

    def perform(self, context):
        return context[self._name]


@pytest.fixture
def pipeline(monkeypatch):
    """Return the launch file as a module, without launch."""
    pytest.importorskip('rclpy')
    for name in ('launch', 'launch.action', 'launch.actions', 'launch.event_handlers',
                 'launch.events', 'launch.events.process', 'launch.substitutions', 'launch_ros',
                 'launch_ros.actions', 'launch_ros.event_handlers', 'launch_ros.events',
                 'launch_ros.events.lifecycle', 'launch_ros.ros_adapters'):
        monkeypatch.setitem(sys.modules, name, Anything(name))
    sys.modules['launch.substitutions'].LaunchConfiguration = Configuration
    path = ROOT / 'launch' / 'camera_pipeline.launch.py'
    spec = importlib.util.spec_from_file_location('pipeline_without_launch', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments(pipeline, **given):
    """Return the values of all arguments: those given, else their defaults."""
    values = {each.args[0]: each.default_value for each in pipeline.ARGUMENTS}
    assert not given.keys() - values.keys()
    return {**values, 'params_file': str(ROOT / 'config' / 'server.yaml'), **given}


def test_arguments_that_are_not_given_follow_the_parameters_file(pipeline):
    _, parameters = pipeline.server_parameters(pipeline.Settings(arguments(pipeline)))
    assert parameters == {'autostart': True}


@pytest.mark.parametrize(('argument', 'text', 'value'), [
    ('tracking', 'true', True), ('tracking', 'false', False),
    ('event_lines', 'door=0.5,0,0.5,1; exit=0,0.5,1,0.5',
     ['door=0.5,0,0.5,1', 'exit=0,0.5,1,0.5']),
    ('event_zones', 'desk=0,0,1,0,1,1@2', ['desk=0,0,1,0,1,1@2']),
    ('web', '127.0.0.1:8080', '127.0.0.1:8080'),
    ('roi', '0,0.5,1,1', [0.0, 0.5, 1.0, 1.0]), ('classes', 'cup, ball', ['cup', 'ball']),
    ('max_rate', '5', 5.0), ('tiles', '3x2', '3x2'),
    ('depth_topic', '/depth', '/depth'), ('camera_info_topic', '/info', '/info'),
    ('target_frame', 'map', 'map'), ('ground_frame', 'floor', 'floor'),
])
def test_arguments_of_the_server(pipeline, argument, text, value):
    settings = pipeline.Settings(arguments(pipeline, **{argument: text}))
    _, parameters = pipeline.server_parameters(settings)
    assert parameters == {'autostart': True, argument: value}
    from ros2_classify.ros.server.specs import PARAMETERS

    spec, = (spec for spec in PARAMETERS if spec.name == argument)
    assert type(value) is type(spec.default)
    assert not problem(spec, value)
    # What a user may set is documented.
    assert f'`{argument}`' in (ROOT / 'docs' / 'launch.md').read_text()


@pytest.mark.parametrize('given', [{'roi': '0,a,1,1'}, {'max_rate': 'fast'}, {'rate': '-1'}])
def test_numbers_are_checked(pipeline, given):
    name, = given
    with pytest.raises(RuntimeError, match=f'{name} is .* but must be a number of 0 or more'):
        pipeline.Settings(arguments(pipeline, **given))
