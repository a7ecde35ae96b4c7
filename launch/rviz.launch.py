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

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(__file__).parent.parent


def start_rviz(context: LaunchContext) -> list[Action]:
    """Return RViz2 with the annotated images of the server in its namespace."""
    namespace = LaunchConfiguration('namespace').perform(context).strip('/')
    remappings = [('/server/debug_image', f'/{namespace}/server/debug_image')]
    return [Node(
        package='rviz2', executable='rviz2', name='rviz2', output='screen',
        arguments=['-d', LaunchConfiguration('rviz_config')],
        remappings=remappings if namespace else [])]


def generate_launch_description() -> LaunchDescription:
    """Describe the launch, for ros2 launch."""
    return LaunchDescription([
        DeclareLaunchArgument(
            'rviz_config', default_value=str(SHARE / 'rviz' / 'annotated_image.rviz'),
            description='RViz2 configuration file'),
        # The arguments of the included file are arguments of this file too.
        IncludeLaunchDescription(PythonLaunchDescriptionSource(
            str(SHARE / 'launch' / 'camera_pipeline.launch.py'))),
        OpaqueFunction(function=start_rviz),
    ])
