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

"""``params``: a commented file of parameters for ``--params-file``, written without ROS."""

from __future__ import annotations

import argparse
from importlib import import_module
import os
from pathlib import Path

from ros2_classify import __version__
from ros2_classify.cli import EXIT_OK, NODES, show, show_json
from ros2_classify.errors import OptionsError
from ros2_classify.limits import write_text


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'params', help='write a file of parameters for a node',
        description='Print all parameters of a node with their defaults, types, ranges and '
                    'meaning, as a file for "ros2 run ... --ros-args --params-file FILE".')
    parser.add_argument('node', nargs='?', default='server', choices=tuple(NODES), metavar='NODE',
                        help=f'{", ".join(NODES)} (default: server)')
    parser.add_argument('--output', metavar='FILE', help='the .yaml file to write')
    parser.add_argument('--force', action='store_true', help='overwrite an existing file')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the file."""
    pages = import_module('ros2_classify.ros.node.parameter_pages')
    nodes = import_module('ros2_classify.ros.parameter_tables').TABLES[arguments.node]
    path = Path(os.path.expanduser(arguments.output)) if arguments.output else None
    # A node may be renamed, so that only those of one process are told apart by name.
    named = [(f'/**/{name}' if len(nodes) > 1 else '/**', groups) for name, groups in nodes]
    text = pages.yaml_text(named, [
        f'All parameters of {arguments.node} of ros2_classify {__version__}, with their defaults:',
        f'  ros2 run ros2_classify {arguments.node} --ros-args --params-file '
        f'{path or "FILE.yaml"}',
        'Delete what you do not change. Those that are commented out follow the model.'])
    if path is not None:
        if path.exists() and not arguments.force:
            raise OptionsError(f'{path} exists; choose another name, or use --force')
        try:
            write_text(path, text)
        except OSError as error:
            raise OptionsError(f'{path} cannot be written: {error.strerror}; name a file in an '
                               'existing directory that you may write to') from error
    if arguments.json:
        show_json({'node': arguments.node, 'file': None if path is None else str(path),
                   'parameters': [{'node': name, **row} for name, groups in nodes
                                  for row in pages.rows(groups)]})
    else:
        show(text.rstrip() if path is None else f'wrote {path}')
    return EXIT_OK
