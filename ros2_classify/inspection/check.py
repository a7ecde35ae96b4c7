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

"""A report on a model, step by step, with each problem in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ros2_classify.autoconfig.complete import complete
from ros2_classify.autoconfig.trial import Run, sample_images
from ros2_classify.convert.api import to_onnx
from ros2_classify.convert.options import ConvertOptions
from ros2_classify.download.hashing import sha256_of_directory, sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.engines import Engine, EngineSettings, open_engine
from ros2_classify.engines.base import TensorSpec
from ros2_classify.engines.error_messages import tidy
from ros2_classify.engines.external_data import check_weights, weight_files
from ros2_classify.engines.onnx_file import OnnxFile, read_onnx
from ros2_classify.engines.providers import PROVIDERS
from ros2_classify.engines.remote import describe_remote, open_remote, remote_url_of
from ros2_classify.errors import EngineError, OptionsError, Ros2ClassifyError
from ros2_classify.image_io import depth_reader
from ros2_classify.inspection import clip_check
from ros2_classify.inspection.output_checks import (
    best_score, Issues, judge, nothing_found, run_on)
from ros2_classify.model.catalog import resolve, stage_models
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.model.files import model_file
from ros2_classify.model.input_spec import PIXELS, Resize, with_pixels
from ros2_classify.model.labels import Labels
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Result, Segmentation

_RECORD = 'session.record_ep_graph_assignment_info'


def unknown_operators(file: OnnxFile) -> list[str] | None:
    """Return the operators that the installed ONNX Runtime doesn't know."""
    try:
        state = import_module('onnxruntime.capi.onnxruntime_pybind11_state')
        schemas = state.get_all_operator_schema()
    except (ImportError, AttributeError):
        return None
    since: dict[tuple[str, str], int] = {}
    newest: Counter[str] = Counter()
    for schema in schemas:
        key = (schema.domain, schema.name)
        since[key] = min(schema.since_version, since.get(key, schema.since_version))
        newest[schema.domain] = max(newest[schema.domain], schema.since_version)
    found = []
    for (domain, name), count in file.operators.items():
        if (domain, name) in file.functions:
            continue
        opset = file.opsets.get(domain, 1)
        first = since.get((domain, name))
        if first is not None and first <= opset:
            continue
        nodes = '1 node' if count == 1 else f'{count} nodes'
        why = ('' if first is None else
               f', which came with opset {first} while the model says {opset}')
        found.append(f'{domain + ":" if domain else ""}{name} ({nodes}){why}')
    return found


def left_to_the_cpu(path: Path, provider: str) -> Mapping[str, int] | str:
    """Return the operators that a provider hands over to the CPU."""
    ort: Any = import_module('onnxruntime')
    if not hasattr(ort.InferenceSession, 'get_provider_graph_assignment_info'):
        return (f'ONNX Runtime {ort.__version__} does not tell which operators {provider} leaves '
                'to the CPU; a newer one does')
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(_RECORD, '1')
    providers = list(dict.fromkeys((provider, 'CPUExecutionProvider')))
    try:
        session = ort.InferenceSession(
            str(path), sess_options=options, providers=providers, enable_fallback=0)
        pieces = session.get_provider_graph_assignment_info()
    except Exception as error:  # noqa: B902 -- its exceptions share no base class
        return f'which operators {provider} leaves to the CPU cannot be told: {tidy(error)}'
    return count_by_operator(pieces, 'CPUExecutionProvider')


def count_by_operator(pieces: Any, provider: str) -> Mapping[str, int]:
    """Count the nodes that a provider runs."""
    counts = Counter(node.op_type for piece in pieces if piece.ep_name == provider
                     for node in piece.get_nodes())
    return dict(sorted(counts.items()))


_CPU = 'CPUExecutionProvider'
# To find a label wherever it is.
_LOWEST, _ALL_CLASSES = 0.001, 10**6


@dataclass(frozen=True)
class Variant:
    """What a model gives for a label if it is fed in a published way."""

    pixels: str  # the word for ``input.pixels``; '' is the descriptor as it is
    rank: int  # of the label among the results, from 1; 0 if it isn't there
    score: float
    resize: str = ''  # the word for ``input.resize``; '' is the descriptor as it is

    def __str__(self) -> str:
        """Return it as ``imagenet, stretch: place 1, 0.930``."""
        place = f'place {self.rank}, {self.score:.3f}' if self.rank else 'not found'
        fed = ', '.join(filter(None, (self.pixels, self.resize and f'resize {self.resize}')))
        return f'{fed or "as it is"}: {place}'


