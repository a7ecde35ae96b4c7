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

"""What the verbs share that may fetch a model: two switches, and the log on standard error."""

from __future__ import annotations

import argparse
import logging
import sys

from ros2_classify.download.options import FetchOptions


def add_arguments(parser: argparse.ArgumentParser, *, trial: bool = True) -> None:
    """Add the switches for how a model is fetched, with or without that for a trial."""
    parser.add_argument(
        '--offline', action='store_true', default=None,
        help='leave the network alone: only what is there already (also ROS2_CLASSIFY_OFFLINE=1)')
    parser.set_defaults(allow_unverified=False)
    if trial:
        parser.add_argument(
            '--allow-unverified', action='store_true',
            help='for a trial: use what an address without a sha256 serves today')


def options_of(arguments: argparse.Namespace) -> FetchOptions:
    """Return how a model is fetched; from now on the log is shown."""
    show_log()
    return FetchOptions(offline=arguments.offline, allow_unverified=arguments.allow_unverified)


class _Stderr(logging.Handler):
    """Writes to what standard error is now, and not to what it was at the start."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        print(f'ros2_classify: {record.getMessage()}', file=sys.stderr)


def show_log() -> None:
    """Show what the package logs, from information up, on standard error."""
    log = logging.getLogger('ros2_classify')
    if not any(isinstance(handler, _Stderr) for handler in log.handlers):
        log.addHandler(_Stderr())
    log.setLevel(logging.INFO)
