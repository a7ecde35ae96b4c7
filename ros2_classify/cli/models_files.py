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

"""``models fetch``, ``verify``, ``bundle`` and ``import``: the files of the catalogue."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import EXIT_MODEL, EXIT_OK, show, show_json, show_log, with_old_keys
from ros2_classify.download.options import FetchOptions

if TYPE_CHECKING:
    from ros2_classify.model.files import Verified


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
            help='for trials: accept a URL without a sha256')


def options_of(arguments: argparse.Namespace) -> FetchOptions:
    """Return the options of downloads, and show the log from now on."""
    show_log()
    return FetchOptions(offline=arguments.offline, allow_unverified=arguments.allow_unverified)


def run_fetch(arguments: argparse.Namespace) -> int:
    """Download models."""
    from ros2_classify.model.catalog import resolve, with_stages
    from ros2_classify.model.files import model_file

    options = options_of(arguments)
    rows = []
    for descriptor in with_stages(resolve(model) for model in arguments.models):
        path = model_file(descriptor, options)
        rows.append(with_old_keys({'name': descriptor.name, 'model_file': str(path)}))
        if not arguments.json:
            show(f'{descriptor.name}: {path}')
    if arguments.json:
        show_json(rows)
    return EXIT_OK


def run_verify(arguments: argparse.Namespace) -> int:
    """Check the sha256 of files; 1 if one is damaged or a named model is missing."""
    from ros2_classify.engines.external_data import verify, verify_entry
    from ros2_classify.model import catalog
    from ros2_classify.model.files import FAILURES

    show_log()
    if arguments.models:
        rows = [_row(verify(each)) for each in catalog.with_stages(
            catalog.resolve(model) for model in arguments.models)]
        failed = [row for row in rows if row['state'] in FAILURES]
    else:
        rows = [_row(verify_entry(name, path)) for name, path in catalog.entries().items()]
        rows += _verified_cache()
        failed = [row for row in rows if row['state'] == 'damaged']
    if arguments.json:
        show_json(rows)
    else:
        for row in rows:
            show(f'{row["state"]:11}  {row["name"]}  {row["model_file"] or ""}'.rstrip(),
                 style=_STYLES.get(row['state'], 'warning'))
            if row.get('error'):
                show(f'  {row["error"]}')
        show(f'{len(rows)} checked, {len(failed)} failed')
    return EXIT_MODEL if failed else EXIT_OK


_STYLES = {'ok': 'ok', 'damaged': 'error', 'unusable': 'error'}


def _row(verified: Verified) -> dict[str, Any]:
    row = with_old_keys({
        'name': verified.name, 'model_file': verified.model, 'state': verified.state})
    return {**row, 'error': verified.error} if verified.error else row


def _verified_cache() -> list[dict[str, Any]]:
    from ros2_classify.download.cache import Cache
    from ros2_classify.download.options import FetchOptions

    cache = Cache(FetchOptions().cache_directory())
    return [with_old_keys({
        'name': f'cache {sha256[:12]}', 'model_file': str(cache.find(sha256)),
        'state': 'ok' if cache.get(sha256) else 'damaged'}) for sha256 in cache.hashes()]


def run_bundle(arguments: argparse.Namespace) -> int:
    """Write a bundle."""
    from ros2_classify.bundle import write_bundle
    from ros2_classify.model.catalog import resolve
    from ros2_classify.progress import human_size

    options = options_of(arguments)
    output = Path(arguments.output).expanduser()
    descriptors = [resolve(model) for model in arguments.models]
    members = write_bundle(descriptors, output, options)
    if arguments.json:
        show_json({'bundle': str(output), 'size': output.stat().st_size,
                   'models': [descriptor.name for descriptor in descriptors],
                   'files': members})
    else:
        show(f'wrote {output} ({human_size(output.stat().st_size)}) with '
             f'{", ".join(descriptor.name for descriptor in descriptors)}; on the '
             f'other machine, run: python3 -m ros2_classify models import {output.name}')
    return EXIT_OK


def run_import(arguments: argparse.Namespace) -> int:
    """Import a bundle."""
    from ros2_classify.bundle import import_bundle
    from ros2_classify.download.options import default_import_directory
    from ros2_classify.errors import ModelNotFoundError
    from ros2_classify.model import catalog

    show_log()
    bundle = Path(arguments.bundle).expanduser()
    if not bundle.is_file():
        raise ModelNotFoundError(f'{bundle}: no such bundle; check the path')
    directory = (Path(arguments.directory).expanduser().absolute() if arguments.directory
                 else default_import_directory())
    imported = import_bundle(bundle, directory)
    known = set(catalog.entries().values())
    models = [path.stem if path in known else str(path) for path in imported.models]
    if arguments.json:
        show_json({'models': models, 'files': [str(path) for path in imported.files],
                   'converted': [str(path) for path in imported.converted],
                   'replaced': [str(path) for path in imported.replaced]})
        return EXIT_OK
    for path in imported.replaced:
        show(f'replaced {path}')
    for model in models:
        show(f'ready: model:={model}')
    show(f'{len(imported.files)} downloaded files and {len(imported.converted)} converted models '
         'are in the cache')
    return EXIT_OK