@dataclass
class Report:
    """The report on a model; what could not be determined is None or empty."""

    model: str  # as the caller named it
    declared: ModelDescriptor | None = None  # for a bare file, little more than its path
    file: Path | None = None  # the file or directory that the descriptor names
    size: int | None = None  # bytes; of a directory, those of all files in it
    sha256: str | None = None  # a directory's is by `sha256_of_directory`
    onnx_path: Path | None = None  # what is run: the same, or converted from TensorFlow
    onnx: OnnxFile | None = None
    provider: str | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    descriptor: ModelDescriptor | None = None  # complete, with inferred settings
    labels: Labels | None = None
    runs: list[Run] = field(default_factory=list)  # outputs for the samples and the given image
    result: Result | None = None  # for the given image
    best_score: float | None = None  # for it, below the threshold too; None for a segmentation
    variants: list[Variant] = field(default_factory=list)  # how the label fares, the best first
    problems: list[str] = field(default_factory=list)  # what is wrong, a sentence each
    warnings: list[str] = field(default_factory=list)  # what may be wrong
    notes: list[str] = field(default_factory=list)  # what is unknown
    unverified_stages: tuple[str, ...] = ()  # what nobody has confirmed of a cascade's stages

    def add(self, issues: Issues) -> None:
        """Add new issues."""
        for issue in issues:
            to = self.problems if issue.problem else self.warnings
            if issue.text not in (*self.problems, *self.warnings):
                to.append(issue.text)


def check_model(
    model: str | Path | ModelDescriptor, image: NDArray[Any] | None = None, *,
    label: str = '', provider: str = 'auto', threads: int = 0, fetch: FetchOptions | None = None,
    remote: str = '',
) -> Report:
    """
    Check a model from its file to its results; its problems are in the report, not raised.

    `image` is BGR, uint8 or uint16, (H, W, 3). `label`, a label or a class id, is what it shows:
    the published ways to feed a model are tried, and compared by it.
    """
    report = Report(model.name if isinstance(model, ModelDescriptor) else str(model))
    try:
        report.declared = declared = resolve(model)
        settings = EngineSettings(remote=remote)
        url = remote_url_of(declared, settings)
        if declared.source.has_file:
            _look_at_file(report, declared, fetch)
        report.labels = declared.load_labels()
        if url is not None:
            engine = open_remote(url, settings, None)
            report.notes.append(f'at the other end is {describe_remote(engine)}')
        else:
            assert report.onnx_path is not None
            engine = _open(report, report.onnx_path, provider, threads)
        try:
            _look_at(report, engine, declared, image, label)
        finally:
            engine.close()
        for name, stage in stage_models(declared).items():
            _look_at_stage(report, name, check_model(
                stage, provider=provider, threads=threads, fetch=fetch))
    except Ros2ClassifyError as error:
        report.problems.insert(0, str(error))
    return report


def _look_at_file(report: Report, declared: ModelDescriptor, fetch: FetchOptions | None) -> None:
    report.file = model_file(declared, fetch)
    check_weights(declared, report.file)
    _measure(report, report.file)
    report.onnx_path = report.file
    if declared.format != 'onnx':
        report.onnx_path = to_onnx(declared, report.file, ConvertOptions.like(fetch))
    report.onnx = read_onnx(report.onnx_path)
    _look_for_parts(report, report.onnx_path, report.onnx)


def _look_at_stage(report: Report, name: str, stage: Report) -> None:
    """Add what a check of a cascade's stage has found to the cascade's own report."""
    for kind in ('problems', 'warnings', 'notes'):
        getattr(report, kind).extend(f'stage {name}: {each}' for each in getattr(stage, kind))
    found = stage.descriptor
    if found is not None:
        report.notes.append(f'stage {name}: {found.name} ({found.task}) was checked by itself')
        report.unverified_stages += tuple(f'stages.{name}.{key}' for key in found.unverified)
        if found.unverified:
            report.warnings.append(f'stage {name}: not verified: {", ".join(found.unverified)}')


