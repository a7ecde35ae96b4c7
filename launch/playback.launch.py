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

"""Play a video file or a directory of images through the pipeline, optionally with RViz2."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

LAUNCH = Path(__file__).parent


def generate_launch_description() -> LaunchDescription:
    """Describe the launch, for ros2 launch."""
    def include(name: str, condition: IfCondition) -> IncludeLaunchDescription:
        return IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH / name)), condition=condition,
            launch_arguments={'driver': 'camera'}.items())

    return LaunchDescription([
        DeclareLaunchArgument(
            'source', description='Video file, directory of images, or image to play'),
        DeclareLaunchArgument(
            'loop', default_value='false', choices=['true', 'false'],
            description='Start again at the end; false: shut down at the end'),
        DeclareLaunchArgument(
            'rviz', default_value='false', choices=['true', 'false'],
            description='Show the annotated images in RViz2'),
        # The arguments of the included files are arguments of this file too.
        include('rviz.launch.py', IfCondition(LaunchConfiguration('rviz'))),
        include('camera_pipeline.launch.py', UnlessCondition(LaunchConfiguration('rviz'))),
    ])
