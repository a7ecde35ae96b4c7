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

"""Start the camera pipeline, and RViz2 with the annotated images."""

import copy
import os
from pathlib import Path
import re
import tempfile

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from ros2_classify.ros.rviz_layout import layout
import yaml

SHARE = Path(__file__).parent.parent
IMAGES = str(SHARE / 'rviz' / 'annotated_image.rviz')


def annotated(topic: str, namespace: str) -> str:
    """Return the server's topic of annotated images for one of image_topics."""
    prefix = f'/{namespace}' if namespace and not topic.startswith('/') else ''
    base = topic.removesuffix('/compressed').lstrip('/').rpartition('/')[0]
    return f'{prefix}/{base}/server/debug_image'.replace('//', '/')


def config_for(path: str, topics: list[str]) -> str:
    """Return a copy of a configuration with its annotated image once for each of the topics."""
    config = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    displays, kept, names = config['Visualization Manager']['Displays'], [], []
    pattern = None
    for display in displays:
        if display.get('Topic', {}).get('Value') == '/server/debug_image':
            pattern = display
        else:
            kept.append(display)
    if pattern is None:
        # The user's own.
        return path
    for topic in topics:
        display = copy.deepcopy(pattern)
        display['Name'] = f'{pattern["Name"]} {topic.removesuffix("/server/debug_image")}'.strip()
        display['Topic']['Value'] = topic
        kept.append(display)
        names.append(display['Name'])
    config['Visualization Manager']['Displays'] = kept
    window = config.setdefault('Window Geometry', {})
    window.pop(pattern['Name'], None)
    window.update({name: {'collapsed': False} for name in names})
    # The one of the file names the dock of one display.
    if 'QMainWindow State' in window:
        window['QMainWindow State'] = layout(names, window['Width'], window['Height'])
    handle, copied = tempfile.mkstemp(prefix='annotated_images_', suffix='.rviz')
    with os.fdopen(handle, 'w', encoding='utf-8') as file:
        yaml.safe_dump(config, file)
    return copied


def fixed_frame(context: LaunchContext) -> list[str]:
    """Return RViz2's argument for the frame of the positions; none without positions."""
    depth, target, ground, image = (
        LaunchConfiguration(name, default='').perform(context)
        for name in ('depth_topic', 'target_frame', 'ground_frame', 'frame_id'))
    return ['--fixed-frame', target or ground or image] if depth or ground else []


def start_rviz(context: LaunchContext) -> list[Action]:
    """Return RViz2 with the annotated images of the server in its namespace."""
    namespace = LaunchConfiguration('namespace').perform(context).strip('/')
    config = LaunchConfiguration('rviz_config').perform(context)
    frames = fixed_frame(context)
    if frames and config == IMAGES:
        config = str(SHARE / 'rviz' / 'detections_3d.rviz')
    topics = [word for word in re.split(
        r'[][,\s]+', LaunchConfiguration('image_topics').perform(context)) if word]
    if topics:
        config = config_for(config, [annotated(topic, namespace) for topic in topics])
    remappings = [(topic, f'/{namespace}{topic}') for topic in (
        '/server/debug_image', '/server/markers', '/points')]
    return [Node(
        package='rviz2', executable='rviz2', name='rviz2', output='screen',
        arguments=['-d', config, *frames],
        # Those of several cameras are complete already.
        remappings=remappings if namespace and not topics else [])]


def generate_launch_description() -> LaunchDescription:
    """Describe the launch, for ros2 launch."""
    return LaunchDescription([
        DeclareLaunchArgument(
            'rviz_config', default_value=IMAGES,
            description='RViz2 configuration file; the default is another one with depth_topic '
                        'or ground_frame'),
        # The arguments of the included file are arguments of this file too.
        IncludeLaunchDescription(PythonLaunchDescriptionSource(
            str(SHARE / 'launch' / 'camera_pipeline.launch.py'))),
        OpaqueFunction(function=start_rviz),
    ])