def _measure(report: Report, path: Path) -> None:
    try:
        if path.is_dir():
            report.size = sum(item.stat().st_size for item in path.rglob('*') if item.is_file())
            report.sha256 = sha256_of_directory(path)
        else:
            report.size = path.stat().st_size
            report.sha256 = sha256_of_file(path)
    except OSError as error:
        raise EngineError(f'{path}: cannot be read: {error.strerror}') from error


def _look_for_parts(report: Report, path: Path, onnx: OnnxFile) -> None:
    """Check that ONNX Runtime supports all operators and that no file is missing."""
    missing = [name for name, place in weight_files(path, onnx).items() if not place.is_file()]
    if missing:
        report.problems.append(
            f'the weights are in other files, and {", ".join(missing)} is missing beside '
            f'{path.name}: copy it there too')
    unknown = unknown_operators(onnx)
    if unknown is None:
        report.notes.append('the operators that ONNX Runtime supports are unknown: it is missing, '
                            'or this version does not list them')
    elif unknown:
        report.problems.append(
            f'ONNX Runtime does not know {len(unknown)} of the operators: {", ".join(unknown)}; '
            'install a newer onnxruntime, or export the model without them')


def _open(report: Report, path: Path, provider: str, threads: int) -> Engine:
    """Open the model; if the provider fails, report that and check the rest on the CPU."""
    try:
        return open_engine(path, 'onnx', provider=provider, threads=threads)
    except EngineError as error:
        if provider in ('auto', 'cpu'):
            raise
        report.problems.append(str(error))
        return open_engine(path, 'onnx', provider='cpu', threads=threads)


def _look_at(
    report: Report, engine: Engine, declared: ModelDescriptor, image: NDArray[Any] | None,
    label: str,
) -> None:
    report.provider = engine.provider
    report.inputs, report.outputs = engine.inputs, engine.outputs
    if report.onnx_path is not None and engine.provider != _CPU and (
            engine.provider in PROVIDERS.values()):
        left = left_to_the_cpu(report.onnx_path, engine.provider)
        if isinstance(left, str):
            report.notes.append(left)
        elif left:
            report.warnings.append(
                f'{engine.provider} leaves operators to the CPU: '
                + ', '.join(f'{name} ({count})' for name, count in left.items()))
    descriptor = complete(declared, engine, report.onnx_path)
    report.labels = report.labels or descriptor.load_labels()
    report.descriptor = descriptor
    if descriptor.clip is not None:
        report.notes += clip_check.notes(descriptor, image is not None)
    if descriptor.clip is not None and descriptor.clip.vote:
        # What votes is looked at alone.
        descriptor = replace(descriptor, clip=None)
    pipeline: Pipeline[Result] = Pipeline(descriptor, engine, report.labels)
    if descriptor.clip is not None:
        image = None
        runs = clip_check.run_clips(clip_check.with_encoder(pipeline))
        if pipeline.encoder is not None:
            pipeline.encoder.close()
    else:
        runs = run_on(pipeline, sample_images(), 'rgb')
    if image is not None:
        image = depth_reader(descriptor.input.input_range)(image)
        runs += run_on(pipeline, [image], 'bgr')
    report.runs = runs
    issues = judge(pipeline, runs)
    report.add(issues)
    report.notes += [f'ignored: {each}' for each in pipeline.ignored]
    for head in descriptor.heads[1:]:
        report.add([replace(issue, text=f'head {head.name}: {issue.text}') for issue in judge(
            Pipeline(head, engine, head.load_labels()), runs) if issue not in issues])
    if image is not None and not report.problems:
        report.result = pipeline(image, 'bgr')
        report.best_score = best_score(
            pipeline, image, 'bgr', report.result, pipeline.options)
        if not len(report.result) and not isinstance(report.result, Segmentation):
            said, suspicious = nothing_found(report.best_score, pipeline.options.score_threshold)
            (report.warnings if suspicious else report.notes).append(f'nothing found: {said}')
        if label:
            report.variants = _variants(pipeline, image, label)


