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

"""The last step of the pipeline: from the model outputs to a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import logging
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.decoders import (
    Candidates, ClassScores, DecodeContext, DECODERS, PixelClasses, Vector)
from ros2_classify.decoders.base import check_score, find_name, ScoreError, Watched
from ros2_classify.decoders.boxes import upright
from ros2_classify.engines import Quantization, Tensors, TensorSpec
from ros2_classify.errors import DescriptorError, OptionsError, OutputError
from ros2_classify.filters import class_filter, ClassFilter, colors_by_label, size_passes
from ros2_classify.model.descriptor import ModelDescriptor, OutputSpec, Task
from ros2_classify.model.labels import Labels
from ros2_classify.options import default_options, MAX_COUNT, ONE_TILE, Options
from ros2_classify.postprocess.label_image import classes_on, label_image, only_classes
from ros2_classify.postprocess.nms import ioa_filter, non_maximum_suppression
from ros2_classify.postprocess.oriented import rotated_suppression, to_source
from ros2_classify.postprocess.result_checks import ResultChecks
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.preprocess.views import inside, outside_mask
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.masks import InstanceMasks, Masks, PrototypeMasks
from ros2_classify.results.results import (
    Classification, Detections, Embedding, Result, Segmentation, Timing)

_BYTES = 2  # wider whole numbers are counts and class ids


class Dequantizer:
    """Applies ``(stored - zero_point) * scale`` as the descriptor says, or else the file."""

    def __init__(
        self, outputs: Sequence[OutputSpec], tensors: Sequence[TensorSpec], model: str,
    ) -> None:
        whole = [tensor for tensor in tensors
                 if tensor.dtype.kind in 'iu' and tensor.dtype.itemsize <= _BYTES]
        self._known = {tensor.name: tensor.quantization for tensor in whole
                       if tensor.quantization is not None}
        for output in outputs:
            if output.scale is None:
                continue
            # Each of several heads speaks of the outputs that it names.
            mine = [tensor.name for tensor in whole
                    if len(outputs) == 1 or find_name(_named(output.options), tensor.name)]
            if not mine:
                raise DescriptorError(
                    f'{model}: output.scale is for outputs of whole numbers with 8 or 16 bits, '
                    f'but the model has {"; ".join(map(str, tensors))}; remove it')
            self._known.update(dict.fromkeys(
                mine, Quantization(output.scale, output.zero_point or 0)))

    def __call__(self, outputs: Tensors) -> Tensors:
        """Return the outputs, float32 in place of quantized ones."""
        if not self._known:
            return outputs
        real = dict(outputs)
        for name, (scale, zero_point) in self._known.items():
            if name in real and real[name].dtype.kind in 'iu':
                # Exact: 16 bits and their difference fit into a float32.
                stored = real[name].astype(np.float32) - np.float32(zero_point)
                real[name] = stored * np.float32(scale)
        return real


def _named(value: Any) -> dict[str, Any]:
    """Return all texts in options, which include the names of model outputs."""
    if isinstance(value, str):
        return {value: None}
    inner = value.values() if isinstance(value, Mapping) else (
        value if isinstance(value, tuple) else ())
    return {name: None for each in inner for name in _named(each)}


_LOGGER = logging.getLogger(__name__)
# Rows without a box may have a score of -1.
_PADDING = -1.01


class Postprocessor:
    """Turns model outputs into results; any number of threads may call it."""

    def __init__(self, descriptor: ModelDescriptor, labels: Labels | None = None) -> None:
        assert descriptor.output.decoder is not None, 'the descriptor is not complete'
        self._decoder = DECODERS[descriptor.output.decoder]
        self._decoder_name = descriptor.output.decoder
        self._model = descriptor.origin or descriptor.name
        self._decoder_options = self._decoder.load_options(
            descriptor.output.options, self._model, descriptor.directory)
        self._nms = descriptor.output.nms or ('per_class' if self._decoder.needs_nms else 'none')
        self._labels = labels
        self._label_count = None if labels is None else labels.class_count
        self._options = default_options(
            dataclasses.asdict(descriptor.defaults), self._decoder.task,
            multi_label=self._decoder.multi_label(self._decoder_options),
            nms_agnostic=self._nms == 'class_agnostic')
        self._class_count: int | None = None
        # The filter of the options that came last.
        self._filter: tuple[Options, Labels | None, ClassFilter | None] | None = None
        try:
            self.check_options(self._options)
        except OptionsError as error:
            raise DescriptorError(f'{self._model}: defaults.{error}') from error
        try:
            self._colors = colors_by_label(descriptor.colors, labels)
        except OptionsError as error:
            raise DescriptorError(f'{self._model}: {error}') from error
        self._checked = False
        self._gives_masks = self._gives_keypoints = False
        self._ignored: tuple[str, ...] = ()
        self.checks = ResultChecks(descriptor.name, labels)

    @property
    def task(self) -> Task:
        """The type of the results."""
        return self._decoder.task

    @property
    def gives_masks(self) -> bool:
        """Whether detections have masks; known after the first result."""
        return self._gives_masks

    @property
    def ignored(self) -> tuple[str, ...]:
        """What the model gives and nobody reads, and why; known after the first result."""
        return self._ignored

    @property
    def gives_keypoints(self) -> bool:
        """Whether detections have key points; known after the first result."""
        return self._gives_keypoints

    @property
    def labels(self) -> Labels | None:
        """The names of the classes, if there are any."""
        return self._labels

    @property
    def options(self) -> Options:
        """The default options of a call, from the descriptor."""
        return self._options

    def check_options(self, options: Options) -> None:
        """Raise OptionsError if they name classes that the model does not have."""
        self._class_filter(options)
        if options.tiles != ONE_TILE and self.task != 'detection':
            raise OptionsError(
                f'tiles are for detection, but the task of {self._model} is {self.task}; remove '
                'tiles')

    def _class_filter(self, options: Options) -> ClassFilter | None:
        if not options.classes and not options.class_thresholds:
            return None
        last = self._filter
        if last is None or last[1] is not self._labels or (
                last[0] is not options and last[0] != options):
            if self.task == 'embedding':
                raise OptionsError(
                    f'classes are for models that find some, but the task of {self._model} is '
                    'embedding; remove classes and class_thresholds')
            last = self._filter = (
                options, self._labels, class_filter(options, self._labels, self._class_count))
        return last[2]

    def __call__(
        self, outputs: Tensors, geometry: Geometry, options: Options | None = None, *,
        preprocess_time: float = 0.0, inference_time: float = 0.0, start: float | None = None,
    ) -> Result:
        """Turn the outputs for one image into a result; ``start`` is when this step began."""
        if start is None:
            start = time.perf_counter()
        chosen = self._options if options is None else options
        if not isinstance(chosen, Options):
            raise OptionsError(
                f'options is {chosen!r} but must be an Options, like '
                'pipeline.options.replace(top_k=3)')
        try:
            result = self._result(
                outputs, geometry, chosen, preprocess_time, inference_time, start)
        except ScoreError as error:
            self.checks.refused(error)
            raise
        if not isinstance(result, Embedding):
            self.checks.check_classes(result.class_ids)
        return result

    def _result(
        self, outputs: Tensors, geometry: Geometry, chosen: Options, preprocess_time: float,
        inference_time: float, start: float,
    ) -> Result:
        first = not self._checked
        if first:
            self._check_classes(outputs)
            outputs = Watched(outputs)
        classes = self._class_filter(chosen)
        decoded = self._decoder.decode(outputs, self._decoder_options, DecodeContext(
            input_size=geometry.model_size,
            score_threshold=chosen.score_threshold if classes is None else classes.least,
            # All, of which the filter leaves some.
            top_k=chosen.top_k if classes is None else MAX_COUNT,
            multi_label=chosen.multi_label, label_count=self._label_count))
        if isinstance(outputs, Watched):
            self._ignored = _ignored(outputs, self._decoder_name)
            self._check_outputs(outputs)
            if isinstance(decoded, Candidates):
                self._check_all_scores(outputs, geometry)
        if isinstance(decoded, ClassScores) and len(decoded.scores):
            check_score(decoded.scores[0])
        size = geometry.source_size
        if isinstance(decoded, Candidates):
            boxes, rows = self._select(decoded, geometry, chosen, classes)
            self._gives_masks = decoded.masks is not None
            self._gives_keypoints = decoded.points is not None
            found = decoded.select(rows)
            extras = details(found, geometry)
            names = self._names(found.class_ids)
            timing = Timing(preprocess_time, inference_time, time.perf_counter() - start)
            return Detections(boxes, found.class_ids, found.scores, names, size, timing,
                              colors=self._colors, **extras)
        if isinstance(decoded, PixelClasses):
            image = label_image(decoded, geometry)
            if len(chosen.roi) > 2:
                image[outside_mask(chosen.roi, size)] = decoded.unlabeled
            ignored = (decoded.background, decoded.unlabeled)
            if classes is None:
                class_ids, parts = classes_on(image, ignored, chosen.score_threshold)
            else:
                image = only_classes(image, classes.class_ids, decoded)
                class_ids, parts = classes_on(image, ignored, 0.0)
                passes = classes.passes(class_ids, parts)
                class_ids, parts = class_ids[passes], parts[passes]
            names = self._names(class_ids)
            timing = Timing(preprocess_time, inference_time, time.perf_counter() - start)
            return Segmentation(image, class_ids, parts, names, size, timing, decoded.background,
                                colors=self._colors)
        if isinstance(decoded, Vector):
            timing = Timing(preprocess_time, inference_time, time.perf_counter() - start)
            return Embedding(decoded.values, size, timing)
        class_ids, scores = decoded.class_ids, decoded.scores
        if classes is not None:
            rows = np.flatnonzero(classes.passes(class_ids, scores))
            rows = rows if chosen.multi_label else rows[:chosen.top_k]
            class_ids, scores = class_ids[rows], scores[rows]
        names = self._names(class_ids)
        timing = Timing(preprocess_time, inference_time, time.perf_counter() - start)
        return Classification(class_ids, scores, names, size, timing, colors=self._colors)

    def _select(
        self, found: Candidates, geometry: Geometry, options: Options,
        classes: ClassFilter | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return boxes in source pixels and their rows, best first, overlaps suppressed."""
        filtered = options.ioa_threshold > 0.0
        # What is dropped suppresses nothing.
        wanted = self._wanted(found, geometry, options, classes)
        scores = found.scores if wanted is None else found.scores[wanted]
        if self._nms != 'none' or options.nms_agnostic:
            rows = _without_overlaps(
                found if wanted is None else found.select(wanted), options)
        else:
            rows = np.argsort(-scores, kind='stable')[:options.max_candidates]
        rows = rows if wanted is None else wanted[rows]
        if len(rows):
            check_score(found.scores[rows[0]])
        boxes = found.boxes[rows]
        self.checks.check_boxes(
            boxes, geometry.given_box if found.in_source_pixels else geometry.model_box)
        if found.oriented is not None and not found.in_source_pixels:
            boxes = geometry.clip(upright(to_source(found.oriented[rows], geometry)))
        elif found.in_source_pixels:
            boxes = geometry.clip(on_source(boxes, found, geometry))
        else:
            boxes = geometry.to_source(boxes)
        # Boxes outside of the image and inverted boxes have no area.
        real = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        if not real.all():
            boxes, rows = boxes[real], rows[real]
        limit = options.max_detections
        if filtered and found.oriented is not None:
            kept = rotated_suppression(
                found.oriented[rows], found.scores[rows], found.class_ids[rows],
                options.ioa_threshold, smaller=True)[:limit]
            return boxes[kept], rows[kept]
        if filtered:
            kept = ioa_filter(
                boxes, found.scores[rows], found.class_ids[rows], options.ioa_threshold, limit)
            return boxes[kept], rows[kept]
        return boxes[:limit], rows[:limit]

    def _wanted(
        self, found: Candidates, geometry: Geometry, options: Options,
        classes: ClassFilter | None,
    ) -> NDArray[np.int64] | None:
        """Return the rows that pass the filters; None if there are no filters."""
        passes = None if classes is None else classes.passes(found.class_ids, found.scores)
        sized = options.min_area > 0.0 or options.max_area < 1.0
        # The box around a region of interest is all that the model sees; a polygon is less.
        if sized or len(options.roi) > 2:
            boxes = geometry.clip(on_source(found.boxes, found, geometry))
            passes = np.ones(len(found), np.bool_) if passes is None else passes
            if sized:
                passes &= size_passes(boxes, geometry.source_size, options)
            if len(options.roi) > 2:
                centers = (boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2
                passes &= inside(options.roi, geometry.source_size, centers[:, 0], centers[:, 1])
        return None if passes is None else np.flatnonzero(passes)

    def _names(self, class_ids: NDArray[np.int64]) -> NDArray[np.object_]:
        if self._labels is not None:
            return self._labels.names(class_ids)
        return np.array([str(class_id) for class_id in class_ids.tolist()], dtype=object)

    def _check_classes(self, outputs: Tensors) -> None:
        """Compare the number of classes with that of the labels, once."""
        count = self._decoder.class_count(outputs, self._decoder_options)
        self._class_count = count
        labels = self._labels
        if count is not None and labels is not None and (shifted := labels.from_zero(count)):
            _LOGGER.warning(
                '%s: the labels are counted from 1 to %d, but the model has the classes 0 to %d; '
                'they are counted from 0 now: 0 is %s', self._model, count, count - 1,
                shifted.name(0))
            self._labels = labels = shifted
            self.checks.set_labels(shifted)
            self._label_count = shifted.class_count
        if count is not None and labels is not None:
            last = max(class_id for class_id, _ in labels.items())
            # Labels without gaps must be complete; a map with gaps may name some classes only.
            if last >= count or (len(labels) == last + 1 != count):
                raise OutputError(
                    f'{self._model}: labels {len(labels)}, '
                    f'outputs {count}: the labels end at id {last}, but the model has '
                    f'{count} classes (0 to {count - 1}, with a background class); use the '
                    'label file of this model, or fill unused ids with ???'
                    + ('; if the one score is that of the second label, set output.binary: true'
                       if self.task == 'classification' and (count, last) == (1, 1) else ''))
        self._checked = True

    def _check_outputs(self, outputs: Tensors) -> None:
        """Warn, once, about numbers that point to wrong preprocessing."""
        for name, array in outputs.items():
            if array.dtype.kind == 'f' and array.size and np.isnan(array).all():
                _LOGGER.warning(
                    '%s: the output %r holds only NaN, so nothing will be found; usual causes are '
                    'a float16 overflow and wrong preprocessing', self._model,
                    name)

    def _check_all_scores(self, outputs: Tensors, geometry: Geometry) -> None:
        """Refuse logits, once, also where none of them is above the threshold."""
        found = self._decoder.decode(outputs, self._decoder_options, DecodeContext(
            input_size=geometry.model_size, score_threshold=-np.inf,
            label_count=self._label_count))
        if isinstance(found, Candidates) and len(found):
            least = found.scores.min()
            if least < _PADDING:
                # The next result would be as wrong.
                self._checked = False
                raise ScoreError(float(least))


def _without_overlaps(found: Candidates, options: Options) -> NDArray[np.int64]:
    """Return the rows that stay after non-maximum suppression, best first."""
    ids = np.zeros_like(found.class_ids) if options.nms_agnostic else found.class_ids
    if found.oriented is not None:
        return rotated_suppression(found.oriented, found.scores, ids, options.nms_iou,
                                   candidates=options.max_candidates)
    return non_maximum_suppression(found.boxes, found.scores, ids, options.nms_iou,
                                   candidates=options.max_candidates)


def _ignored(outputs: Watched, decoder: str) -> tuple[str, ...]:
    """Return a sentence for each output, or part of one, that the decoder did not read."""
    return (*outputs.ignored, *(
        f'the output {name!r} {array.dtype} {list(array.shape)}: the decoder {decoder} has no use '
        'for it as the descriptor stands'
        for name, array in outputs.items() if name not in outputs.read))


# Beyond any image.
_FAR = 1e6


def details(found: Candidates, geometry: Geometry) -> dict[str, Any]:
    """Return masks, key points and oriented boxes as fields of `Detections`, None for none."""
    oriented = found.oriented
    if oriented is not None:
        oriented = to_source(oriented, geometry) if not found.in_source_pixels else (
            oriented + np.array((*geometry.origin, 0, 0, 0), np.float32))
    return {'masks': _masks(found, geometry), 'keypoints': _keypoints(found, geometry),
            'oriented': oriented}


def on_source(
    boxes: NDArray[np.float32], found: Candidates, geometry: Geometry,
) -> NDArray[np.float32]:
    """Map boxes of a decoder to source pixels; they may leave the image."""
    if not found.in_source_pixels:
        return geometry.to_source(boxes, clip=False)
    return boxes if geometry.crop is None else boxes + np.array(geometry.origin * 2, np.float32)


def _masks(found: Candidates, geometry: Geometry) -> Masks | None:
    """Return the masks, each with its box before clipping, or with the whole input."""
    if found.masks is None:
        return None
    boxes = on_source(found.boxes, found, geometry)
    whole = geometry.to_source(
        np.array([(0, 0, *geometry.model_size)], np.float32), clip=False)
    if found.prototypes is not None:
        x1, y1, x2, y2 = whole[0].tolist()
        # A copy: the model's memory is used again.
        return PrototypeMasks(found.masks, found.prototypes.copy(), (x1, y1, x2, y2), boxes)
    if found.masks_fill_input:
        boxes = np.repeat(whole, len(boxes), axis=0)
    return InstanceMasks(found.masks, boxes)


def _keypoints(found: Candidates, geometry: Geometry) -> Keypoints | None:
    if found.points is None:
        return None
    places = found.points.values[..., :2]
    if found.in_source_pixels:
        places = places + geometry.origin
    else:
        scale = np.array((geometry.scale_x, geometry.scale_y))
        places = places * scale + (geometry.offset_x, geometry.offset_y)
    places = np.clip(places, -_FAR, _FAR).astype(np.float32)
    return Keypoints(places, found.points.values[..., 2],
                     found.points.names, found.points.skeleton)
