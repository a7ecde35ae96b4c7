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
TensorFlow models as ONNX files, converted once and kept.

::

    <cache>/converted/<key>/<versions of tf2onnx and TensorFlow>/
        model.onnx      the model
        report.json     where it is from, what was compared, how long it took
        convert.log     what TensorFlow and tf2onnx had to say

The key is a sha256 of the source's content, the tensors' names and what else decides the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from ros2_classify.convert import worker
from ros2_classify.convert.compare import compare, make_feeds
from ros2_classify.convert.explain import explain, shorten, unsupported_operators
from ros2_classify.convert.kept import Conversion, conversion_in, find_conversion, MODEL, REPORT
from ros2_classify.convert.options import ConvertOptions
from ros2_classify.convert.plan import make_plan, OPSET, Plan
from ros2_classify.convert.process import (
    choose_python, Converter, find_converter, LOG, PYTHON, run_worker, WorkerError)
from ros2_classify.download.cache import Cache, remove
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.download.options import default_cache_directory
from ros2_classify.errors import ConversionError, EngineError
from ros2_classify.model.descriptor import ModelDescriptor

_log = logging.getLogger('ros2_classify')


def to_onnx(
    descriptor: ModelDescriptor, source: Path, options: ConvertOptions | None = None,
) -> Path:
    """
    Return a TensorFlow model as an ONNX file; see `convert`, which tells more.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Its format is ``frozen_graph`` or ``saved_model``.
    source : Path
        The frozen graph's file or the SavedModel's directory.
    options : ConvertOptions, optional
        How it is converted.

    Returns
    -------
    Path
        The ONNX file, in the cache.

    """
    return convert(descriptor, source, options).model


def convert(
    descriptor: ModelDescriptor, source: Path, options: ConvertOptions | None = None,
) -> Conversion:
    """
    Convert a TensorFlow model to ONNX, once: afterwards it comes from the cache.

    Of several processes that start at once one converts, the others wait for it. TensorFlow runs
    in a process of its own, and not at all where the model is in the cache.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Its format is ``frozen_graph`` or ``saved_model``.
    source : Path
        The frozen graph's file or the SavedModel's directory.
    options : ConvertOptions, optional
        How it is converted.

    Returns
    -------
    Conversion
        The model, run once and found equal to TensorFlow's answer.

    Raises
    ------
    ConversionError
        If the source is no such model, a tensor's name is wrong, TensorFlow is needed and isn't
        there, the model can't be converted, or what came out answers otherwise.
    FetchError
        If the cache can't be written; its subclass DiskFullError if the disk is full.
    FetchCancelledError
        If ``options.cancel`` was set.
    InputError
        If ``options.image`` is no image.

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
        # A Python that is gone matters only where it is needed.
        problem = f'{plan.source}: this must be converted to ONNX once, but {error}'
    kept = find_conversion(plan, cache, converter)
    if kept is not None:
        return kept
    if converter is None:
        raise ConversionError(problem)

    def waiting(_: str) -> None:
        _log.info('another process is converting %s; waiting for it', descriptor.name)

    with cache.lock(plan.key, descriptor.name, options.cancel, waiting):
        # Somebody else may have done it in the meantime.
        kept = find_conversion(plan, cache, converter)
        return kept or _convert(plan, cache, converter, options)


def _convert(
    plan: Plan, cache: Cache, converter: Converter, options: ConvertOptions,
) -> Conversion:
    """Convert, check, and only then give the result its name."""
    final = cache.directory / 'converted' / plan.key / converter.name
    work = cache.part(f'convert-{plan.key}')
    try:
        with cache.errors():
            remove(work)
            work.mkdir(parents=True)
            feeds = _write_request(plan, work, options)
        try:
            result = run_worker(
                converter.python, work, label=plan.descriptor.name, timeout=options.timeout,
                progress=options.progress, cancel=options.cancel)
            checked = _check(plan, work, feeds, result['outputs'])
        except ConversionError as error:
            with cache.errors():
                kept = _keep_log(work, final)
            cause = _explain(plan, error, kept) if isinstance(error, WorkerError) else str(error)
            raise ConversionError(
                f'{plan.source}: cannot be converted to ONNX: {cause} (the log is {kept})'
            ) from error
        with cache.errors():
            _write_report(plan, work, result, checked)
            for name in (worker.REQUEST, worker.FEEDS, worker.RESULTS):
                (work / name).unlink()
            remove(final)
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(work, final)
    finally:
        remove(work)
    conversion = conversion_in(final, plan, fresh=True)
    _log.info('%s was converted to ONNX in %.0f s and answers as TensorFlow does; kept as %s',
              plan.descriptor.name, sum(result['seconds'].values()), conversion.model)
    return conversion


def _write_request(plan: Plan, work: Path, options: ConvertOptions) -> list[Any]:
    feeds = make_feeds(plan.interface.inputs, plan.descriptor.input, options.image)
    np.savez(work / worker.FEEDS, *feeds)
    (work / worker.REQUEST).write_text(json.dumps({
        'format': plan.descriptor.format, 'source': str(plan.source.absolute()),
        'inputs': [tensor.name for tensor in plan.interface.inputs],
        'outputs': plan.interface.outputs, 'signature': plan.interface.signature,
        'tag': plan.interface.tag, 'opset': OPSET}), encoding='utf-8')
    return feeds


def _check(
    plan: Plan, work: Path, feeds: Sequence[Any], outputs: Sequence[str],
) -> dict[str, Any]:
    """Run the model once as it will be run, and compare with TensorFlow's answer."""
    from ros2_classify.engines import open_engine

    missing = unsupported_operators(_read_log(work))
    if missing:
        raise WorkerError(f'tf2onnx left out {", ".join(missing)}')
    try:
        engine = open_engine(work / MODEL, provider='cpu')
        try:
            by_name = {_plain(spec.name): spec.name for spec in engine.inputs}
            tensors = {by_name[_plain(info.name)]: feed
                       for info, feed in zip(plan.interface.inputs, feeds)
                       if _plain(info.name) in by_name}
            results = engine.infer(tensors)
        finally:
            engine.close()
    except EngineError as error:
        raise ConversionError(f'the ONNX model does not run: {error}') from error
    with np.load(work / worker.RESULTS, allow_pickle=False) as file:
        reference = {name: file[f'arr_{place}'] for place, name in enumerate(outputs)}
    return {
        **compare(results, reference, plan.tolerance),
        'shapes': {name: list(array.shape) for name, array in results.items()}}


