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
Quantize a model to 8 or 16 bits: smaller, and faster on processors with such numbers.

For 8 bits, the ranges between the layers are measured on images (calibration), which should show
what the robot will see; 16 bits need no calibration. Then the results of both models for these
images are compared. Needs the packages ``onnx`` and ``onnxruntime``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
import logging
from pathlib import Path
import tempfile
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

from ros2_classify.convert.api import to_onnx
from ros2_classify.convert.options import ConvertOptions
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.engines.external_data import check_weights, load_onnx, weight_files
from ros2_classify.engines.onnx_file import read_onnx
from ros2_classify.engines.providers import import_onnxruntime
from ros2_classify.errors import EngineError, InputError, OptionsError
from ros2_classify.inspection.describe import describe_model, write_descriptor
from ros2_classify.limits import kind_of
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.files import model_file
from ros2_classify.model.source import Source
from ros2_classify.pipeline import Pipeline
from ros2_classify.progress import heartbeat
from ros2_classify.results.results import (
    Classification, Detections, Embedding, Result, Segmentation)

_LOGGER = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
# Returns the same images, BGR, at each call.
Images = Callable[[], Iterable[Pixels]]
Target = Literal['cpu', 'tensorrt']
Small = Literal['int8', 'fp16']

# The first version of ONNX's operators whose 8-bit numbers may have a scale for each channel.
_OPSET = 13
# Below this share of equal results there is a warning.
_POOR = 0.9
_OVERLAP = 0.5
_LAYERS = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')


@dataclass(frozen=True)
class Quantized:
    """
    What came out; `agreement`, 0 to 1, compares both models' results for these images.

    It is how often both have the same best class; how many of the boxes of either the other one
    has too, with the same class and half of the area; how many pixels have the same class.
    """

    model: Path
    descriptor: Path
    images: int  # measured, or compared
    agreement: float
    bytes_before: int  # of the files
    bytes_after: int
    task: str = ''


def quantize_model(
    model: Union[str, Path, ModelDescriptor], images: Images, output: Path, *,
    target: Target = 'cpu', precision: Small = 'int8', fetch: FetchOptions | None = None,
    force: bool = False,
) -> Quantized:
    """Write a quantized model, and its descriptor beside it."""
    tools = _tools()
    if precision == 'fp16' and target != 'cpu':
        raise OptionsError(f'target is {target!r}, which is for int8; models in fp16 are the '
                           'same for all targets: omit it')
    descriptor_path = output.with_suffix('.yaml')
    if output.suffix != '.onnx':
        raise OptionsError(f'{output} must end with .onnx')
    for path in (output, descriptor_path):
        if path.exists() and not force:
            raise OptionsError(f'{path} is there already; give another name, or --force')
        if kind := kind_of(path):
            raise OptionsError(f'{path} is {kind}, not a file; give another name')
    declared = resolve(model)
    path = model_file(declared, fetch)
    check_weights(declared, path)
    if declared.format in ('frozen_graph', 'saved_model'):
        path = to_onnx(declared, path, ConvertOptions.like(fetch))
    with Pipeline.load(declared, provider='cpu', fetch=fetch) as before:
        if precision == 'fp16':
            count = sum(1 for _ in images())
            made_of = f'In 16-bit numbers, made from {declared.name}.'
            if count:
                _halve(tools[0], path, output)
        else:
            reader = _reader(tools[1], before, images)
            with tempfile.TemporaryDirectory(prefix='ros2_classify_') as work, \
                    heartbeat(f'measuring and quantizing {path.name}'):
                _quantize(tools, path, Path(work), output, reader, target)
            count = reader.count
            made_of = (f'Quantized to 8 bits for {target} from {declared.name}, measured on '
                       f'{count} images.')
        if not count:
            output.unlink(missing_ok=True)
            raise InputError(
                'there are no images to calibrate with; name a directory that holds some')
        made = replace(
            before.descriptor, name=output.stem, origin='', directory=output.absolute().parent,
            source=Source(path=str(output.absolute()), sha256=sha256_of_file(output)),
            format='onnx', expected=None, notes=' '.join(filter(None, (
                made_of, before.descriptor.notes))))
        with Pipeline.load(made, provider='cpu') as after:
            agreement = _agreement(before, after, images)
    text, _ = describe_model(made, output.absolute().parent)
    write_descriptor(text, descriptor_path, force=force)
    if agreement < _POOR:
        _LOGGER.warning(
            'only %.0f %% of the results are the same: %s'
            'keep the original', 100 * agreement,
            '' if precision == 'fp16' else 'calibrate with more images of what the robot will '
            'see, or ')
    return Quantized(output, descriptor_path, count, agreement,
                     path.stat().st_size, output.stat().st_size, before.task)


