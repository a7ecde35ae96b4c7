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

"""
Start a camera driver and the server.

The driver is an argument; with ``driver:=none`` only the server starts, for images of cameras
that run elsewhere.
"""

from collections.abc import Callable
import math
from pathlib import Path
import re

from ament_index_python.packages import get_package_prefix, PackageNotFoundError
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable,
    Shutdown, TimerAction)
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.ros_adapters import get_ros_node
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import GetState
from ros2_classify.ros.node import dds_profile

SHARE = Path(__file__).parent.parent

# Seconds between two looks at the server's state while it is driven to be active.
LOOK_AGAIN = 3.0

# Parameters of the server by the same names.
POSITIONS = ('depth_topic', 'camera_info_topic', 'target_frame', 'ground_frame')

ARGUMENTS = (
    DeclareLaunchArgument(
        'driver', default_value='camera',
        choices=['camera', 'v4l2_camera', 'usb_cam', 'image_tools', 'none'],
        description="Source of the images: this package's camera node, the camera driver of the "
                    'named package (image_tools: cam2image), or none'),
    DeclareLaunchArgument(
        'model', default_value='',
        description='Model to run: a name from the catalogue, a descriptor file (.yaml) or a '
                    'model file (.onnx); empty: that of params_file'),
    DeclareLaunchArgument(
        'image_topic', default_value='image',
        description='Image topic from the camera to the server, relative to namespace'),
    DeclareLaunchArgument(
        'image_topics', default_value='',
        description='Image topics of several cameras, separated by commas, replacing image_topic; '
                    'usually with driver:=none'),
    DeclareLaunchArgument(
        'compressed', default_value='false', choices=['true', 'false'],
        description='Use compressed images, from image_topic/compressed; camera drivers then need '
                    'image_transport_plugins'),
    DeclareLaunchArgument(
        'composed', default_value='false', choices=['true', 'false'],
        description='Run driver:=camera and the server in one process; images then bypass the '
                    'middleware'),
    DeclareLaunchArgument(
        'namespace', default_value='', description='Namespace of all nodes'),
    DeclareLaunchArgument(
        'params_file', default_value=str(SHARE / 'config' / 'server.yaml'),
        description="File with the server's parameters"),
    DeclareLaunchArgument(
        'lifecycle', default_value='node', choices=['node', 'launch', 'external'],
        description='What configures and activates the server: the node itself, this launch '
                    'file, or an external lifecycle manager'),
    DeclareLaunchArgument(
        'video_device', default_value='/dev/video0',
        description='Device of the drivers v4l2_camera, usb_cam and image_tools'),
    DeclareLaunchArgument(
        'source', default_value='',
        description='Source of driver:=camera: an image, a directory, a video file or a webcam '
                    '(0, /dev/video0); empty: the sample images of this package'),
    DeclareLaunchArgument(
        'loop', default_value='true', choices=['true', 'false'],
        description='Start again after the last image of driver:=camera; false: shut down after '
                    'it'),
    DeclareLaunchArgument(
        'rate', default_value='0.0',
        description='Images per second; 0: automatic'),
    DeclareLaunchArgument(
        'width', default_value='0',
        description='Image width in pixels; 0: that of the camera'),
    DeclareLaunchArgument(
        'height', default_value='0',
        description='Image height in pixels; 0: that of the camera'),
    DeclareLaunchArgument(
        'frame_id', default_value='camera', description='Frame id of the images'),
    DeclareLaunchArgument(
        'depth_topic', default_value='',
        description='Depth images that are registered to the images, for positions in metres'),
    DeclareLaunchArgument(
        'camera_info_topic', default_value='',
        description='Calibration of the images, for positions; empty: camera_info beside them'),
    DeclareLaunchArgument(
        'target_frame', default_value='',
        description='Frame of the positions, by tf; empty: that of the images'),
    DeclareLaunchArgument(
        'ground_frame', default_value='',
        description='Without depth_topic: frame whose plane z = 0 objects stand on'),
    DeclareLaunchArgument(
        'classes', default_value='',
        description='Classes that count, separated by commas; empty: all, or as the model says'),
    DeclareLaunchArgument(
        'max_rate', default_value='',
        description='Images per second that are used, by their stamps; empty: all'),
    DeclareLaunchArgument(
        'tiles', default_value='',
        description='Columns and rows, such as 3x2, of parts of the image that a detector sees '
                    'one by one; empty: the whole image'),
    DeclareLaunchArgument(
        'roi', default_value='',
        description='Region of interest in parts of width and height, separated by commas: '
                    'x1,y1,x2,y2 of a box, or x,y of three points or more; empty: all'),
    DeclareLaunchArgument(
        'tracking', default_value='', choices=['', 'true', 'false'],
        description='Give objects ids that stay over time, and publish events; empty: as '
                    'params_file says'),
    DeclareLaunchArgument(
        'event_lines', default_value='',
        description='With tracking: lines whose crossing is an event, separated by semicolons, '
                    'such as door=0.1,0.5,0.9,0.5'),
    DeclareLaunchArgument(
        'event_zones', default_value='',
        description='With tracking: polygons in which objects that stay are an event, separated '
                    'by semicolons, such as desk=0.1,0.5,0.9,0.5,0.5,1@3'),
    DeclareLaunchArgument(
        'web', default_value='',
        description='Where a page for browsers shows the cameras: host and port, such as '
                    '127.0.0.1:8080, or a port alone; empty: nowhere'),
    DeclareLaunchArgument(
        'log_level', default_value='info', choices=['debug', 'info', 'warn', 'error', 'fatal'],
        description='Log level of the nodes'),
    DeclareLaunchArgument(
        'dds_profile',
        default_value=EnvironmentVariable('ROS2_CLASSIFY_DDS_PROFILE', default_value='auto'),
        description='Fast DDS profile of all processes, for large images: auto (the profile of '
                    'this package, unless the environment sets one), none, or a file'),
)


