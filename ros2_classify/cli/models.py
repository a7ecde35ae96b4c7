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

"""``models``: the catalogue and its files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
import dataclasses
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import add_old_name, EXIT_OK, show, show_json, show_table, with_old_keys

if TYPE_CHECKING:
    from ros2_classify.model.descriptor import ModelDescriptor

_MODEL = 'a name from "models list", a descriptor file (.yaml), or the path or URL of a model file'


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser],
               more: Mapping[str, Callable[..., None]] | None = None) -> None:
    """Add the verb, its own verbs and their arguments; `more` are those of other packages."""
    from ros2_classify.cli import (
        convert, models_check, models_files, models_quantize, models_tune)

    parser = verbs.add_parser(
        'models', help='list, inspect, download, convert and bundle models',
        description='Work with the catalogue of models and its files.')
    own_verbs = parser.add_subparsers(metavar='VERB', required=True)

    def add(name: str, text: str, description: str, run: Any) -> argparse.ArgumentParser:
        verb = own_verbs.add_parser(name, help=text, description=description)
        verb.add_argument('--json', action='store_true', help='print JSON instead of a table')
        verb.set_defaults(run=run)
        return verb

    add('list', 'list the models known by name',
        'List the models in the directories of ROS2_CLASSIFY_MODEL_PATH, imported models, and '
        "the package's own.", run_list)
    verb = add('show', 'show the descriptor of a model',
               'Show what a model declares and where its file is.', run_show)
    verb.add_argument('model', metavar='MODEL', help=_MODEL)
    verb = add('fetch', 'download models ahead of time',
               'Download and verify models, and print the paths of their files.',
               models_files.run_fetch)
    verb.add_argument('models', metavar='MODEL', nargs='+', help=_MODEL)
    models_files.add_arguments(verb)
    verb = add('verify', 'check the sha256 of files',
               'Compare the files of models, and all files of the cache, with their sha256. The '
               'exit code is 1 if one is damaged, or if a named model is missing.',
               models_files.run_verify)
    verb.add_argument('models', metavar='MODEL', nargs='*',
                      help=f'{_MODEL} (default: the whole catalogue and the whole cache)')
    verb = add('bundle', 'write models into one file, for a machine without internet access',
               'Download models and write them, with their descriptors and labels, into one file '
               'for "models import".', models_files.run_bundle)
    verb.add_argument('models', metavar='MODEL', nargs='+',
                      help='a name from "models list", a descriptor file (.yaml), or a URL')
    verb.add_argument('--output', metavar='FILE', required=True, help='the file to write')
    models_files.add_arguments(verb, trial=False)
    verb = add('import', 'import a bundle',
               'Check a bundle and copy its files to where models are searched.',
               models_files.run_import)
    verb.add_argument('bundle', metavar='FILE', help='a file that "models bundle" wrote')
    verb.add_argument('--directory', metavar='DIRECTORY',
                      help='the directory for descriptors (default: one of the user that the '
                           'catalogue searches)')
    add_old_name(verb, '--folder', '--directory', 'directory')  # words: old
    convert.add_parser(own_verbs)
    models_check.add_parsers(own_verbs)
    models_quantize.add_parser(own_verbs)
    models_tune.add_parser(own_verbs)
    for add_more in (more or {}).values():
        add_more(own_verbs)


def run_list(arguments: argparse.Namespace) -> int:
    """List the catalogue; a row tells if a descriptor is wrong."""
    from ros2_classify.model import catalog

    rows = [_row(name, path) for name, path in catalog.entries().items()]
    if arguments.json:
        show_json(rows)
        return EXIT_OK
    if not rows:
        show('the catalogue is empty; put descriptors into a directory and name it in '
             'ROS2_CLASSIFY_MODEL_PATH')
        return EXIT_OK
    show_table([('model', 'task', 'size', 'licence', 'cached'), *map(_cells, rows)])
    return EXIT_OK


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    from ros2_classify.progress import human_size

    if row['error']:
        return row['name'], 'unusable', '', '', f'error: {row["error"]}'
    size = human_size(row['size']) if row['size'] else '-'
    return (row['name'], row['task'] or 'inferred', size, row['license'] or 'not given',
            'yes' if row['cached'] else 'no' if row['state'].startswith('not fetched') else
            f'no: {row["state"]}')


def _row(name: str, path: Path) -> dict[str, Any]:
    """Return a row of the list; ``error`` is None if the descriptor is right."""
    from ros2_classify.errors import Ros2ClassifyError
    from ros2_classify.model.descriptor import load_descriptor

    row: dict[str, Any] = {
        'name': name, 'descriptor': str(path), 'task': None, 'license': None, 'model_file': None,
        'state': None, 'size': None, 'cached': False, 'error': None}
    try:
        descriptor = load_descriptor(path)
    except Ros2ClassifyError as error:
        return with_old_keys({**row, 'error': str(error)})
    row.update(task=descriptor.task, license=descriptor.license or None)
    return with_old_keys({**row, **state_of(descriptor)})


def state_of(descriptor: ModelDescriptor) -> dict[str, Any]:
    """Return where a model's file is, and its bytes, without reading it."""
    from ros2_classify.download.fetch import cached
    from ros2_classify.errors import ModelNotFoundError
    from ros2_classify.model.files import request_for
    from ros2_classify.progress import human_size

    if not descriptor.source.has_file:
        return {'model_file': None, 'state': f'runs on {descriptor.source.remote}', 'size': None,
                'cached': False}
    try:
        request = request_for(descriptor)
    except ModelNotFoundError:
        # The list shows missing files too.
        return {'model_file': None, 'state': 'model file missing', 'size': None, 'cached': False}
    path = request.path or cached(request)
    if path is not None:
        size = path.stat().st_size if path.is_file() else None
        return {'model_file': str(path), 'state': 'here', 'size': size, 'cached': True}
    size_text = f' ({human_size(request.size)})' if request.size else ''
    state = 'URL without a sha256' if request.sha256 is None else f'not fetched{size_text}'
    return {'model_file': None, 'state': state, 'size': request.size, 'cached': False}


