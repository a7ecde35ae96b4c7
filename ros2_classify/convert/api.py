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
TensorFlow models as ONNX files, converted once and cached.

::

    <cache>/converted/<key>/<versions of tf2onnx and TensorFlow>/
        model.onnx      the model
        report.json     its source, the comparison with TensorFlow, versions and times
        convert.log     the output of TensorFlow and tf2onnx

The key is a sha256 of everything that decides the result: the source's content, the names of the
tensors, the opset, the tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
import hashlib
import json
import logging
import os
from pathlib import Path
import re
from typing import Any

import numpy as np
from ros2_classify.convert import worker
from ros2_classify.convert.compare import compare, make_feeds
from ros2_classify.convert.graph import Graph, read_frozen_graph, read_saved_model
from ros2_classify.convert.interface import frozen_interface, Interface, saved_interface
from ros2_classify.convert.options import ConvertOptions
from ros2_classify.convert.process import (
    choose_python, Converter, explain, find_converter, LOG, PYTHON, run_worker, shorten,
    unsupported_operators, WorkerError)
from ros2_classify.convert.safety import check_frozen_graph, serving_copy
from ros2_classify.download.cache import Cache, remove
from ros2_classify.download.hashing import copy_whole, sha256_of_directory, sha256_of_file
from ros2_classify.download.options import default_cache_directory
from ros2_classify.errors import ConversionError, EngineError
from ros2_classify.model.descriptor import ModelDescriptor, SAVED_MODEL_FILE

MODEL = worker.MODEL
REPORT = 'report.json'
_SAVED = 'saved_model'
# Bytes that are read of what the conversion wrote.
_MAX_LOG, _MAX_RESULTS = 8 << 20, 256 << 20
OPSET = 15
TOLERANCE = 1e-4

# Increase it if this program turns the same source into a different file than before.
_RECIPE = 1

_log = logging.getLogger('ros2_classify')


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a conversion gives."""

    source: Path
    sha256: str
    interface: Interface
    tolerance: float
    graph: Graph = field(repr=False)
    content: bytes | None = field(repr=False)
    descriptor: ModelDescriptor = field(repr=False)

    @property
    def key(self) -> str:
        """The directory's name in the cache: 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps({
            'recipe': _RECIPE, 'opset': OPSET, 'sha256': self.sha256,
            'format': self.descriptor.format, 'tolerance': self.tolerance,
            'inputs': [str(tensor) for tensor in self.interface.inputs],
            'outputs': self.interface.outputs, 'signature': self.interface.signature,
            'tag': self.interface.tag}, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Conversion:
    """A converted model in the cache; `found` has a sentence for each tensor found by itself."""

    model: Path
    report: Path
    log: Path
    fresh: bool
    found: tuple[str, ...] = ()


def to_onnx(
    descriptor: ModelDescriptor, source: Path, options: ConvertOptions | None = None,
) -> Path:
    """Return the cached ONNX file of a TensorFlow model; see `convert`."""
    return convert(descriptor, source, options).model


def convert(
    descriptor: ModelDescriptor, source: Path, options: ConvertOptions | None = None,
) -> Conversion:
    """
    Convert a TensorFlow model to ONNX once; later calls take it from the cache.

    One process converts and others wait for it. TensorFlow runs in a process of its own, only if
    the model is not in the cache; the model was run once, and its outputs equal TensorFlow's
    within the tolerance, else ConversionError. FetchError if the cache can't be written,
    FetchCancelledError after ``options.cancel``, InputError if ``options.image`` isn't an image.
    """
    options = options or ConvertOptions()
    plan = make_plan(descriptor, source)
    for sentence in plan.interface.found:
        _log.info('%s: %s', descriptor.name, sentence)
    cache = Cache((options.cache or default_cache_directory()).expanduser().absolute())
    converter, problem = None, ''
    try:
        python = choose_python(options.python)
        converter = find_converter(python)
        problem = _no_tensorflow(plan, python)
    except ConversionError as error:
        # A Python that is gone matters only if it is needed.
        problem = f'{plan.source}: this must be converted to ONNX once, but {error}'
    cached = find_conversion(plan, cache, converter)
    if cached is not None:
        return cached
    if options.refused:
        raise ConversionError(f'{plan.source}: {options.refused}')
    if converter is None:
        raise ConversionError(problem)

    def waiting(_: str) -> None:
        _log.info('another process is converting %s; waiting for it', descriptor.name)

    with cache.lock(plan.key, descriptor.name, options.cancel, waiting):
        # Another process may have converted it in the meantime.
        cached = find_conversion(plan, cache, converter)
        return cached or _convert(plan, cache, converter, options)


