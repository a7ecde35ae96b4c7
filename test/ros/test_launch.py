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

"""The launch files, run by launch itself: arguments, what they start, and how it ends."""

import os
from pathlib import Path
import re
import runpy
import signal
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

WHY = 'launch and launch_ros are not installed: they come with a ROS 2 installation'
pytest.importorskip('launch', reason=WHY)
pytest.importorskip('launch_ros', reason=WHY)

from ament_index_python.packages import (  # noqa: E402,I100 - only where launch is
    get_package_prefix, PackageNotFoundError)
from launch import LaunchContext  # noqa: E402
from launch.actions import (  # noqa: E402
    DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, SetEnvironmentVariable)
from launch.launch_description_sources import AnyLaunchDescriptionSource  # noqa: E402
from launch_ros.actions import LifecycleNode, Node  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from ros2_classify.ros.rviz_layout import layout  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

DIRECTORY = Path(__file__).resolve().parents[2] / 'launch'
FILES = ('camera_pipeline.launch.py', 'rviz.launch.py', 'playback.launch.py',
         'camera_pipeline.launch.xml')

# Runs a launch file like `ros2 launch`, which need not be installed.
RUN = """
import signal, sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
# The parent process may have had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    AnyLaunchDescriptionSource(sys.argv[1]),
    launch_arguments=[word.split(':=', 1) for word in sys.argv[2:]])]))
sys.exit(service.run())
"""


@pytest.fixture
def installed():
    """Skip where the package isn't installed for ament: launch finds its nodes by the index."""
    try:
        get_package_prefix('ros2_classify')
    except (PackageNotFoundError, KeyError, EnvironmentError):
        pytest.skip('ros2_classify is not installed by colcon, or its setup file not sourced')


def description(name):
    """Return a launch file's description."""
    source = AnyLaunchDescriptionSource(str(DIRECTORY / name))
    return source.get_launch_description(LaunchContext())


def arguments(name):
    """Return the arguments of a launch file and of those it includes, by name."""
    return {each.name: each for each in description(name).get_launch_arguments()}


def started(**given):
    """Return the nodes, the variables and all actions that come of these arguments."""
    context = LaunchContext()
    actions = description('camera_pipeline.launch.py').entities
    for action in actions:
        if isinstance(action, DeclareLaunchArgument):
            context.launch_configurations.update(
                {name: value for name, value in given.items() if name == action.name})
            action.execute(context)
    function, = [action for action in actions if isinstance(action, OpaqueFunction)]
    inner = function.execute(context)
    nodes = {action.node_package if not isinstance(action, LifecycleNode) else 'server': action
             for action in inner if isinstance(action, Node)}
    variables = {
        ''.join(part.text for part in action.name): ''.join(part.text for part in action.value)
        for action in inner if isinstance(action, SetEnvironmentVariable)}
    return nodes, variables, inner


@pytest.mark.parametrize('name', FILES)
def test_every_argument_is_described(installed, name):
    found = arguments(name)
    assert {'model', 'driver', 'image_topic', 'namespace', 'params_file', 'compressed',
            'video_device', 'log_level', 'lifecycle', 'dds_profile', 'source', 'composed',
            'image_topics'} <= set(found)
    for argument in found.values():
        assert len(argument.description) > 15 and argument.description != 'no description given'


def test_only_the_playback_must_be_told_something(installed):
    for name in FILES:
        needed = {each.name for each in arguments(name).values() if not each.default_value}
        assert needed == ({'source'} if name.startswith('playback') else set()), name


def test_playback_ends_by_itself_and_always_plays():
    included = [each for each in description('playback.launch.py').entities
                if isinstance(each, IncludeLaunchDescription)]
    assert [dict(each.launch_arguments) for each in included] == [{'driver': 'camera'}] * 2
    assert all(each.condition is not None for each in included)


class RecordingNode(Node):
    """A node action that remembers what it was made with."""

    def __init__(self, **given):
        super().__init__(**given)
        self.given = given


@pytest.mark.parametrize(('driver', 'executable', 'topic', 'parameters'), [
    ('v4l2_camera', 'v4l2_camera_node', 'image_raw', {
        'video_device': '/dev/video2', 'camera_frame_id': 'front', 'image_size': [640, 480],
        'time_per_frame': [1000, 15000]}),
    ('usb_cam', 'usb_cam_node_exe', 'image_raw', {
        'video_device': '/dev/video2', 'frame_id': 'front', 'image_width': 640,
        'image_height': 480, 'framerate': 15.0}),
    ('image_tools', 'cam2image', 'image', {
        'device_id': 2, 'frame_id': 'front', 'width': 640, 'height': 480, 'frequency': 15.0,
        'depth': 1}),
    ('camera', 'camera', 'image', {
        'source': '', 'loop': True, 'rate': 15.0, 'width': 640, 'height': 480,
        'frame_id': 'front'})])