def run_show(arguments: argparse.Namespace) -> int:
    """Show one model."""
    from ros2_classify.model.catalog import resolve

    descriptor = resolve(arguments.model)
    row = {'name': descriptor.name, 'descriptor': descriptor.origin, **state_of(descriptor),
           **_declared(descriptor)}
    if arguments.json:
        show_json(with_old_keys(row))
        return EXIT_OK
    for key, value in row.items():
        if isinstance(value, dict):
            for inner, item in value.items():
                show(f'{key}.{inner}: {item}')
        else:
            show(f'{key}: {"-" if value is None else value}')
    return EXIT_OK


def _declared(descriptor: ModelDescriptor) -> dict[str, Any]:
    """Return what a descriptor declares as plain data, without what it leaves open."""
    from ros2_classify.model.descriptor_writer import thaw
    from ros2_classify.model.labels import Labels

    def plain(value: object) -> dict[str, Any]:
        assert dataclasses.is_dataclass(value) and not isinstance(value, type)
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {key: thaw(item) for key, item in pairs if item not in (None, '', {})}

    labels = descriptor.labels
    output = {'decoder': descriptor.output.decoder, **thaw(descriptor.output.options)}
    return {
        'task': descriptor.task, 'format': descriptor.format, 'source': plain(descriptor.source),
        'labels': f'{len(labels)} names' if isinstance(labels, Labels) else labels,
        'input': plain(descriptor.input),
        'output': {key: value for key, value in output.items() if value is not None},
        'convert': {key: value for key, value in plain(descriptor.conversion).items() if value},
        'defaults': plain(descriptor.defaults), 'license': descriptor.license or None,
        'provenance': descriptor.provenance or None, 'notes': descriptor.notes or None,
        'expected': {key: item for key, item in dataclasses.asdict(descriptor.expected).items()
                     if item} if descriptor.expected else None}
