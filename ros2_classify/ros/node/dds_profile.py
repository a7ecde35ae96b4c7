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
The DDS profile for large images: where it is and how a process loads it.

Fast DDS reads it when a process creates its first node, from the file that an environment
variable names. The variable was renamed in Fast DDS 3 (Kilted): Jazzy and Humble ignore the new
name, Kilted warns about the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path

from ros2_classify.paths import shipped_directory

OLD_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
NEW_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'

# A user who has set one of these has chosen a transport.
CHOICES = (OLD_VARIABLE, NEW_VARIABLE, 'FASTDDS_BUILTIN_TRANSPORTS')

# Fast DDS loads a file of this name from the working directory by itself.
_LOCAL_FILES = ('DEFAULT_FASTRTPS_PROFILES.xml', 'DEFAULT_FASTDDS_PROFILES.xml')

_OLD_DISTROS = ('humble', 'iron', 'jazzy')


def profile_file() -> Path | None:
    """Return the shipped ``config/fastdds.xml``, if it was installed."""
    models = shipped_directory()
    path = models.parent / 'config' / 'fastdds.xml' if models else None
    return path if path and path.is_file() else None


def receiver_file() -> Path | None:
    """Return the profile with a small shared-memory segment, for processes that send no images."""
    path = profile_file()
    small = path.with_name('fastdds_receiver.xml') if path else None
    return small if small and small.is_file() else None


def variable(env: Mapping[str, str]) -> str:
    """Return the variable that the Fast DDS of ``ROS_DISTRO``, or else of rclpy, reads."""
    distro = env.get('ROS_DISTRO')
    if distro:
        return OLD_VARIABLE if distro in _OLD_DISTROS else NEW_VARIABLE
    # Imported late: a sourced ROS sets ROS_DISTRO.
    from importlib.metadata import PackageNotFoundError, version

    try:
        major = int(version('rclpy').partition('.')[0])
    except (PackageNotFoundError, ValueError):
        return NEW_VARIABLE
    # rclpy is 3 in Humble, 7 in Jazzy and 9 in Kilted.
    return OLD_VARIABLE if major < 8 else NEW_VARIABLE


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """
    Return the environment variable that makes a process load the profile.

    Empty if the user has chosen a transport (`CHOICES`, a profile in the working directory) or
    another middleware than Fast DDS, or if the profile isn't installed.
    """
    env = os.environ if env is None else env
    middleware = env.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp'
    chosen = any(env.get(name) for name in CHOICES) or any(
        Path(name).is_file() for name in _LOCAL_FILES)
    path = profile_file()
    if chosen or path is None or 'fastrtps' not in middleware:
        return {}
    return {variable(env): str(path)}


def use(*, receiver: bool = False) -> Path | None:
    """
    Make this process load the profile, before ``rclpy.init``.

    A `receiver`, which publishes no camera images, loads `receiver_file`, even if a launch file
    has set the shipped profile for all processes.
    """
    wanted = environment()
    small = receiver_file() if receiver else None
    name = variable(os.environ)
    if small and (wanted or os.environ.get(name) == str(profile_file())):
        wanted = {name: str(small)}
    os.environ.update(wanted)
    return Path(next(iter(wanted.values()))) if wanted else None
