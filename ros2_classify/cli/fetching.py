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

"""The options of all verbs that may download a model."""

from __future__ import annotations

import argparse

from ros2_classify.cli.messages import show_log
from ros2_classify.download.options import FetchOptions


def add_arguments(parser: argparse.ArgumentParser, *, trial: bool = True) -> None:
    """Add the options of downloads; `trial` adds that for URLs without a sha256."""
    parser.add_argument(
        '--offline', action='store_true', default=None,
        help='no internet access; use local and cached models only (also '
             'ROS2_CLASSIFY_OFFLINE=1)')
    parser.set_defaults(allow_unverified=False)
    if trial:
        parser.add_argument(
            '--allow-unverified', action='store_true',
            help='accept a URL without a sha256, for a trial')


def options_of(arguments: argparse.Namespace) -> FetchOptions:
    """Return the options of downloads, and show the log from now on."""
    show_log()
    return FetchOptions(offline=arguments.offline, allow_unverified=arguments.allow_unverified)