def _write_report(
    plan: Plan, work: Path, result: dict[str, Any], checked: dict[str, Any],
) -> None:
    report = {
        'source': plan.source.name, 'source_sha256': plan.sha256,
        'format': plan.descriptor.format,
        'inputs': [str(tensor) for tensor in plan.interface.inputs],
        'outputs': list(plan.interface.outputs), 'signature': plan.interface.signature or None,
        'found': list(plan.interface.found), 'opset': OPSET,
        'model_sha256': sha256_of_file(work / MODEL),
        'compared_with_tensorflow': checked, 'versions': result['versions'],
        'seconds': result['seconds'], 'memory_mb': result['memory_mb'],
        'made': datetime.now(timezone.utc).isoformat(timespec='seconds')}
    (work / REPORT).write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')


def _keep_log(work: Path, final: Path) -> Path:
    final.parent.mkdir(parents=True, exist_ok=True)
    kept = final.with_name(f'{final.name}.failed.log')
    if (work / LOG).is_file():
        os.replace(work / LOG, kept)
    return kept


def _explain(plan: Plan, error: WorkerError, log: Path) -> str:
    text = log.read_text(encoding='utf-8', errors='replace') if log.is_file() else ''
    # A frozen graph's outputs say which part of it counts; a SavedModel's are inside functions.
    outputs = plan.interface.outputs if plan.descriptor.format == 'frozen_graph' else ()
    if error.converted and not unsupported_operators(text):
        return (f'TensorFlow itself fails on the test image: {shorten(str(error))}; say the '
                'size that it takes as input.size in a descriptor, or try another image '
                '(models convert --image)')
    return explain(str(error), text, plan.graph, outputs)


def _no_tensorflow(plan: Plan, python: str) -> str:
    kind = 'frozen graph' if plan.descriptor.format == 'frozen_graph' else 'SavedModel'
    return (
        f'{plan.source}: this TensorFlow {kind} must be converted to ONNX once, and {python} '
        'lacks tensorflow or tf2onnx: install them with pip install "ros2_classify[tensorflow]", '
        f'or set {PYTHON} to a Python that has them, or convert it on another machine with '
        'python3 -m ros2_classify models convert MODEL --output MODEL.onnx and use that file')


def _read_log(work: Path) -> str:
    return (work / LOG).read_text(encoding='utf-8', errors='replace')


def _plain(name: str) -> str:
    return name[:-2] if name.endswith(':0') else name
