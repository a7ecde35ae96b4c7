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

"""The order of the steps, and the Python API of one call: picture in, answer out."""

from __future__ import annotations

from dataclasses import dataclass
import logging
from pathlib import Path
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ros2_classify.catalog import resolve
from ros2_classify.completion import complete
from ros2_classify.decoders import (
    Candidates, ClassScores, DecodeContext, Decoded, DECODERS, PixelClasses)
from ros2_classify.descriptor import ModelDescriptor, Task
from ros2_classify.engines import Engine, open_engine, Tensors
from ros2_classify.errors import OptionsError, OutputError
from ros2_classify.extra_inputs import ExtraInputs
from ros2_classify.label_image import classes_on, label_image
from ros2_classify.labels import Labels
from ros2_classify.masks import InstanceMasks
from ros2_classify.nms import ioa_filter, non_maximum_suppression
from ros2_classify.options import default_options, Options
from ros2_classify.preprocess import Geometry, Image, Preprocessor
from ros2_classify.results import Classification, Detections, Result, Segmentation, Timing
from ros2_classify.sources.options import FetchOptions
from ros2_classify.store import model_file

if TYPE_CHECKING:
    from ros2_classify.convert import ConvertOptions

_LOGGER = logging.getLogger(__name__)

# For networks that take pictures of any size.
_WARM_UP_SIZE = (640, 480)


@dataclass(frozen=True)
class Prepared:
    """
    A picture made ready for the network.

    Parameters
    ----------
    tensors : dict of str to ndarray
        The network's inputs; valid until the next call of ``preprocess``.
    geometry : Geometry
        How boxes map back to the picture.

    """

    tensors: Tensors
    geometry: Geometry