class Settings:
    """The launch arguments, converted to their types."""

    def __init__(self, context: LaunchContext) -> None:
        def text(name: str) -> str:
            return LaunchConfiguration(name).perform(context)

        self.driver = text('driver')
        self.model = text('model')
        self.image_topic = text('image_topic')
        self.image_topics = [word for word in re.split(r'[][,\s]+', text('image_topics')) if word]
        self.compressed = text('compressed') == 'true'
        self.filters = {
            'classes': listed(text('classes'), ','),
            'max_rate': number('max_rate', text('max_rate') or '0', float),
            'tiles': text('tiles'),
            'roi': [number('roi', each, float) for each in listed(text('roi'), ',')]}
        self.tracking = text('tracking')
        self.events = {name: listed(text(name), ';') for name in ('event_lines', 'event_zones')}
        self.web = text('web')
        self.composed = text('composed') == 'true'
        self.namespace = text('namespace')
        self.params_file = text('params_file')
        self.lifecycle = text('lifecycle')
        self.video_device = text('video_device')
        self.source = text('source')
        self.loop = text('loop') == 'true'
        self.rate = number('rate', text('rate'), float)
        self.width = number('width', text('width'), int)
        self.height = number('height', text('height'), int)
        self.frame_id = text('frame_id')
        self.positions = {name: text(name) for name in POSITIONS}
        self.log_level = text('log_level')
        self.dds_profile = text('dds_profile')

    @property
    def log_arguments(self) -> list[str]:
        """Return the words that set the log level of a node."""
        return ['--log-level', self.log_level]


def listed(text: str, separator: str) -> list[str]:
    """Return the words of an argument."""
    return [each.strip() for each in text.split(separator) if each.strip()]


def number(name: str, text: str, kind: Callable[[str], float]) -> float:
    """Return an argument's number: finite and not negative."""
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not 0 <= value < math.inf:
        what = 'whole number' if kind is int else 'number'
        raise RuntimeError(f'{name} is {text!r} but must be a {what} of 0 or more')
    return value


def end_all(name: str) -> Callable[[ProcessExited, LaunchContext], list[Action]]:
    """Return a handler that shuts down with a process, and fails if the process failed."""
    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        # During a shutdown, a second request would be an error.
        if context.is_shutdown:
            return []
        if event.returncode:
            raise RuntimeError(
                f'the {name} has ended with exit code {event.returncode}; see its log above')
        return [Shutdown(reason=f'the {name} has ended')]

    return on_exit


def camera_parameters(settings: Settings) -> dict:
    """Return the parameters of this package's camera node."""
    return {
        'source': settings.source, 'loop': settings.loop, 'rate': settings.rate,
        'width': settings.width, 'height': settings.height, 'frame_id': settings.frame_id}