def make_plan(descriptor: ModelDescriptor, source: Path) -> Plan:
    """Decide what to convert and check all names, without TensorFlow; raise ConversionError."""
    declared = descriptor.conversion
    if descriptor.format == 'saved_model':
        # Users name the directory or the file in it.
        source = source.parent if source.name == SAVED_MODEL_FILE else source
        saved = read_saved_model(source)
        content: bytes | None = serving_copy(
            memoryview((source / SAVED_MODEL_FILE).read_bytes()),
            saved.tag.split(',') if saved.tag else (), str(source))
        graph, sha256 = saved.graph, sha256_of_directory(source)
        interface = saved_interface(saved, declared.signature or '', str(source))
    elif descriptor.format == 'frozen_graph':
        graph, sha256 = read_frozen_graph(source), sha256_of_file(source)
        content = None
        check_frozen_graph(memoryview(source.read_bytes()), str(source))
        named = (descriptor.input.name,) if descriptor.input.name else ()
        interface = frozen_interface(
            graph, declared.inputs or named, declared.outputs, str(source))
    else:
        raise ConversionError(
            f'{source}: the format is {descriptor.format}, but only frozen_graph and saved_model '
            'can be converted to ONNX')
    return Plan(source, sha256, interface, declared.tolerance or TOLERANCE, graph, content,
                descriptor)


def find_conversion(plan: Plan, cache: Cache, converter: Converter | None) -> Conversion | None:
    """Return an intact conversion from the cache: by this converter, or else by the newest."""
    directory = cache.directory / 'converted' / plan.key
    if converter is not None:
        places = [directory / converter.name]
    else:
        places = sorted((path.parent for path in directory.glob(f'*/{REPORT}')),
                        key=lambda place: _version_key(place.name), reverse=True)
    for place in places:
        if not (place / REPORT).is_file():
            continue
        with cache.errors():
            try:
                expected = json.loads((place / REPORT).read_text(encoding='utf-8'))['model_sha256']
                actual = sha256_of_file(place / MODEL)
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                expected, actual = 'a report and a model', 'missing or broken'
        if actual == expected:
            return _conversion_in(place, plan, fresh=False)
        _log.warning('%s is damaged: its sha256 is %s, expected %s; it is not used',
                     place / MODEL, actual, expected)
    return None


def export(conversion: Conversion, output: Path) -> tuple[Path, Path]:
    """Copy a model out of the cache, with its report beside it as ``<name>.report.json``."""
    report = output.with_name(f'{output.stem}.report.json')
    try:
        for source, target in ((conversion.report, report), (conversion.model, output)):
            copy_whole(source, target)
    except OSError as error:
        raise ConversionError(
            f'{output}: cannot be written: {error.strerror}; choose another file') from error
    return output, report


def _conversion_in(directory: Path, plan: Plan, *, fresh: bool) -> Conversion:
    return Conversion(
        directory / MODEL, directory / REPORT, directory / LOG, fresh, plan.interface.found)


