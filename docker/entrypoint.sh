#!/usr/bin/env bash
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

# Starts a program with ROS 2, this package, and the DDS profile that lets large images through.
set -e
# shellcheck disable=SC1090,SC1091
source "/opt/ros/$ROS_DISTRO/setup.bash"
# shellcheck disable=SC1091
source /opt/ros2_classify/install/local_setup.bash
export PATH="/opt/ros2_classify/venv/bin:$PATH"

# Only the sender's own profile helps, so that cameras of other packages need it, too. Nothing is
# changed where somebody has chosen a transport.
profile=/opt/ros2_classify/install/share/ros2_classify/config/fastdds.xml
chosen="${FASTDDS_BUILTIN_TRANSPORTS:-}${FASTDDS_DEFAULT_PROFILES_FILE:-}"
if [ -z "$chosen${FASTRTPS_DEFAULT_PROFILES_FILE:-}" ]; then
  case "$ROS_DISTRO" in
    humble | iron | jazzy) export FASTRTPS_DEFAULT_PROFILES_FILE="$profile" ;;
    *) export FASTDDS_DEFAULT_PROFILES_FILE="$profile" ;;
  esac
fi
exec "$@"