def own_camera(settings: Settings) -> Node:
    """Return this package's camera node; the launch ends with it."""
    return Node(
        package='ros2_classify', executable='camera', name='camera',
        namespace=settings.namespace, output='screen',
        parameters=[camera_parameters(settings)],
        remappings=[('image', settings.image_topic)],
        ros_arguments=settings.log_arguments,
        on_exit=end_all('camera'))


def v4l2_camera(settings: Settings) -> Node:
    """Return the driver of the package v4l2_camera."""
    parameters = {
        'video_device': settings.video_device, 'camera_frame_id': settings.frame_id}
    if settings.width and settings.height:
        parameters['image_size'] = [settings.width, settings.height]
    if settings.rate:
        # A fraction of whole numbers, in seconds.
        parameters['time_per_frame'] = [1000, round(1000 * settings.rate)]
    return driver_node(settings, 'v4l2_camera', 'v4l2_camera_node', 'image_raw', parameters)


def usb_cam(settings: Settings) -> Node:
    """Return the driver of the package usb_cam."""
    parameters = {'video_device': settings.video_device, 'frame_id': settings.frame_id}
    if settings.width and settings.height:
        parameters.update(image_width=settings.width, image_height=settings.height)
    if settings.rate:
        parameters['framerate'] = settings.rate
    return driver_node(settings, 'usb_cam', 'usb_cam_node_exe', 'image_raw', parameters)


def image_tools(settings: Settings) -> Node:
    """Return cam2image of the package image_tools, which takes device numbers."""
    if settings.compressed:
        raise RuntimeError(
            'driver:=image_tools sends no compressed images: leave compressed at false, or '
            'choose v4l2_camera, usb_cam or camera')
    found = re.fullmatch(r'(?:/dev/video)?(\d+)', settings.video_device)
    if not found:
        raise RuntimeError(
            f'driver:=image_tools takes a numbered camera (/dev/video0), not '
            f'{settings.video_device!r}')
    parameters = {'device_id': int(found[1]), 'frame_id': settings.frame_id, 'depth': 1}
    if settings.width and settings.height:
        parameters.update(width=settings.width, height=settings.height)
    if settings.rate:
        parameters['frequency'] = settings.rate
    return driver_node(settings, 'image_tools', 'cam2image', 'image', parameters)


def driver_node(
        settings: Settings, package: str, executable: str, topic: str, parameters: dict) -> Node:
    """Return the node of a camera driver, with its image topic remapped."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError as error:
        name = package.replace('_', '-')
        raise RuntimeError(
            f'driver:={settings.driver} needs the package {package}, which is not installed: sudo '
            f'apt install ros-$ROS_DISTRO-{name}, or choose driver:=camera source:=0') from error
    return Node(
        package=package, executable=executable, name='camera', namespace=settings.namespace,
        output='screen', parameters=[parameters],
        # In some releases, image_transport's plugins don't follow the remapping of the base topic.
        remappings=[(topic, settings.image_topic),
                    (f'{topic}/compressed', f'{settings.image_topic}/compressed')],
        ros_arguments=settings.log_arguments,
        on_exit=end_all('camera'))


DRIVERS = {
    'camera': own_camera,
    'v4l2_camera': v4l2_camera,
    'usb_cam': usb_cam,
    'image_tools': image_tools,
}


def server_parameters(settings: Settings) -> list:
    """Return the server's parameters: a file, and the arguments that override it."""
    parameters = {'autostart': settings.lifecycle == 'node'}
    # Arguments that are not set follow the parameters file.
    if settings.model:
        parameters['model'] = settings.model
    if settings.compressed:
        parameters['image_transport'] = 'compressed'
    if settings.image_topics:
        parameters['image_topics'] = settings.image_topics
    if settings.tracking:
        parameters['tracking'] = settings.tracking == 'true'
    for group in (settings.positions, settings.filters, settings.events, {'web': settings.web}):
        parameters.update({name: value for name, value in group.items() if value})
    if not Path(settings.params_file).is_file():
        raise RuntimeError(f'there is no file {settings.params_file!r} (argument params_file)')
    return [settings.params_file, parameters]


def server_node(settings: Settings) -> LifecycleNode:
    """Return the server."""
    return LifecycleNode(
        package='ros2_classify', executable='server', name='server',
        namespace=settings.namespace, output='screen',
        parameters=server_parameters(settings),
        remappings=[('image', settings.image_topic)],
        ros_arguments=settings.log_arguments,
        on_exit=end_all('server'))


