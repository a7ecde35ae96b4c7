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

"""The order of the steps, and the Python API of one call: image in, answer out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
import logging
from pathlib import Path
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from ros2_classify.autoconfig.complete import complete
from ros2_classify.download.options import FetchOptions
from ros2_classify.engines import Engine, EngineSettings, open_engine, parallel_runs, Tensors
from ros2_classify.engines.settings import MAX_BATCH
from ros2_classify.errors import OptionsError
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor import ModelDescriptor, Task
from ros2_classify.model.files import model_file
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options
from ros2_classify.postprocess.postprocessor import ResultMaker
from ros2_classify.preprocess.batch import Batch, batchable, differs_in_batch, split
from ros2_classify.preprocess.extra_inputs import ExtraInputs
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.preprocess.preprocessor import Image
from ros2_classify.results.results import Result

if TYPE_CHECKING:
    from ros2_classify.convert.options import ConvertOptions

_LOGGER = logging.getLogger(__name__)

# For models that take images of any size.
_WARM_UP_SIZE = (640, 480)


class Pipeline:
    """
    A model ready to answer: ``Pipeline.load('cards_detector')(image)``.

    The steps are public too, so that a caller can overlap them and run several images at once::

        batch = pipeline.new_batch()
        batch.add(image, 'bgr')
        outputs = pipeline.infer(batch)
        result = pipeline.postprocess(outputs[0], batch.geometries[0])

    Any thread may call any of it: runs of the model take turns, or go on side by side where the
    engine allows it (`parallel`), and calls of the pipeline itself take turns. A batch serves one
    thread at a time.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Complete, as `ros2_classify.autoconfig.complete.complete` returns it.
    engine : Engine
        The model; the pipeline closes it.
    labels : Labels or None
        The names; None names each class by its id.
    max_batch : int
        Run at most so many images at once, where the model can. Above 1 it is tried out: the
        model runs a few times.

    Attributes
    ----------
    file : Path or None
        The model's own file, where it was loaded from one.
    engine_time : float
        Seconds that the engine needed to start with it, such as for building an engine of
        TensorRT; 0 where the engine was given.

    Raises
    ------
    OptionsError
        If ``max_batch`` is out of its range.

    """

    def __init__(
        self, descriptor: ModelDescriptor, engine: Engine, labels: Labels | None = None, *,
        max_batch: int = 1,
    ) -> None:
        if isinstance(max_batch, bool) or not isinstance(max_batch, (int, np.integer)) or not (
                1 <= max_batch <= MAX_BATCH):
            raise OptionsError(
                f'max_batch is {max_batch!r} but must be a whole number from 1 to {MAX_BATCH}')
        self._results = ResultMaker(descriptor, labels)
        self._descriptor = descriptor
        self._engine = engine
        self._input_name = descriptor.input.name or engine.inputs[0].name
        self._extra = ExtraInputs(descriptor.input.extra, engine.inputs)
        # Some models, those of torchvision among them, take one image without a batch.
        self._unbatched = any(tensor.name == self._input_name and len(tensor.shape) == 3
                              for tensor in engine.inputs)
        self.file: Path | None = None
        self.engine_time = 0.0
        self._parallel = parallel_runs(engine)
        self._running = threading.Semaphore(self._parallel)
        self._closing = threading.Lock()
        self._calling = threading.Lock()
        self._max_batch = int(max_batch)
        if max_batch > 1 and not self._takes_batches():
            self._max_batch = 1
        self._batch = self.new_batch()

    @classmethod
    def load(
        cls, model: str | Path | ModelDescriptor, *, provider: str | None = None,
        threads: int | None = None, max_batch: int | None = None,
        fetch: FetchOptions | None = None, convert: ConvertOptions | None = None,
        engine: EngineSettings | None = None, opening: Callable[[], object] | None = None,
    ) -> Pipeline:
        """
        Load a model and all it needs.

        Parameters
        ----------
        model : str, Path or ModelDescriptor
            A name from the catalogue, a descriptor file, a bare model file (``.onnx``,
            ``.pb``, a SavedModel's directory), the address of one, or a descriptor.
        provider : str, optional
            Who shall run it: 'auto' (where nothing is said), 'cpu', 'cuda', …; short for that
            of ``engine``.
        threads : int, optional
            Threads for one inference; 0 chooses; short for those of ``engine``.
        max_batch : int, optional
            Run at most so many images at once, where the model can (see `max_batch`); short
            for that of ``engine``.
        fetch : FetchOptions, optional
            How a file that is named by an address is fetched.
        convert : ConvertOptions, optional
            How a TensorFlow model is converted; None means with the cache and the cancel of
            ``fetch``.
        engine : EngineSettings, optional
            All that can be set about who runs it.
        opening : callable, optional
            Called when all files are there, converted where that is needed, before the engine
            starts; what follows can't be cancelled.

        Returns
        -------
        Pipeline
            Ready; its first answer is slower than the others, unless ``warm_up`` comes first.

        Raises
        ------
        ModelNotFoundError, IntegrityError, FetchError, ArchiveError, DescriptorError,
        LabelsError, ConversionError, EngineError, OptionsError
            Whatever stands in the way, in one sentence.

        """
        declared = resolve(model)
        path = model_file(declared, fetch)
        labels = declared.load_labels()
        if declared.format in ('frozen_graph', 'saved_model'):
            # Imported where it is used: most models are ONNX.
            from ros2_classify.convert.api import to_onnx
            from ros2_classify.convert.options import ConvertOptions

            path = to_onnx(declared, path, convert or ConvertOptions.like(fetch))
        settings = engine or EngineSettings()
        if max_batch is not None:
            settings = settings.replace(max_batch=max_batch)
        if opening is not None:
            opening()
        begun = time.perf_counter()
        opened = open_engine(
            path, 'onnx', provider=provider, threads=threads, settings=settings)
        engine_time = time.perf_counter() - begun
        try:
            descriptor = complete(declared, opened.inputs, opened.outputs, opened.metadata)
            # The file's own metadata may hold names where the descriptor has none.
            pipeline = cls(
                descriptor, opened, labels or descriptor.load_labels(),
                max_batch=settings.max_batch)
            pipeline.file = path
            pipeline.engine_time = engine_time
            return pipeline
        except BaseException:
            opened.close()
            raise

    @property
    def descriptor(self) -> ModelDescriptor:
        """The model's descriptor, complete."""
        return self._descriptor

    @property
    def task(self) -> Task:
        """What the answers are: 'classification', 'detection' or 'segmentation'."""
        return self._results.task

    @property
    def gives_masks(self) -> bool:
        """Whether its detections have masks; known from the first answer on."""
        return self._results.gives_masks

    @property
    def labels(self) -> Labels | None:
        """The names of the classes, where there are any."""
        return self._results.labels

    @property
    def engine(self) -> Engine:
        """Who runs the model."""
        return self._engine

    @property
    def options(self) -> Options:
        """What counts where a call doesn't say otherwise: the descriptor's defaults."""
        return self._results.options

    @property
    def parallel(self) -> int:
        """How many threads may run the model at the same time, each with a batch of its own."""
        return self._parallel

    @property
    def max_batch(self) -> int:
        """How many images the model is run on at once: 1 where it takes no more."""
        return self._max_batch

    def limit_batch(self, most: int) -> None:
        """
        Run at most so many images at once from now on; batches made before stay as they are.

        Parameters
        ----------
        most : int
            1 or more; it never raises `max_batch`.

        """
        self._max_batch = max(1, min(self._max_batch, most))
        with self._calling:
            self._batch = self.new_batch()

    def __call__(
        self, image: Image, color: str = 'rgb', options: Options | None = None,
    ) -> Result:
        """
        Answer for one image.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W), (H, W, 3) or (H, W, 4)
            The pixels; never modified.
        color : str
            What its channels are: 'mono', 'rgb', 'bgr', 'rgba' or 'bgra'. Images from
            ``cv2.imread`` are 'bgr'.
        options : Options, optional
            Thresholds and limits of this call.

        Returns
        -------
        Classification, Detections or Segmentation
            Best first, boxes in the image's pixels.

        Raises
        ------
        InputError
            If the array is no such image.
        EngineError
            If the model fails.
        OutputError
            If its outputs aren't what the descriptor says.

        """
        return self.many((image,), color, options)[0]

    def many(
        self, images: Iterable[Image], color: str = 'rgb', options: Options | None = None,
    ) -> list[Result]:
        """
        Answer for several images, as many at once as the model takes (`max_batch`).

        Parameters
        ----------
        images : iterable of ndarray of uint8
            The images, of any sizes; see ``__call__``.
        color : str
            What the channels of all of them are.
        options : Options, optional
            Thresholds and limits of this call.

        Returns
        -------
        list of Classification, Detections or Segmentation
            One for each image, in their order; the inference time of each is that of the run
            it was part of.

        Raises
        ------
        InputError, EngineError, OutputError
            As ``__call__`` does; the first image that fails ends all.

        """
        results: list[Result] = []
        with self._calling:
            batch = self._batch
            rest = iter(images)
            while True:
                batch.clear()
                times: list[float] = []
                for image in islice(rest, batch.capacity):
                    start = time.perf_counter()
                    batch.add(image, color)
                    times.append(time.perf_counter() - start)
                if not times:
                    return results
                start = time.perf_counter()
                found = self.infer(batch)
                taken = time.perf_counter() - start
                for outputs, geometry, seconds in zip(found, batch.geometries, times):
                    results.append(self.postprocess(
                        outputs, geometry, options, preprocess_time=seconds,
                        inference_time=taken))

    def new_batch(self) -> Batch:
        """
        Return an empty batch: the first step of a call fills it.

        Returns
        -------
        Batch
            For `max_batch` images, with buffers of its own.

        """
        return Batch(self._descriptor.input, self._input_name, self._extra, self._max_batch,
                     unbatched=self._unbatched)

    def infer(self, batch: Batch) -> list[Tensors]:
        """
        Run the model: the second step of a call.

        Parameters
        ----------
        batch : Batch
            Images, one at least.

        Returns
        -------
        list of dict of str to ndarray
            The model's outputs for each image, with a batch axis of 1 where the model has
            one. Valid until the batch is run again.

        Raises
        ------
        EngineError
            If the model fails.
        OutputError
            If the outputs of several images can't be told apart.

        """
        with self._running:
            return split(batch.run(self._engine), len(batch))

    def postprocess(
        self, outputs: Tensors, geometry: Geometry, options: Options | None = None, *,
        preprocess_time: float = 0.0, inference_time: float = 0.0, start: float | None = None,
    ) -> Result:
        """
        Turn the outputs for one image into an answer: the last step of a call.

        Parameters
        ----------
        outputs : dict of str to ndarray
            What ``infer`` gave for it.
        geometry : Geometry
            That of the image.
        options : Options, optional
            Thresholds and limits of this call.
        preprocess_time, inference_time : float
            Seconds the other two steps took, for the answer's timing.
        start : float, optional
            When this step began, on the clock of ``time.perf_counter``; None means now.

        Returns
        -------
        Classification, Detections or Segmentation
            The answer; nothing of it lies in the outputs' memory.

        Raises
        ------
        OutputError
            If the outputs aren't what the descriptor says.

        """
        return self._results(
            outputs, geometry, options, preprocess_time=preprocess_time,
            inference_time=inference_time, start=start)

    def warm_up(self) -> Result:
        """
        Answer once for a grey image, so that the first real one is as quick as the others.

        Returns
        -------
        Classification, Detections or Segmentation
            The answer, with the time it took.

        Raises
        ------
        EngineError, OutputError
            If the model fails, or its outputs don't fit the decoder or the labels.

        """
        declared = self._descriptor.input.size
        width, height = declared if isinstance(declared, tuple) else _WARM_UP_SIZE
        return self(np.full((height, width, 3), 127, np.uint8))

    def close(self) -> None:
        """Free the model; closing twice does nothing."""
        with self._closing:
            for _ in range(self._parallel):
                self._running.acquire()
            try:
                self._engine.close()
            finally:
                self._running.release(self._parallel)

    def __enter__(self) -> Pipeline:
        """Return the pipeline; it is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the model."""
        self.close()

    def _takes_batches(self) -> bool:
        """Tell whether the model gives the same in a batch as for each image by itself."""
        engine = self._engine
        model = self._descriptor.origin or self._descriptor.name
        if not batchable(self._descriptor.input, self._input_name, engine.inputs, engine.outputs,
                         self._extra):
            _LOGGER.info('%s: the model takes one image at a time', model)
            return False
        reason = differs_in_batch(self.new_batch(), self.infer)
        if reason:
            _LOGGER.warning('%s: the model is run on one image at a time: %s', model, reason)
        return not reason