def _version_key(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts 1.17 after 1.9."""
    return [(int(piece), '') if piece.isdigit() else (0, piece)
            for piece in re.split(r'(\d+)', name)]


def _convert(
    plan: Plan, cache: Cache, converter: Converter, options: ConvertOptions,
) -> Conversion:
    """Convert and check; the result gets its final name last."""
    final = cache.directory / 'converted' / plan.key / converter.name
    work = cache.part(f'convert-{plan.key}')
    try:
        with cache.errors():
            remove(work)
            work.mkdir(parents=True)
            feeds = _write_request(plan, work, options)
        try:
            outcome = run_worker(
                converter.python, work, label=plan.descriptor.name, timeout=options.timeout,
                progress=options.progress, cancel=options.cancel)
            checked = _check(plan, work, feeds, outcome['outputs'])
        except ConversionError as error:
            with cache.errors():
                log = _save_log(work, final)
            cause = _explain(plan, error, log) if isinstance(error, WorkerError) else str(error)
            raise ConversionError(
                f'{plan.source}: cannot be converted to ONNX: {cause} (see the log {log})'
            ) from error
        with cache.errors():
            _write_report(plan, work, outcome, checked)
            for name in (worker.REQUEST, worker.FEEDS, worker.RESULTS):
                (work / name).unlink()
            remove(work / _SAVED)
            remove(final)
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(work, final)
    finally:
        remove(work)
    conversion = _conversion_in(final, plan, fresh=True)
    _log.info('converted %s to ONNX in %.0f s; its outputs equal those of TensorFlow; cached '
              'as %s', plan.descriptor.name, sum(outcome['seconds'].values()), conversion.model)
    return conversion


def _write_request(plan: Plan, work: Path, options: ConvertOptions) -> list[Any]:
    feeds = make_feeds(plan.interface.inputs, plan.descriptor.input, options.image)
    np.savez(work / worker.FEEDS, *feeds)
    source = plan.source.absolute()
    if plan.content is not None:
        # TensorFlow gets the graph that was checked, and its variables: no other file.
        copy = work / _SAVED
        copy.mkdir()
        (copy / SAVED_MODEL_FILE).write_bytes(plan.content)
        (copy / 'variables').symlink_to(source / 'variables')
        source = copy.absolute()
    (work / worker.REQUEST).write_text(json.dumps({
        'format': plan.descriptor.format, 'source': str(source),
        'inputs': [tensor.name for tensor in plan.interface.inputs],
        'outputs': plan.interface.outputs, 'signature': plan.interface.signature,
        'tag': plan.interface.tag, 'opset': OPSET}), encoding='utf-8')
    return feeds


def _check(
    plan: Plan, work: Path, feeds: Sequence[Any], outputs: Sequence[str],
) -> dict[str, Any]:
    """Run the model once as it will be run, and compare its outputs with TensorFlow's."""
    from ros2_classify.engines import open_engine

    missing = unsupported_operators(_read_log(work / LOG))
    if missing:
        raise WorkerError(f'tf2onnx did not convert {", ".join(missing)}')
    try:
        engine = open_engine(work / MODEL, provider='cpu')
        try:
            by_name = {spec.name.removesuffix(':0'): spec.name for spec in engine.inputs}
            tensors = {by_name[info.name.removesuffix(':0')]: feed
                       for info, feed in zip(plan.interface.inputs, feeds)
                       if info.name.removesuffix(':0') in by_name}
            results = engine.infer(tensors)
        finally:
            engine.close()
    except EngineError as error:
        raise ConversionError(f'the ONNX model does not run: {error}') from error
    if (size := (work / worker.RESULTS).stat().st_size) > _MAX_RESULTS:
        raise ConversionError(
            f'its outputs for one image take {size} bytes, more than the {_MAX_RESULTS} that are '
            'allowed')
    with np.load(work / worker.RESULTS, allow_pickle=False) as file:
        reference = {name: file[f'arr_{place}'] for place, name in enumerate(outputs)}
    return {
        **compare(results, reference, plan.tolerance),
        'shapes': {name: list(array.shape) for name, array in results.items()}}


def _write_report(
    plan: Plan, work: Path, outcome: dict[str, Any], checked: dict[str, Any],
) -> None:
    report = {
        'source': plan.source.name, 'source_sha256': plan.sha256,
        'format': plan.descriptor.format,
        'inputs': [str(tensor) for tensor in plan.interface.inputs],
        'outputs': list(plan.interface.outputs), 'signature': plan.interface.signature or None,
        'found': list(plan.interface.found), 'opset': OPSET,
        'model_sha256': sha256_of_file(work / MODEL),
        'compared_with_tensorflow': checked, 'versions': outcome['versions'],
        'seconds': outcome['seconds'], 'memory_mb': outcome['memory_mb'],
        'made': datetime.now(timezone.utc).isoformat(timespec='seconds')}
    (work / REPORT).write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')


def _read_log(path: Path) -> str:
    """Return the end of a log: a model decides how long it is."""
    with open(path, 'rb') as file:
        file.seek(max(0, path.stat().st_size - _MAX_LOG))
        return file.read(_MAX_LOG).decode('utf-8', errors='replace')


def _save_log(work: Path, final: Path) -> Path:
    final.parent.mkdir(parents=True, exist_ok=True)
    log = final.with_name(f'{final.name}.failed.log')
    if (work / LOG).is_file():
        os.replace(work / LOG, log)
    return log


def _explain(plan: Plan, error: WorkerError, log: Path) -> str:
    text = _read_log(log) if log.is_file() else ''
    # A frozen graph's outputs tell which part of it counts; a SavedModel's are inside functions.
    outputs = plan.interface.outputs if plan.descriptor.format == 'frozen_graph' else ()
    if error.converted and not unsupported_operators(text):
        return (f'TensorFlow itself fails on the test image: {shorten(str(error))}; declare the '
                'size that the model takes as input.size in a descriptor, or try another image '
                '(models convert --image)')
    return explain(str(error), text, plan.graph, outputs)


def _no_tensorflow(plan: Plan, python: str) -> str:
    kind = 'frozen graph' if plan.descriptor.format == 'frozen_graph' else 'SavedModel'
    return (
        f'{plan.source}: this TensorFlow {kind} must be converted to ONNX once, and {python} '
        'lacks tensorflow or tf2onnx: install them with pip install tensorflow-cpu tf2onnx, '
        f'or set {PYTHON} to a Python that has them, or convert it on another machine with '
        'python3 -m ros2_classify models convert MODEL --output MODEL.onnx and use that file')
