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
The DDS profile that lets large images arrive: where it is and how a process takes it.

Fast DDS reads the profile when the first node of a process is made, from a file that an
environment variable names. The variable's name changed with Fast DDS 3, which came with Kilted:
Jazzy and Humble ignore the new name, Kilted warns of the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path

from ros2_classify.paths import shipped_directory

OLD_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
NEW_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'

# Who has set one of these has chosen the transport already.
CHOICES = (OLD_VARIABLE, NEW_VARIABLE, 'FASTDDS_BUILTIN_TRANSPORTS')

# Fast DDS loads a file of this name from the working directory by itself.
_LOCAL_FILES = ('DEFAULT_FASTRTPS_PROFILES.xml', 'DEFAULT_FASTDDS_PROFILES.xml')

_OLD_DISTROS = ('humble', 'iron', 'jazzy')


def profile_file() -> Path | None:
    """
    Return the profile that the package ships.

    Returns
    -------
    Path or None
        ``config/fastdds.xml`` beside the shipped ``models/``, or None where the package was
        installed without its shared files.

    """
    models = shipped_directory()
    path = models.parent / 'config' / 'fastdds.xml' if models else None
    return path if path and path.is_file() else None


def receiver_file() -> Path | None:
    """
    Return the profile for processes that receive images and send answers.

    Returns
    -------
    Path or None
        ``fastdds_receiver.xml`` beside `profile_file`: the same with a smaller segment of shared
        memory, which each process has of its own.

    """
    path = profile_file()
    small = path.with_name('fastdds_receiver.xml') if path else None
    return small if small and small.is_file() else None


def variable(env: Mapping[str, str]) -> str:
    """
    Return the name of the variable that this distribution's Fast DDS reads.

    Parameters
    ----------
    env : mapping of str to str
        The environment; ``ROS_DISTRO`` decides, else the version of the rclpy that is installed.

    Returns
    -------
    str
        `OLD_VARIABLE` up to Jazzy, `NEW_VARIABLE` from Kilted on.

    """
    distro = env.get('ROS_DISTRO')
    if distro:
        return OLD_VARIABLE if distro in _OLD_DISTROS else NEW_VARIABLE
    # Imported where it is used: a ROS that was sourced has told its distribution.
    from importlib.metadata import PackageNotFoundError, version

    try:
        major = int(version('rclpy').partition('.')[0])
    except (PackageNotFoundError, ValueError):
        return NEW_VARIABLE
    # rclpy is 3 in Humble, 7 in Jazzy and 9 in Kilted.
    return OLD_VARIABLE if major < 8 else NEW_VARIABLE


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """
    Return what a process needs in its environment to take the profile.

    Parameters
    ----------
    env : mapping of str to str, optional
        The environment so far; by default this process's own.

    Returns
    -------
    dict of str to str
        One variable; empty where the user has chosen a transport (`CHOICES`, a profile in the
        working directory), where another middleware than Fast DDS is asked for, and where the
        package was installed without its shared files.

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
    Make this process take the profile; call it before ``rclpy.init``.

    Parameters
    ----------
    receiver : bool
        Whether it receives images and sends none of a camera: it takes `receiver_file`, also in
        the place of the shipped profile that a launch file has set for all processes.

    Returns
    -------
    Path or None
        The profile, or None where `environment` is empty.

    """
    wanted = environment()
    small = receiver_file() if receiver else None
    name = variable(os.environ)
    if small and (wanted or os.environ.get(name) == str(profile_file())):
        wanted = {name: str(small)}
    os.environ.update(wanted)
    return Path(next(iter(wanted.values()))) if wanted else None