def test_drivers(monkeypatch, driver, executable, topic, parameters):
    # They need not be installed for this.
    monkeypatch.setattr('ament_index_python.packages.get_package_prefix', lambda _: '/')
    monkeypatch.setattr('launch_ros.actions.Node', RecordingNode)
    nodes, _, _ = started(
        driver=driver, image_topic='front/image', video_device='/dev/video2',
        width='640', height='480', rate='15', frame_id='front', namespace='robot')
    assert len(nodes) == 2
    given = nodes['ros2_classify' if driver == 'camera' else driver].given
    assert (given['executable'], given['namespace']) == (executable, 'robot')
    assert given['parameters'] == [parameters]
    assert given['remappings'][0] == (topic, 'front/image')
    # Our own node and the server remap the compressed topic themselves, after the raw one.
    if driver != 'camera':
        assert (f'{topic}/compressed', 'front/image/compressed') in given['remappings']


def test_image_tools_has_its_limits(monkeypatch):
    monkeypatch.setattr('ament_index_python.packages.get_package_prefix', lambda _: '/')
    with pytest.raises(RuntimeError, match='sends no compressed images'):
        started(driver='image_tools', compressed='true')
    with pytest.raises(RuntimeError, match="numbered camera .*, not '/dev/v4l/by-id/x'"):
        started(driver='image_tools', video_device='/dev/v4l/by-id/x')


@pytest.mark.parametrize('text', [
    '/front/image,/rear/image', '[/front/image, /rear/image]', '/front/image /rear/image'])
def test_several_cameras(monkeypatch, text):
    class Recording(LifecycleNode):
        """A server action that remembers what it was made with."""

        def __init__(self, **given):
            super().__init__(**given)
            self.given = given

    monkeypatch.setattr('launch_ros.actions.LifecycleNode', Recording)
    nodes, _, _ = started(driver='none', image_topics=text)
    assert nodes['server'].given['parameters'][1]['image_topics'] == [
        '/front/image', '/rear/image']
    nodes, _, _ = started(driver='none')
    assert 'image_topics' not in nodes['server'].given['parameters'][1]


def test_both_in_one_process(monkeypatch):
    monkeypatch.setattr('launch_ros.actions.Node', RecordingNode)
    nodes, _, _ = started(
        composed='true', model='m.yaml', namespace='robot', image_topic='front/image', rate='5')
    node, = nodes.values()
    assert node.given['executable'] == 'composed' and 'name' not in node.given
    assert node.given['namespace'] == 'robot'
    assert node.given['parameters'][1]['model'] == 'm.yaml'
    assert node.given['parameters'][2]['rate'] == 5.0
    with pytest.raises(RuntimeError, match='takes driver:=camera, not none'):
        started(composed='true', driver='none')
    with pytest.raises(RuntimeError, match='lifecycle:=node or external'):
        started(composed='true', lifecycle='launch')


def test_the_server_alone():
    nodes, _, _ = started(driver='none')
    assert list(nodes) == ['server']


@pytest.mark.parametrize(('given', 'message'), [
    ({'driver': 'v4l2_camera'}, 'driver:=v4l2_camera needs the package v4l2_camera.*apt'),
    ({'rate': 'fast'}, "rate is 'fast' but must be a number of 0 or more"),
    ({'rate': 'nan'}, "rate is 'nan' but must be a number of 0 or more"),
    ({'width': '-1'}, "width is '-1' but must be a whole number"),
    ({'params_file': '/nowhere.yaml'}, "there is no file '/nowhere.yaml'"),
    ({'dds_profile': '/nowhere.xml'}, 'must be auto, none or an existing file'),
])
def test_wrong_arguments_are_named(given, message):
    with pytest.raises(RuntimeError, match=message):
        started(**given)


def test_the_profile_of_all_processes(monkeypatch, tmp_path):
    from ros2_classify.ros.node import dds_profile

    for name in dds_profile.CHOICES:
        monkeypatch.delenv(name, raising=False)
    variable = dds_profile.variable(os.environ)
    _, variables, inner = started()
    assert variables == {variable: str(dds_profile.profile_file())}
    # Set before anything starts.
    kinds = [type(action) for action in inner]
    assert kinds.index(SetEnvironmentVariable) < kinds.index(LifecycleNode)
    own = tmp_path / 'own.xml'
    own.touch()
    assert started(dds_profile=str(own))[1] == {variable: str(own)}
    assert started(dds_profile='none')[1] == {
        'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'}
    monkeypatch.setenv('FASTDDS_BUILTIN_TRANSPORTS', 'LARGE_DATA')
    assert started()[1] == {}


