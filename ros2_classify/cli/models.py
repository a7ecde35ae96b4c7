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

"""``models``: what the catalogue holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ros2_classify.cli import convert, EXIT_OK


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb, its own verbs and their arguments."""
    parser = verbs.add_parser(
        'models', help='list the models known by name', description='The catalogue of models.')
    own_verbs = parser.add_subparsers(metavar='VERB', required=True)
    convert.add_parser(own_verbs)
    listing = own_verbs.add_parser(
        'list', help='list the models known by name',
        description='List the models of the folders in ROS2_CLASSIFY_MODEL_PATH and of the '
                    'package itself.')
    listing.add_argument(
        '--json', action='store_true', help='print one JSON array instead of a table')
    listing.set_defaults(run=run_list)


def run_list(arguments: argparse.Namespace) -> int:
    """
    List the catalogue.

    Parameters
    ----------
    arguments : Namespace
        With ``json``.

    Returns
    -------
    int
        0, also where a descriptor is wrong: its row says so.

    """
    from ros2_classify import catalog

    rows = [_row(name, path) for name, path in catalog.entries().items()]
    if arguments.json:
        print(json.dumps(rows))
        return EXIT_OK
    if not rows:
        print('no model is known by name; put descriptors into a folder and name it in '
              'ROS2_CLASSIFY_MODEL_PATH')
        return EXIT_OK
    width = max(len(row['name']) for row in rows)
    for row in rows:
        facts = [row['task'] or 'task guessed', row['license'] or 'licence not given',
                 row['network'] or 'network file missing']
        print(f'{row["name"]:{width}}  ' + (
            f'unusable: {row["error"]}' if row['error'] else ', '.join(facts)))
    return EXIT_OK


def _row(name: str, path: Path) -> dict[str, Any]:
    """Return what is known of one model; ``error`` is None where its descriptor is right."""
    from ros2_classify.descriptor import load_descriptor
    from ros2_classify.errors import ModelNotFoundError, Ros2ClassifyError
    from ros2_classify.store import locate

    row: dict[str, Any] = {
        'name': name, 'descriptor': str(path), 'task': None, 'license': None, 'network': None,
        'error': None}
    try:
        descriptor = load_descriptor(path)
    except Ros2ClassifyError as error:
        return {**row, 'error': str(error)}
    row.update(task=descriptor.task, license=descriptor.license or None)
    try:
        row['network'] = str(locate(descriptor.source.path, descriptor.folder, what='model file'))
    except ModelNotFoundError:
        # A missing file is a fact for the list: the row keeps None.
        return row
    return row