def _variants(
    pipeline: Pipeline[Result], image: NDArray[Any], label: str,
) -> list[Variant]:
    """Feed the model in each published way; the best for a label comes first."""
    class_id = _class_id(pipeline.labels, label)
    descriptor, found = pipeline.descriptor, []
    plain = descriptor.input.whole and not descriptor.input.quantization
    words = ('',) if plain else ('', *PIXELS)
    resizes: tuple[Resize | Literal[''], ...] = ('',)
    if 'input.resize' in descriptor.unverified:
        resizes = ('', 'stretch' if descriptor.input.resize != 'stretch' else 'center_crop')
    for word, resize in product(words, resizes):
        spec = with_pixels(descriptor.input, word) if word else descriptor.input
        spec = replace(spec, resize=resize) if resize else spec
        changed: Pipeline[Any] = Pipeline(
            replace(descriptor, input=spec), pipeline.engine, pipeline.labels)
        rows = changed(image, 'bgr', changed.options.replace(
            score_threshold=_LOWEST, top_k=_ALL_CLASSES, classes=(),
            class_thresholds={})).rows()
        rank = next((place for place, row in enumerate(rows, 1)
                     if row['class_id'] == class_id), 0)
        found.append(Variant(word, rank, rows[rank - 1]['score'] if rank else 0.0, resize))
    return sorted(found, key=lambda each: (each.rank or len(found) + 10**6, -each.score))


def _class_id(labels: Labels | None, label: str) -> int:
    """Return the id of a label that is given by name or by id."""
    names = dict(labels.items()) if labels else {}
    for class_id, name in names.items():
        if name == label:
            return class_id
    if label.isdecimal() and (not names or int(label) in names):
        return int(label)
    near = get_close_matches(label, names.values(), 1, 0.5)
    raise OptionsError(
        f'the model has no label {label!r}' + (f'; did you mean {near[0]!r}?' if near else
                                               '; give one of its labels, or a class id'))


def output_ranges(report: Report) -> list[dict[str, Any]]:
    """Return the range, shape and type of each output over all images."""
    rows = []
    for name, last in (report.runs[-1].outputs if report.runs else {}).items():
        numbers = [run.outputs[name].reshape(-1) for run in report.runs if name in run.outputs]
        finite: list[NDArray[Any]] = [
            row[np.isfinite(row)] for row in numbers if row.dtype.kind in 'fiu']
        filled = [row for row in finite if row.size]
        rows.append({
            'name': name, 'dtype': str(last.dtype), 'shape': list(last.shape),
            'low': float(min(row.min() for row in filled)) if filled else None,
            'high': float(max(row.max() for row in filled)) if filled else None})
    return rows


def summary(report: Report) -> Mapping[str, Any]:
    """Return a report as plain data for JSON."""
    onnx, descriptor = report.onnx, report.descriptor
    return {
        'model': report.model,
        'ok': not report.problems,
        'descriptor_file': report.declared.origin if report.declared else None,
        'format': report.declared.format if report.declared else None,
        'file': str(report.file) if report.file else None,
        'size': report.size,
        'sha256': report.sha256,
        'onnx_file': str(report.onnx_path) if report.onnx_path else None,
        'onnx': None if onnx is None else {
            'ir_version': onnx.ir_version,
            'opsets': {domain or 'ai.onnx': opset for domain, opset in onnx.opsets.items()},
            'producer': onnx.producer or None, 'nodes': onnx.nodes,
            'operators': {f'{domain}:{name}' if domain else name: count
                          for (domain, name), count in onnx.operators.items()},
            'external_files': list(onnx.external)},
        'provider': report.provider,
        'inputs': [_spec(spec) for spec in report.inputs],
        'outputs': [_spec(spec) for spec in report.outputs],
        'descriptor': None if descriptor is None else mapping_of(descriptor),
        'inferred': list(descriptor.inferred) if descriptor else [],
        'unverified': [*(descriptor.unverified if descriptor else ()),
                       *report.unverified_stages],
        'labels': len(report.labels) if report.labels else None,
        'seen': output_ranges(report),
        'result': report.result.to_dict() if report.result is not None else None,
        'best_score': report.best_score,
        'variants': [vars(each) for each in report.variants],
        'problems': report.problems,
        'warnings': report.warnings,
        'notes': report.notes}


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {'name': spec.name, 'dtype': str(spec.dtype), 'shape': list(spec.shape)}