class Launched:
    """A launch file in a process of its own."""

    def __init__(self, name, *words):
        self.process = subprocess.Popen(
            [sys.executable, '-c', RUN, str(DIRECTORY / name), *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.output = ''
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def wait(self):
        """Wait for the end and return the exit code."""
        try:
            code = self.process.wait(40)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'still running:\n{self.output}') from None
        self._reader.join(10)
        return code


@pytest.fixture
def launch(installed):
    """Return a function that runs a launch file; all it started has ended after the test."""
    running = []

    def run(*words):
        running.append(Launched(*words))
        return running[-1]

    yield run
    for each in running:
        if each.process.poll() is None:
            # launch ends its processes before it ends itself.
            each.process.send_signal(signal.SIGINT)
            each.wait()


@pytest.fixture
def images(tmp_path):
    """Return a directory of ten green images."""
    for number in range(10):
        cv2.imwrite(str(tmp_path / f'{number}.png'),
                    np.full((48, 64, 3), (60, 200, 10 + number), np.uint8))
    return tmp_path


def test_a_pipeline_runs_until_it_is_interrupted(launch, peer, classifier, images):
    results = peer.collect(
        Classification, '/robot/classification', qos_profile_sensor_data)
    run = launch('camera_pipeline.launch.xml', f'model:={classifier}', f'source:={images}',
                 'namespace:=robot', 'image_topic:=front/image', 'frame_id:=front', 'rate:=50.0',
                 'compressed:=true', 'lifecycle:=launch')
    peer.spin_until(lambda: len(results) >= 5, 'results')
    assert {msg.header.frame_id for msg in results} == {'front'}
    assert {msg.results[0].class_id for msg in results} == {'green'}
    assert peer.state('/robot/server') == 'active'
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0, run.output
    assert '/robot/front/image/compressed -> /robot/classification' in run.output
    assert run.output.count('process has finished cleanly') == 2, run.output


@pytest.mark.parametrize('composed', [False, True])
def test_a_directory_is_played_to_its_end(launch, detector, images, composed):
    run = launch('playback.launch.py', f'model:={detector}', f'source:={images}', 'rate:=20.0',
                 f'composed:={str(composed).lower()}')
    assert run.wait() == 0, run.output
    assert '10 images published, that was the last one' in run.output
    received = re.search(r'stopped: (\d+) frames received', run.output)
    assert received and int(received[1]) >= 8, run.output
    assert run.output.count('process has finished cleanly') == 2 - composed, run.output


@pytest.mark.parametrize('lifecycle', ['node', 'launch'])
def test_a_server_that_fails_ends_the_launch_with_a_failure(launch, images, lifecycle):
    run = launch('camera_pipeline.launch.py', 'model:=nonesuch', f'source:={images}',
                 f'lifecycle:={lifecycle}')
    assert run.wait() == 1, run.output
    assert "there is no model named 'nonesuch'" in run.output


def test_a_manager_may_drive_the_server(launch, peer, classifier, images):
    results = peer.collect(Classification, '/classification', qos_profile_sensor_data)
    launch('camera_pipeline.launch.py', f'model:={classifier}', f'source:={images}',
           'lifecycle:=external', 'log_level:=warn')
    assert peer.state() == 'unconfigured'
    assert peer.transition('configure') and peer.transition('activate')
    peer.spin_until(lambda: results, 'a result')


def test_arguments_win_over_the_parameters_file(launch, peer, classifier, images, tmp_path):
    path = tmp_path / 'params.yaml'
    path.write_text('/**:\n  server:\n    ros__parameters:\n      model: nonesuch\n'
                    '      score_threshold: 0.125\n')
    launch('camera_pipeline.launch.py', f'model:={classifier}', f'params_file:={path}',
           'driver:=none')
    peer.spin_until(lambda: peer.state() == 'active', 'the server')
    assert peer.get('score_threshold') == 0.125


# A server's lifecycle without a server: the first requests of each kind get no response.
FORGETFUL = """#!{python}
import rclpy
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.task import Future

rclpy.init()
node = rclpy.create_node('server')
state = ['unconfigured']
IDS = dict(unconfigured=1, inactive=2, active=3)
events = node.create_publisher(TransitionEvent, 'server/transition_event', 10)
seen = []


async def change(request, response):
    seen.append(request.transition.id)
    print('asked for', request.transition.id, flush=True)
    if seen.count(request.transition.id) == 1:
        await Future()
    goals = {{('unconfigured', 1): 'inactive', ('inactive', 3): 'active'}}
    goal = goals.get((state[0], request.transition.id))
    response.success = goal is not None
    if goal is not None:
        state[0] = goal
    return response


async def get(request, response):
    response.current_state = State(id=IDS[state[0]], label=state[0])
    return response

node.create_service(ChangeState, 'server/change_state', change,
                    callback_group=ReentrantCallbackGroup())
node.create_service(GetState, 'server/get_state', get)
executor = SingleThreadedExecutor()
executor.add_node(node)
try:
    while state[0] != 'active':
        executor.spin_once(timeout_sec=0.1)
    print('it is active', flush=True)
    for _ in range(10):
        executor.spin_once(timeout_sec=0.1)
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""


def test_lost_requests_are_repeated(tmp_path, ros):
    from importlib.util import module_from_spec, spec_from_file_location

    from launch import LaunchDescription, LaunchService
    from launch.actions import RegisterEventHandler, Shutdown
    from launch.event_handlers import OnProcessIO

    spec = spec_from_file_location('pipeline', DIRECTORY / 'camera_pipeline.launch.py')
    pipeline = module_from_spec(spec)
    spec.loader.exec_module(pipeline)
    program = tmp_path / 'server'
    program.write_text(FORGETFUL.format(python=sys.executable))
    program.chmod(0o755)
    server = LifecycleNode(
        executable=str(program), name='server', namespace='',
        on_exit=Shutdown())
    written = []
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription([
        RegisterEventHandler(OnProcessIO(
            target_action=server, on_stdout=lambda event: written.append(event.text.decode()))),
        *pipeline.drive(server), server]))
    stop = threading.Timer(60.0, service.shutdown)
    stop.start()
    try:
        service.run()
    finally:
        stop.cancel()
    text = ''.join(written)
    assert 'it is active' in text, text
    assert text.count('asked for 1\n') >= 2 and text.count('asked for 3\n') >= 2, text


def test_rviz_shows_an_image_of_each_camera():
    import yaml

    context = LaunchContext()
    config = DIRECTORY.parent / 'rviz' / 'annotated_image.rviz'
    context.launch_configurations.update(
        namespace='robot', rviz_config=str(config),
        image_topics='[/front/image_raw, rear/image_raw/compressed, /image]')
    function, = [each for each in description('rviz.launch.py').entities
                 if isinstance(each, OpaqueFunction)]
    node, = function.execute(context)
    assert not node._Node__remappings
    path = Path(node._Node__arguments[1])
    copied = yaml.safe_load(path.read_text())
    path.unlink()
    shown = copied['Visualization Manager']['Displays']
    names = [each['Name'] for each in shown]
    window = copied['Window Geometry']
    assert window['QMainWindow State'] == layout(names, 1280, 800)
    assert {*names, 'Displays'} == {name for name in window if isinstance(window[name], dict)}
    assert [(each['Name'], each['Topic']['Value']) for each in shown] == [
        ('Annotated image /front', '/front/server/debug_image'),
        ('Annotated image /robot/rear', '/robot/rear/server/debug_image'),
        ('Annotated image', '/server/debug_image')]
    assert all(each['Class'] == 'rviz_default_plugins/Image' for each in shown)
    context.launch_configurations['image_topics'] = ''
    node, = function.execute(context)
    assert node._Node__arguments[1] == str(config)
    # With positions: another file, in their frame.
    context.launch_configurations.update(depth_topic='depth', frame_id='eye')
    node, = function.execute(context)
    assert node._Node__arguments == [
        '-d', str(config.with_name('detections_3d.rviz')), '--fixed-frame', 'eye']
    context.launch_configurations.update(depth_topic='', ground_frame='floor')
    node, = function.execute(context)
    assert node._Node__arguments[3] == 'floor'
    shown = yaml.safe_load(Path(node._Node__arguments[1]).read_text())
    topics = {each['Class'].partition('/')[2]: each['Topic']['Value']
              for each in shown['Visualization Manager']['Displays'] if 'Topic' in each}
    assert topics == {'MarkerArray': '/server/markers', 'PointCloud2': '/points',
                      'Image': '/server/debug_image'}


def test_filters_are_parameters_of_the_server():
    file = runpy.run_path(str(Path(__file__).parents[2] / 'launch/camera_pipeline.launch.py'))
    context = LaunchContext()
    for argument in file['ARGUMENTS']:
        argument.execute(context)
    assert not {'classes', 'max_rate', 'tiles'} & set(
        file['server_parameters'](file['Settings'](context))[1])
    context.launch_configurations.update(
        classes='person, traffic light', max_rate='5', tiles='3x2')
    _, parameters = file['server_parameters'](file['Settings'](context))
    assert {name: parameters[name] for name in ('classes', 'max_rate', 'tiles')} == {
        'classes': ['person', 'traffic light'], 'max_rate': 5.0, 'tiles': '3x2'}