class Pipeline:
    """
    A model ready to answer: ``Pipeline.load('cards_detector')(image)``.

    The steps are public too, so that a caller can overlap them: ``preprocess``, ``infer`` and
    ``postprocess``, each called by one thread at a time. Calling the pipeline itself is safe
    from several threads; the calls take turns.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Complete, as `ros2_classify.completion.complete` returns it.
    engine : Engine
        The network; the pipeline closes it.
    labels : Labels or None
        The names; None names each class by its id.

    """

    def __init__(
        self, descriptor: ModelDescriptor, engine: Engine, labels: Labels | None = None,
    ) -> None:
        assert descriptor.output.decoder is not None, 'the descriptor is not complete'
        self._decoder = DECODERS[descriptor.output.decoder]
        self._decoder_options = self._decoder.parse_options(
            descriptor.output.options, descriptor.origin or descriptor.name)
        self._descriptor = descriptor
        self._engine = engine
        self._labels = labels
        self._label_count = None if labels is None else labels.class_count
        self._input_name = descriptor.input.name or engine.inputs[0].name
        self._preprocessor = Preprocessor(descriptor.input)
        self._extra = ExtraInputs(descriptor.input.extra, engine.inputs)
        # Some networks, those of torchvision among them, take one picture without a batch.
        self._unbatched = any(tensor.name == self._input_name and len(tensor.shape) == 3
                              for tensor in engine.inputs)
        self._options = default_options(
            descriptor.defaults, self._decoder.task,
            multi_label=self._decoder.multi_label(self._decoder_options))
        self._checked = False
        self._gives_masks = False
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls, model: str | Path | ModelDescriptor, *, provider: str = 'auto', threads: int = 0,
        fetch: FetchOptions | None = None, convert: ConvertOptions | None = None,
    ) -> Pipeline:
        """
        Load a model and all it needs.

        Parameters
        ----------
        model : str, Path or ModelDescriptor
            A name from the catalogue, a descriptor file, a bare network file (``.onnx``,
            ``.pb``, a SavedModel's folder), the address of one, or a descriptor.
        provider : str
            Who shall run it: 'auto', 'cpu', 'cuda', …; see
            `ros2_classify.engines.open_engine`.
        threads : int
            Threads for one inference; 0 chooses.
        fetch : FetchOptions, optional
            How a file that is named by an address is fetched.
        convert : ConvertOptions, optional
            How a TensorFlow model is converted; None means with the cache and the cancel of
            ``fetch``.

        Returns
        -------
        Pipeline
            Ready; its first answer is slower than the others, unless ``warm_up`` comes first.

        Raises
        ------
        ModelNotFoundError, IntegrityError, FetchError, ArchiveError, DescriptorError,
        LabelsError, ConversionError, EngineError
            Whatever stands in the way, in one sentence.

        """
        declared = resolve(model)
        path = model_file(declared, fetch)
        labels = declared.load_labels()
        if declared.format in ('frozen_graph', 'saved_model'):
            # Imported where it is used: most models are ONNX.
            from ros2_classify.convert import ConvertOptions, to_onnx

            path = to_onnx(declared, path, convert or ConvertOptions.like(fetch))
        engine = open_engine(path, 'onnx', provider=provider, threads=threads)
        try:
            descriptor = complete(declared, engine.inputs, engine.outputs, engine.metadata)
            # The file's own metadata may hold names where the descriptor has none.
            return cls(descriptor, engine, labels or descriptor.load_labels())
        except BaseException:
            engine.close()
            raise

    @property
    def descriptor(self) -> ModelDescriptor:
        """The model's descriptor, complete."""
        return self._descriptor

    @property
    def task(self) -> Task:
        """What the answers are: 'classification', 'detection' or 'segmentation'."""
        return self._decoder.task

    @property
    def gives_masks(self) -> bool:
        """Whether its detections have masks; known from the first answer on."""
        return self._gives_masks

    @property
    def labels(self) -> Labels | None:
        """The names of the classes, where there are any."""
        return self._labels

    @property
    def engine(self) -> Engine:
        """Who runs the network."""
        return self._engine

    @property
    def options(self) -> Options:
        """What counts where a call doesn't say otherwise: the descriptor's defaults."""
        return self._options

    def __call__(
        self, image: Image, color: str = 'rgb', options: Options | None = None,
    ) -> Result:
        """
        Answer for one picture.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W), (H, W, 3) or (H, W, 4)
            The pixels; never modified.
        color : str
            What its channels are: 'mono', 'rgb', 'bgr', 'rgba' or 'bgra'. Pictures from
            ``cv2.imread`` are 'bgr'.
        options : Options, optional
            Thresholds and limits of this call.

        Returns
        -------
        Classification, Detections or Segmentation
            Best first, boxes in the picture's pixels.

        Raises
        ------
        InputError
            If the array is no such picture.
        EngineError
            If the network fails.
        OutputError
            If its outputs aren't what the descriptor says.

        """
        with self._lock:
            start = time.perf_counter()
            prepared = self.preprocess(image, color)
            ready = time.perf_counter()
            outputs = self.infer(prepared)
            done = time.perf_counter()
            return self.postprocess(
                outputs, prepared.geometry, options,
                preprocess_time=ready - start, inference_time=done - ready, start=done)

    def preprocess(self, image: Image, color: str = 'rgb') -> Prepared:
        """
        Make a picture ready for the network: the first step of a call.

        Parameters
        ----------
        image : ndarray of uint8
            The pixels; see ``__call__``.
        color : str
            What its channels are.

        Returns
        -------
        Prepared
            Valid until the next call of this method.

        """
        tensor, geometry = self._preprocessor(image, color)
        picture = tensor[0] if self._unbatched else tensor
        return Prepared({self._input_name: picture, **self._extra(geometry)}, geometry)

    def infer(self, prepared: Prepared) -> Tensors:
        """
        Run the network: the second step of a call.

        Parameters
        ----------
        prepared : Prepared
            What ``preprocess`` gave.

        Returns
        -------
        dict of str to ndarray
            The network's outputs.

        """
        return self._engine.infer(prepared.tensors)

    def postprocess(
        self, outputs: Tensors, geometry: Geometry, options: Options | None = None, *,
        preprocess_time: float = 0.0, inference_time: float = 0.0, start: float | None = None,
    ) -> Result:
        """
        Turn outputs into an answer: the last step of a call.

        Parameters
        ----------
        outputs : dict of str to ndarray
            What ``infer`` gave.
        geometry : Geometry
            That of the picture.
        options : Options, optional
            Thresholds and limits of this call.
        preprocess_time, inference_time : float
            Seconds the other two steps took, for the answer's timing.
        start : float, optional
            When this step began, on the clock of ``time.perf_counter``; None means now.

        Returns
        -------
        Classification, Detections or Segmentation
            The answer.

        """
        if start is None:
            start = time.perf_counter()
        chosen = self._options if options is None else options
        if not isinstance(chosen, Options):
            raise OptionsError(
                f'options is {chosen!r} but must be an Options, like '
                'pipeline.options.replace(top_k=3)')
        first = not self._checked
        if first:
            self._check_classes(outputs)
        decoded = self._decoder.decode(outputs, self._decoder_options, DecodeContext(
            input_size=geometry.network_size, score_threshold=chosen.score_threshold,
            top_k=chosen.top_k, multi_label=chosen.multi_label, label_count=self._label_count))
        if first:
            self._check_scores(outputs, decoded)
        size = geometry.source_size
        if isinstance(decoded, Candidates):
            boxes, rows = self._select(decoded, geometry, chosen)
            masks = _masks(decoded, rows, geometry)
            self._gives_masks = masks is not None
            class_ids = decoded.class_ids[rows]
            names = self._names(class_ids)
            timing = Timing(preprocess_time, inference_time, time.perf_counter() - start)
            return Detections(boxes, class_ids, decoded.scores[rows], names, size, timing, masks)
        if isinstance(decoded, PixelClasses):
            image = label_image(decoded, geometry)
            class_ids, parts = classes_on(
                image, (decoded.background, decoded.unlabeled), chosen.score_threshold)
            names = self._names(class_ids)
            timing = Timing(preprocess_time, inference_time, time.perf_counter() - start)
            return Segmentation(image, class_ids, parts, names, size, timing, decoded.background)
        names = self._names(decoded.class_ids)
        timing = Timing(preprocess_time, inference_time, time.perf_counter() - start)
        return Classification(decoded.class_ids, decoded.scores, names, size, timing)

    def warm_up(self) -> Result:
        """
        Answer once for a grey picture, so that the first real one is as quick as the others.

        Returns
        -------
        Classification, Detections or Segmentation
            The answer, with the time it took.

        Raises
        ------
        EngineError, OutputError
            If the network fails, or its outputs don't fit the decoder or the labels.

        """
        declared = self._descriptor.input.size
        width, height = declared if isinstance(declared, tuple) else _WARM_UP_SIZE
        return self(np.full((height, width, 3), 127, np.uint8))

    def close(self) -> None:
        """Free the network; closing twice does nothing."""
        with self._lock:
            self._engine.close()

    def __enter__(self) -> Pipeline:
        """Return the pipeline; it is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the network."""
        self.close()

    def _select(
        self, found: Candidates, geometry: Geometry, options: Options,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return boxes on the picture and their rows: the best of what overlaps, best first."""
        filtered = options.ioa_threshold > 0.0
        if self._decoder.needs_nms:
            rows = non_maximum_suppression(
                found.boxes, found.scores, found.class_ids, options.nms_iou,
                candidates=options.max_candidates)
        else:
            rows = np.argsort(-found.scores, kind='stable')[:options.max_candidates]
        boxes = found.boxes[rows]
        boxes = geometry.clip(boxes) if found.in_source_pixels else geometry.to_source(boxes)
        # What lies beside the picture has no area left on it; so has a box turned inside out.
        real = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        boxes, rows = boxes[real], rows[real]
        limit = options.max_detections
        if filtered:
            kept = ioa_filter(
                boxes, found.scores[rows], found.class_ids[rows], options.ioa_threshold, limit)
            return boxes[kept], rows[kept]
        return boxes[:limit], rows[:limit]

    def _names(self, class_ids: NDArray[np.int64]) -> NDArray[np.object_]:
        if self._labels is not None:
            return self._labels.names(class_ids)
        return np.array([str(class_id) for class_id in class_ids.tolist()], dtype=object)

    def _check_classes(self, outputs: Tensors) -> None:
        """Compare the number of classes with the labels, once: their number never changes."""
        count = self._decoder.class_count(outputs, self._decoder_options)
        labels = self._labels
        if count is not None and labels is not None:
            last = max(class_id for class_id, _ in labels.items())
            # Labels without gaps must be all there; a map with gaps may name a few only.
            if last >= count or (len(labels) == last + 1 != count):
                raise OutputError(
                    f'{self._descriptor.origin or self._descriptor.name}: labels {len(labels)}, '
                    f'outputs {count}: the labels go up to id {last}, but the network tells '
                    f'{count} classes apart (0 to {count - 1}, a background class counted); use '
                    'the label file that belongs to this network, or fill unused ids with ???')
        self._checked = True

    def _check_scores(self, outputs: Tensors, decoded: Decoded) -> None:
        """Warn, once, of numbers that a right descriptor hardly ever gives."""
        model = self._descriptor.origin or self._descriptor.name
        for name, array in outputs.items():
            if array.dtype.kind == 'f' and array.size and np.isnan(array).all():
                _LOGGER.warning(
                    '%s: the output %r holds nothing but NaN, so nothing will be found; a '
                    'float16 overflow and wrong pre-processing are the usual causes', model, name)
        if isinstance(decoded, ClassScores) and len(decoded.scores) and decoded.scores[0] > 1.01:
            _LOGGER.warning(
                '%s: the best score is %.3g, but probabilities end at 1; if the network gives '
                'logits, say output.activation: softmax (or sigmoid, for independent classes)',
                model, decoded.scores[0])


def _masks(
    found: Candidates, rows: NDArray[np.int64], geometry: Geometry,
) -> InstanceMasks | None:
    """Return the masks of some rows, each on the frame that its box was before it was cut."""
    if found.masks is None:
        return None
    frames = found.boxes[rows]
    if not found.in_source_pixels:
        frames = geometry.to_source(frames, clip=False)
    return InstanceMasks(found.masks[rows], frames)