def _tools() -> tuple[Any, Any]:
    """Import the packages that quantize; EngineError says what to install."""
    import_onnxruntime()
    try:
        import onnx
        from onnxruntime import quantization
    except ImportError as error:
        raise EngineError(
            f'quantization needs the package onnx ({error}): pip install onnx') from error
    return onnx, quantization


def _reader(quantization: Any, pipeline: Pipeline[Result], images: Images) -> Any:
    """Return what feeds the calibration an image at a time, and counts them."""
    rows = iter(images())

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        count = 0

        def get_next(self) -> Mapping[str, NDArray[Any]] | None:
            """Return the model's inputs for the next image."""
            image = next(rows, None)
            if image is None:
                return None
            self.count += 1
            batch = pipeline.new_batch()
            batch.add(image, 'bgr')
            return batch.tensors

    return Reader()


def _quantize(
    tools: tuple[Any, Any], path: Path, work: Path, output: Path, reader: Any, target: Target,
) -> None:
    onnx, quantization = tools
    symmetric = target == 'tensorrt'
    try:
        loaded = _load(onnx, path)
        weights = {item.name for item in loaded.graph.initializer}
        for item in [item for item in loaded.graph.input if item.name in weights]:
            loaded.graph.input.remove(item)
        loaded.ir_version = max(loaded.ir_version, 4)
        version = next((item.version for item in loaded.opset_import
                        if item.domain in ('', 'ai.onnx')), 0)
        if version < _OPSET:
            loaded = onnx.version_converter.convert_version(loaded, _OPSET)
        newer, prepared = work / 'newer.onnx', work / 'prepared.onnx'
        onnx.save(loaded, str(newer))
        quantization.quant_pre_process(
            str(newer), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared), str(output), reader, quant_format=quantization.QuantFormat.QDQ,
            per_channel=True, nodes_to_exclude=_tail(onnx.load(str(prepared))),
            activation_type=(
                quantization.QuantType.QInt8 if symmetric else quantization.QuantType.QUInt8),
            weight_type=quantization.QuantType.QInt8,
            extra_options={'ActivationSymmetric': symmetric, 'WeightSymmetric': True,
                           'QuantizeBias': not symmetric})
    except (InputError, EngineError):
        raise
    except Exception as error:  # noqa: B902 -- neither package has a base of its exceptions
        # Without an image it fails too; the caller has a better message.
        if reader.count:
            reason = ' '.join(str(error).split())[:300]
            raise EngineError(f'{path}: it cannot be quantized: {reason}') from error


def _halve(onnx: Any, path: Path, output: Path) -> None:
    """Write a model whose floats have 16 bits inside, between inputs and outputs of 32."""
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(_load(onnx, path), keep_io_types=True), str(output))
    except Exception as error:  # noqa: B902 -- neither package has a base of its exceptions
        reason = ' '.join(str(error).split())[:300]
        raise EngineError(f'{path}: it cannot be written in 16 bits: {reason}') from error


def _load(onnx: Any, path: Path) -> Any:
    return load_onnx(onnx, path, weight_files(path, read_onnx(path)))


def _tail(model: Any) -> list[str]:
    """
    Return the nodes behind the last layers with weights, which join coordinates and scores.

    Their ranges are unlike: 256 steps for both would leave nothing of the scores.
    """
    needed: set[str] = set()
    tail = []
    for node in reversed(model.graph.node):
        if node.op_type in _LAYERS or needed.intersection(node.output):
            needed.update(node.input)
        elif node.name:
            tail.append(node.name)
    return tail


def _agreement(before: Pipeline[Result], after: Pipeline[Result], images: Images) -> float:
    """Return the share of results that are the same."""
    shares = [_share(before(image, 'bgr'), after(image, 'bgr')) for image in images()]
    return float(np.mean(shares)) if shares else 0.0


def _share(one: Result, other: Result) -> float:
    if isinstance(one, Classification) and isinstance(other, Classification):
        return float(one.class_ids[:1].tolist() == other.class_ids[:1].tolist())
    if isinstance(one, Segmentation) and isinstance(other, Segmentation):
        return float((one.label_image == other.label_image).mean())
    if isinstance(one, Embedding) and isinstance(other, Embedding):
        return max(0.0, one.cosine_similarity(other))
    assert isinstance(one, Detections) and isinstance(other, Detections)
    total = len(one.boxes) + len(other.boxes)
    found = _also_in(one, other) + _also_in(other, one)
    return found / total if total else 1.0


def _also_in(one: Detections, other: Detections) -> int:
    """Return how many boxes the other result has too."""
    count = 0
    for box, class_id in zip(one.boxes, one.class_ids):
        low = np.maximum(box[:2], other.boxes[:, :2])
        high = np.minimum(box[2:], other.boxes[:, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        areas = (other.boxes[:, 2:] - other.boxes[:, :2]).prod(axis=1)
        union = (box[2:] - box[:2]).prod() + areas - shared
        count += bool(((shared >= _OVERLAP * union) & (other.class_ids == class_id)).any())
    return count