def both_nodes(settings: Settings) -> Node:
    """Return the process with this package's camera and the server."""
    if settings.driver != 'camera':
        raise RuntimeError(
            f'composed:=true takes driver:=camera, not {settings.driver}: no other camera can '
            'share a process with the server')
    if settings.lifecycle == 'launch':
        raise RuntimeError('composed:=true takes lifecycle:=node or external, not launch')
    # A name would apply to both nodes. Each node takes the parameters that it has.
    return Node(
        package='ros2_classify', executable='composed', namespace=settings.namespace,
        output='screen',
        parameters=[*server_parameters(settings), camera_parameters(settings)],
        remappings=[('image', settings.image_topic)],
        ros_arguments=settings.log_arguments,
        on_exit=end_all('process of camera and server'))


def drive(server: LifecycleNode) -> list[Action]:
    """Return handlers that configure the server when it runs, and then activate it."""
    def change(transition: int) -> EmitEvent:
        return EmitEvent(event=ChangeState(
            lifecycle_node_matcher=matches_action(server), transition_id=transition))

    def failed(what: str) -> list[Action]:
        def fail(context: LaunchContext) -> list[Action]:
            raise RuntimeError(f'the server could not be {what}; see its log above')

        return [OpaqueFunction(function=fail)]

    return [
        # Handlers first: the events may follow immediately.
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=server, start_state='configuring', goal_state='inactive',
            entities=[change(Transition.TRANSITION_ACTIVATE)])),
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=server, start_state='configuring', goal_state='unconfigured',
            entities=failed('configured'))),
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=server, start_state='activating', goal_state='inactive',
            entities=failed('activated'))),
        RegisterEventHandler(OnProcessStart(
            target_action=server, on_start=[
                change(Transition.TRANSITION_CONFIGURE), *repeat(server, change)])),
    ]


def repeat(server: LifecycleNode, change: Callable[[int], EmitEvent]) -> list[Action]:
    """
    Return an action that looks at the server's state, and repeats a request that got lost.

    Two processes that have just met may lose a request, its response, or the event that tells
    of the transition. A server in a transition replies when it has ended.
    """
    missing = {State.PRIMARY_STATE_UNCONFIGURED: Transition.TRANSITION_CONFIGURE,
               State.PRIMARY_STATE_INACTIVE: Transition.TRANSITION_ACTIVATE}
    clients, futures = [], []

    def look(context: LaunchContext) -> list[Action]:
        if context.is_shutdown:
            return []
        if not clients:
            clients.append(get_ros_node(context).create_client(
                GetState, f'{server.node_name}/get_state'))
        client, actions = clients[0], []
        told = [future for future in futures if future.done()]
        if told:
            state = told[-1].result().current_state.id
            futures.clear()
            if state == State.PRIMARY_STATE_ACTIVE:
                return []
            if state in missing:
                actions.append(change(missing[state]))
        if client.service_is_ready():
            # A response may get lost too.
            futures.append(client.call_async(GetState.Request()))
        return [*actions, wait()]

    def wait() -> TimerAction:
        return TimerAction(period=LOOK_AGAIN, actions=[OpaqueFunction(function=look)])

    return [wait()]


def profile(settings: Settings, env: dict[str, str]) -> list[Action]:
    """Return actions that set the DDS profile for all processes."""
    if settings.dds_profile == 'none':
        # Otherwise the nodes of this package would set it themselves.
        variables = {} if any(map(env.get, dds_profile.CHOICES)) else {
            'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'}
    elif settings.dds_profile == 'auto':
        variables = dds_profile.environment(env)
    elif Path(settings.dds_profile).is_file():
        variables = {dds_profile.variable(env): settings.dds_profile}
    else:
        raise RuntimeError(
            f'dds_profile is {settings.dds_profile!r} but must be auto, none or an existing file')
    return [SetEnvironmentVariable(name, value) for name, value in variables.items()]


def start(context: LaunchContext) -> list[Action]:
    """Return the actions for these arguments."""
    settings = Settings(context)
    if settings.composed:
        return [*profile(settings, context.environment), both_nodes(settings)]
    server = server_node(settings)
    actions = profile(settings, context.environment)
    if settings.lifecycle == 'launch':
        actions += drive(server)
    actions.append(server)
    if settings.driver != 'none':
        actions.append(DRIVERS[settings.driver](settings))
    return actions


def generate_launch_description() -> LaunchDescription:
    """Describe the launch, for ros2 launch."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
