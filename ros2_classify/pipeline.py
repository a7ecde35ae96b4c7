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

"""The steps from an image to a result, and the Python API that runs them in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
import logging
from pathlib import Path
import threading
import time
from types import TracebackType
from typing import Any, cast, Generic, Literal, overload, TYPE_CHECKING, TypeVar

import numpy as np

from ros2_classify.autoconfig.complete import complete
from ros2_classify.cascade.stages import key_of, SharedModel, Stages, unchanged_model
from ros2_classify.clips.methods import ClipMethods
from ros2_classify.clips.model import ClipModel, voted
from ros2_classify.download.options import FetchOptions
from ros2_classify.engines import (
    Engine, EngineSettings, most_images, open_engine, parallel_runs, Tensors)
from ros2_classify.engines.external_data import check_weights
from ros2_classify.engines.hardware import check_memory
from ros2_classify.engines.remote import needs_file, open_remote, remote_url_of
from ros2_classify.engines.settings import MAX_BATCH
from ros2_classify.engines.tuning_record import Tuned, tuned
from ros2_classify.errors import DescriptorError, EngineError, OptionsError
from ros2_classify.image_io import read_image
from ros2_classify.model.catalog import encoder_model, resolve, stage_models
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor, OutputSpec, Task
from ros2_classify.model.descriptor_writer import meaning_of
from ros2_classify.model.files import model_file
from ros2_classify.model.labels import Labels
from ros2_classify.options import ONE_TILE, Options
from ros2_classify.postprocess.postprocessor import Dequantizer, Postprocessor
from ros2_classify.postprocess.result_checks import ResultChecks
from ros2_classify.postprocess.tiles import merge
from ros2_classify.preprocess.batch import Batch, batchable, differs_in_batch, split
from ros2_classify.preprocess.extra_inputs import ExtraInputs
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.preprocess.preprocessor import check_image, Image
from ros2_classify.preprocess.views import tile_views, view_of
from ros2_classify.results.results import (
    Classification, Detections, Embedding, Result, Segmentation, Timing)

if TYPE_CHECKING:
    from ros2_classify.convert.options import ConvertOptions

_LOGGER = logging.getLogger(__name__)

# For models that take images of any size.
_WARM_UP_SIZE = (640, 480)
Found = TypeVar('Found', bound=Result, covariant=True)


class Pipeline(ClipMethods, Generic[Found]):
    """
    A model that is loaded and ready to run.

    Use `Pipeline.load` to make one, and call it with an image. Give ``load`` the task that you
    expect: the results are then of this type for type checkers too.

    The steps of a call are methods as well, so that a caller can overlap them and run several
    images at once: see `new_batch`, `infer` and `postprocess`.

    Any thread may call any method. Runs of the model take turns, or run side by side if the
    engine allows it (`parallel`). A batch serves one thread at a time.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Complete, as `ros2_classify.autoconfig.complete.complete` returns it.
    engine : Engine
        The model; the pipeline closes it.
    labels : Labels, optional
        The names of the classes; without them, each is named by its id.
    max_batch : int
        The maximum number of images in one run. Above 1 the model runs a few times to test
        whether it takes batches.

    Attributes
    ----------
    file : Path or None
        The model file, if it was loaded from one.
    engine_time : float
        Seconds that the engine needed to start, such as to build a TensorRT engine.
    tuning : Tuned or None
        What ``models tune`` measured for this model on this machine: ``text`` says which record
        is used and what it gains, ``settings`` are those that the engine has. None if it was not
        loaded from a file.
    stages : Stages or None
        The further models of a cascade; None for any other model.
    encoder : Pipeline or None
        The model that sees the frames first (`clip.encoder`); None for any other model.

    Raises
    ------
    OptionsError
        If ``max_batch`` is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Pipeline
    >>> image = np.zeros((240, 320, 3), np.uint8)
    >>> with Pipeline.load('cards_detector', task='detection') as pipeline:
    ...     found = pipeline(image, 'bgr')
    >>> found.boxes.shape
    (0, 4)

    """

    def __init__(
        self, descriptor: ModelDescriptor, engine: Engine, labels: Labels | None = None, *,
        max_batch: int = 1,
    ) -> None:
        if isinstance(max_batch, bool) or not isinstance(max_batch, (int, np.integer)) or not (
                1 <= max_batch <= MAX_BATCH):
            raise OptionsError(
                f'max_batch is {max_batch!r} but must be a whole number from 1 to {MAX_BATCH}')
        clip = descriptor.clip
        self._postprocess = Postprocessor(
            voted(descriptor) if clip is not None and clip.vote else descriptor, labels)
        self._others = {head.name: Postprocessor(
            replace(head, name=f'{descriptor.name}.{head.name}'), head.load_labels())
            for head in descriptor.heads[1:]}
        self._dequantize = Dequantizer(
            [head.output for head in descriptor.heads or (descriptor,)], engine.outputs,
            descriptor.origin or descriptor.name)
        self._descriptor = descriptor
        self._engine = engine
        self._input_name = descriptor.input.name or engine.inputs[0].name
        self._extra = ExtraInputs(descriptor.input.extra, engine.inputs)
        # Some models, such as those of torchvision, take one image without a batch axis.
        self._unbatched = any(tensor.name == self._input_name and len(tensor.shape) == 3
                              for tensor in engine.inputs)
        self.file: Path | None = None
        self.engine_time = 0.0
        self.tuning: Tuned | None = None
        self.stages: Stages | None = None
        self._parallel = parallel_runs(engine)
        self._running = threading.Semaphore(self._parallel)
        self._closing = threading.Lock()
        self._calling = threading.Lock()
        self._max_batch = int(max_batch)
        self.encoder: Pipeline[Any] | None = None
        if clip is not None:
            self._max_batch = 1
        elif max_batch > 1 and not self._takes_batches():
            self._max_batch = 1
        if clip is None:
            self._batch = self.new_batch()

    @overload
    @classmethod
    def load(
        cls, model: str | Path | ModelDescriptor, *, task: Literal['classification'],
        provider: str | None = None, threads: int | None = None, max_batch: int | None = None,
        fetch: FetchOptions | None = None, convert: ConvertOptions | None = None,
        engine: EngineSettings | None = None, opening: Callable[[], object] | None = None,
    ) -> Pipeline[Classification]: ...

    @overload
    @classmethod
    def load(
        cls, model: str | Path | ModelDescriptor, *, task: Literal['detection'],
        provider: str | None = None, threads: int | None = None, max_batch: int | None = None,
        fetch: FetchOptions | None = None, convert: ConvertOptions | None = None,
        engine: EngineSettings | None = None, opening: Callable[[], object] | None = None,
    ) -> Pipeline[Detections]: ...

    @overload
    @classmethod
    def load(
        cls, model: str | Path | ModelDescriptor, *, task: Literal['segmentation'],
        provider: str | None = None, threads: int | None = None, max_batch: int | None = None,
        fetch: FetchOptions | None = None, convert: ConvertOptions | None = None,
        engine: EngineSettings | None = None, opening: Callable[[], object] | None = None,
    ) -> Pipeline[Segmentation]: ...

    @overload
    @classmethod
    def load(
        cls, model: str | Path | ModelDescriptor, *, task: Literal['embedding'],
        provider: str | None = None, threads: int | None = None, max_batch: int | None = None,
        fetch: FetchOptions | None = None, convert: ConvertOptions | None = None,
        engine: EngineSettings | None = None, opening: Callable[[], object] | None = None,
    ) -> Pipeline[Embedding]: ...

    @overload
    @classmethod
    def load(
        cls, model: str | Path | ModelDescriptor, *, task: None = None,
        provider: str | None = None, threads: int | None = None, max_batch: int | None = None,
        fetch: FetchOptions | None = None, convert: ConvertOptions | None = None,
        engine: EngineSettings | None = None, opening: Callable[[], object] | None = None,
    ) -> Pipeline[Result]: ...

    @classmethod
    def load(
        cls, model: str | Path | ModelDescriptor, *, task: Task | None = None,
        provider: str | None = None, threads: int | None = None, max_batch: int | None = None,
        fetch: FetchOptions | None = None, convert: ConvertOptions | None = None,
        engine: EngineSettings | None = None, opening: Callable[[], object] | None = None,
    ) -> Pipeline[Any]:
        """
        Load a model and all it needs.

        Parameters
        ----------
        model : str, Path or ModelDescriptor
            A name from the catalogue, a descriptor file, a bare model file (``.onnx``,
            ``.pb``, a SavedModel directory), a URL, or a descriptor.
        task : 'classification', 'detection', 'segmentation' or 'embedding', optional
            The task that the model must have. It also tells type checkers the type of the
            results.
        provider : str, optional
            The execution provider: 'auto' (the default), 'cpu', 'cuda', …; overrides the one in
            ``engine``.
        threads : int, optional
            Threads for one inference; 0 chooses; overrides those in ``engine``.
        max_batch : int, optional
            The maximum number of images in one run; overrides that in ``engine``.
        fetch : FetchOptions, optional
            How a file at a URL is downloaded.
        convert : ConvertOptions, optional
            How a TensorFlow model is converted; by default with the cache and the cancel of
            ``fetch``.
        engine : EngineSettings, optional
            All settings of the engine.
        opening : callable, optional
            Called when all files are downloaded and converted, before the engine starts; from
            then on loading can't be cancelled.

        Returns
        -------
        Pipeline
            Ready to call. The first result takes longer than the others; see `warm_up`.

        Raises
        ------
        ModelNotFoundError, IntegrityError, FetchError, ArchiveError, DescriptorError,
        LabelsError, ConversionError, EngineError, OptionsError
            If the model can't be loaded, or has another task.

        Examples
        --------
        >>> from ros2_classify import Pipeline
        >>> pipeline = Pipeline.load('cards_detector', task='detection', provider='cpu')
        >>> pipeline.task
        'detection'
        >>> pipeline.close()

        """
        declared = resolve(model)
        stages, encoder = stage_models(declared), encoder_model(declared)
        settings = (engine or EngineSettings()).replace(**{name: value for name, value in (
            ('provider', provider), ('threads', threads), ('max_batch', max_batch))
            if value is not None})
        if declared.clip is not None:
            settings = settings.replace(max_batch=1)
        url = remote_url_of(declared, settings)
        path = _local_file(declared, settings, fetch, convert) if needs_file(
            url, settings) else None
        labels = declared.load_labels()
        if opening is not None:
            opening()
        begun = time.perf_counter()
        if url is not None:
            opened, tuning = open_remote(url, settings, path), Tuned(settings)
        else:
            assert path is not None
            opened, tuning = _open_tuned(path, settings, declared)
        if tuning.descriptor is not None:
            path = tuning.descriptor.with_suffix('.onnx')
            declared = replace(load_descriptor(tuning.descriptor), name=declared.name,
                               defaults=declared.defaults, stages=declared.stages)
        engine_time = time.perf_counter() - begun
        try:
            descriptor = complete(declared, opened, path)
            if task not in (None, descriptor.task):
                raise DescriptorError(
                    f'{descriptor.origin or descriptor.name}: the task is {descriptor.task}, but '
                    f'{task} is expected; load another model, or omit the task')
            # The file's metadata may hold labels that the descriptor lacks.
            pipeline: Pipeline[Any] = cls(
                descriptor, opened, labels or descriptor.load_labels(),
                max_batch=settings.max_batch)
        except BaseException:
            opened.close()
            raise
        pipeline.file = None if url is not None else path
        pipeline.engine_time, pipeline.tuning = engine_time, tuning
        further: dict[str, Any] = {
            'provider': provider, 'threads': threads, 'fetch': fetch, 'convert': convert,
            'engine': engine and engine.replace(remote='')}
        try:
            if most_images(opened) < pipeline.max_batch:
                pipeline.limit_batch(most_images(opened))
            if stages:
                pipeline._load_stages(stages, further)
            if encoder:
                pipeline.encoder = cls.load(encoder, task='embedding', **further)
        except BaseException:
            pipeline.close()
            raise
        return pipeline

    def _load_stages(
        self, models: Mapping[str, ModelDescriptor], options: Mapping[str, Any],
    ) -> None:
        """Load the further models of a cascade; each may get all crops at once."""
        if self.task != 'detection':
            raise DescriptorError(
                f'{self._descriptor.origin}: stages look at the boxes of a detector, but the task '
                f'is {self.task}; remove stages')
        loaded: dict[str, SharedModel] = {}
        try:
            for stage in self._descriptor.stages:
                model = models[stage.name]
                key = key_of(model, stage.max_crops, (
                    model_file(model, options['fetch']) if model.source.has_file else None))
                kept = unchanged_model(key)
                if kept is not None:
                    _LOGGER.info('stage %s: %s stays loaded', stage.name, model.name)
                loaded[stage.name] = kept or SharedModel(Pipeline.load(
                    model, max_batch=stage.max_crops, **options), key)
            self.stages = Stages(self._descriptor.stages, loaded, self.labels)
        except BaseException:
            for each in loaded.values():
                each.close()
            raise

    @property
    def descriptor(self) -> ModelDescriptor:
        """The descriptor, completed from the model file."""
        return self._descriptor

    @property
    def task(self) -> Task:
        """The type of the results: 'classification', 'detection', 'segmentation', 'embedding'."""
        return self._postprocess.task

    @property
    def others(self) -> Mapping[str, Postprocessor]:
        """The further heads by name, each with ``task``, ``labels``, ``options``."""
        return self._others

    @property
    def gives_masks(self) -> bool:
        """Whether its detections have masks; known after the first result."""
        return self._postprocess.gives_masks

    @property
    def ignored(self) -> tuple[str, ...]:
        """What the model gives and nobody reads, and why; known after the first result."""
        named = {name: other.ignored for name, other in self.others.items()}
        if not named:
            return self._postprocess.ignored
        # What one head ignores another one may read.
        common = set(self._postprocess.ignored).intersection(*named.values())
        return tuple(each for each in self._postprocess.ignored if each in common)

    @property
    def gives_keypoints(self) -> bool:
        """Whether its detections have key points; known after the first result."""
        return self._postprocess.gives_keypoints

    @property
    def labels(self) -> Labels | None:
        """The names of the classes, if there are any."""
        return self._postprocess.labels

    @property
    def engine(self) -> Engine:
        """The engine that runs the model."""
        return self._engine

    @property
    def checks(self) -> ResultChecks:
        """What was suspicious about the results so far, those of further heads aside."""
        return self._postprocess.checks

    @property
    def all_checks(self) -> tuple[ResultChecks, ...]:
        """The same, for each head."""
        return self.checks, *(head.checks for head in self._others.values())

    def check_image(self, source: str, result: Result, pixels: Image) -> None:
        """Count an image of a source for which any head gives the result of another image."""
        for checks, each in zip(self.all_checks, (result, *result.others.values())):
            checks.check_image(source, each, pixels)

    @property
    def unverified(self) -> tuple[str, ...]:
        """The keys, such as ``input.mean``, that nobody has confirmed, those of stages too."""
        return (*self._descriptor.unverified, *(self.stages.unverified if self.stages else ()), *(
            f'clip.encoder.{key}' for key in (self.encoder.unverified if self.encoder else ())))

    @property
    def options(self) -> Options:
        """The default options of a call, from the descriptor."""
        return self._postprocess.options

    @property
    def parallel(self) -> int:
        """The number of threads that may run the model at once, each with its own batch."""
        return self._parallel

    @property
    def max_batch(self) -> int:
        """The maximum number of images in one run; 1 if the model takes no batches."""
        return self._max_batch

    def limit_batch(self, most: int) -> None:
        """
        Lower `max_batch`, for batches made from now on.

        Parameters
        ----------
        most : int
            1 or more; a number above `max_batch` changes nothing.

        """
        self._max_batch = max(1, min(self._max_batch, most))
        if self.clip is None:
            with self._calling:
                self._batch = self.new_batch()

    def __call__(
        self, image: Image | str | Path, color: str = 'rgb', options: Options | None = None,
    ) -> Found:
        """
        Run the model on one image.

        Parameters
        ----------
        image : str, Path, or ndarray of uint8 with shape (H, W), (H, W, 3) or (H, W, 4)
            A file, or the pixels; never modified.
        color : str
            The order of an array's channels: 'mono', 'rgb', 'bgr', 'rgba' or 'bgra'. Images from
            `read_image` and ``cv2.imread`` are 'bgr'. A file's order is known.
        options : Options, optional
            Thresholds and limits of this call; further heads have those of the descriptor.

        Returns
        -------
        Classification, Detections, Segmentation or Embedding
            Best first, boxes in the image's pixels. Of a model with several heads it is the
            result of the first; ``others`` has the rest.

        Raises
        ------
        InputError
            If the array is not such an image, or the file can't be read.
        EngineError
            If the model fails.
        OutputError
            If its outputs don't fit the descriptor.

        Examples
        --------
        >>> import tempfile
        >>> import cv2
        >>> import numpy as np
        >>> from ros2_classify import Pipeline
        >>> with (Pipeline.load('cards_detector') as pipeline,
        ...       tempfile.NamedTemporaryFile(suffix='.png') as file):
        ...     cv2.imwrite(file.name, np.zeros((240, 320, 3), np.uint8))
        ...     len(pipeline(file.name)), len(pipeline(cv2.imread(file.name), 'bgr'))
        True
        (0, 0)

        """
        return self.many((image,), color, options)[0]

    def many(
        self, images: Iterable[Image | str | Path], color: str = 'rgb',
        options: Options | None = None,
    ) -> list[Found]:
        """
        Run the model on several images, up to `max_batch` of them at once.

        Parameters
        ----------
        images : iterable of str, Path or ndarray of uint8
            The images, of any sizes; see ``__call__``.
        color : str
            The order of the channels, the same for all arrays.
        options : Options, optional
            Thresholds and limits of this call.

        Returns
        -------
        list of Classification, Detections, Segmentation or Embedding
            One for each image, in their order. The inference time of each is that of its whole
            batch.

        Raises
        ------
        InputError, EngineError, OutputError
            As ``__call__``; the first image that fails ends the call.

        """
        results: list[Found] = []
        chosen = self.options if options is None else options
        self._refuse_single_images()
        with self._calling:
            batch = self._batch
            rest = iter(images)
            if isinstance(chosen, Options) and chosen.tiles != ONE_TILE:
                return [self.tiled(batch, *self._read(image, color), chosen) for image in rest]
            while True:
                batch.clear()
                times: list[float] = []
                seen: list[tuple[Image, str]] = []
                for each in islice(rest, batch.capacity):
                    image, order = self._read(each, color)
                    start = time.perf_counter()
                    batch.add(image, order, view_of(image, chosen))
                    if self.stages is not None:
                        seen.append((image, order))
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
                if self.stages is not None:
                    results[-len(seen):] = cast('list[Found]', self.stages(
                        cast('list[Detections]', results[-len(seen):]), *map(list, zip(*seen))))

    def tiled(self, batch: Batch, image: Image, color: str, options: Options) -> Found:
        """
        Run the model on the tiles of one image.

        Parameters
        ----------
        batch : Batch
            What the tiles go through; it is cleared.
        image : ndarray of uint8, shape (H, W), (H, W, 3) or (H, W, 4)
            The pixels; never modified.
        color : str
            The order of its channels.
        options : Options
            With `tiles`.

        Returns
        -------
        Detections
            The objects of all tiles, each once, in pixels of the image.

        Raises
        ------
        InputError, EngineError, OutputError
            As ``__call__``.
        OptionsError
            If the model does not detect objects, or has several heads.

        """
        self.check_options(options)
        views = tile_views(options, check_image(image, color).shape[1::-1])
        parts: list[Detections] = []
        spent = np.zeros(2)
        for first in range(0, len(views), batch.capacity):
            start = time.perf_counter()
            batch.clear()
            for view in views[first:first + batch.capacity]:
                batch.add(image, color, view)
            added = time.perf_counter()
            found = self.infer(batch)
            spent += added - start, time.perf_counter() - added
            for outputs, geometry in zip(found, batch.geometries):
                part = self.postprocess(outputs, geometry, options)
                assert isinstance(part, Detections)
                parts.append(part)
        start = time.perf_counter()
        merged = merge(parts, views, options)
        post = time.perf_counter() - start + sum(part.timing.postprocess for part in parts)
        result = replace(merged, timing=Timing(float(spent[0]), float(spent[1]), post))
        if self.stages is not None:
            result, = self.stages([result], [image], [color])
        return cast(Found, result)

    def new_batch(self) -> Batch:
        """
        Return an empty batch; adding images to it is the first step of a call.

        Returns
        -------
        Batch
            For `max_batch` images, with its own buffers.

        Examples
        --------
        The three steps of a call:

        >>> import numpy as np
        >>> from ros2_classify import Pipeline
        >>> pipeline = Pipeline.load('cards_detector', task='detection')
        >>> batch = pipeline.new_batch()
        >>> batch.add(np.zeros((240, 320, 3), np.uint8), 'bgr')
        >>> outputs = pipeline.infer(batch)
        >>> len(pipeline.postprocess(outputs[0], batch.geometries[0]))
        0
        >>> pipeline.close()

        """
        return Batch(self._descriptor.input, self._input_name, self._extra, self._max_batch,
                     unbatched=self._unbatched)

    def _clip_model(self) -> ClipModel:
        return ClipModel(self._descriptor, self._engine, self._running, self._dequantize,
                         self.new_batch, self.encoder)

    def infer(self, batch: Batch) -> list[Tensors]:
        """
        Run the model, the second step of a call.

        Parameters
        ----------
        batch : Batch
            With at least one image.

        Returns
        -------
        list of dict of str to ndarray
            The model outputs for each image, with a batch axis of 1 if the model has one;
            quantized ones as the real numbers they stand for.
            Valid until the batch runs again.

        Raises
        ------
        EngineError
            If the model fails.
        OutputError
            If the outputs can't be split into one for each image.

        """
        self._refuse_single_images()
        with self._running:
            return split(self._dequantize(batch.run(self._engine)), len(batch))

    def postprocess(
        self, outputs: Tensors, geometry: Geometry, options: Options | None = None, *,
        preprocess_time: float = 0.0, inference_time: float = 0.0, start: float | None = None,
    ) -> Found:
        """
        Turn the outputs for one image into a result, the last step of a call.

        Parameters
        ----------
        outputs : dict of str to ndarray
            What ``infer`` returned for it.
        geometry : Geometry
            That of the image.
        options : Options, optional
            Thresholds and limits of this call; further heads have those of the descriptor.
        preprocess_time, inference_time : float
            Seconds that the other two steps took, for the timing of the result.
        start : float, optional
            When this step began, on the clock of ``time.perf_counter``; None means now.

        Returns
        -------
        Classification, Detections, Segmentation or Embedding
            The result, with those of further heads in ``others``; it shares no memory with the
            outputs.

        Raises
        ------
        OutputError
            If the outputs don't fit the descriptor.

        """
        result = self._postprocess(
            outputs, geometry, options, preprocess_time=preprocess_time,
            inference_time=inference_time, start=start)
        if self._others:
            result = replace(result, others={
                name: head(outputs, geometry, preprocess_time=preprocess_time,
                           inference_time=inference_time)
                for name, head in self._others.items()})
        return cast(Found, result)

    def check_options(self, options: Options) -> None:
        """
        Check options before a call: whether they fit the model, and it has their classes.

        Parameters
        ----------
        options : Options
            Those of a call.

        Raises
        ------
        OptionsError
            If they don't; the message names the nearest class.

        """
        self._postprocess.check_options(options)
        if options.tiles != ONE_TILE and self._others:
            raise OptionsError(
                'tiles are for models with one head, but this one has also '
                f'{", ".join(self._others)}; remove tiles')

    def with_output(self, output: OutputSpec) -> Pipeline[Any]:
        """Return a pipeline of the same engine that decodes outputs in another way."""
        return Pipeline(
            replace(self._descriptor, output=output, heads=()), self._engine, self.labels)

    def warm_up(self) -> Found:
        """
        Run once on a grey image, so that the first real image takes no longer than the others.

        Returns
        -------
        Classification, Detections, Segmentation or Embedding
            The result, with the time it took.

        Raises
        ------
        EngineError, OutputError
            If the model fails, or its outputs don't fit the decoder or the labels.

        """
        declared = (self.encoder or self)._descriptor.input.size
        width, height = declared if isinstance(declared, tuple) else _WARM_UP_SIZE
        check_memory(self._descriptor.name, f'its input of {width}x{height} pixels',
                     3 * width * height * (1 + np.dtype(self._descriptor.input.dtype).itemsize))
        grey = np.full((height, width, 3), 127, np.uint8)
        result = self(grey) if self.clip is None else cast(Found, self.stream().warm_up(grey))
        # Grey tells nothing about real images.
        for checks in self.all_checks:
            checks.clear()
        if self.stages is not None:
            self.stages.warm_up()
        return result

    def close(self) -> None:
        """Free the model; closing twice does nothing."""
        with self._closing:
            for _ in range(self._parallel):
                self._running.acquire()
            try:
                for each in (self.stages, self.encoder):
                    if each is not None:
                        each.close()
                self._engine.close()
            finally:
                self._running.release(self._parallel)

    def __enter__(self) -> Pipeline[Found]:
        """Return the pipeline; it is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the model."""
        self.close()

    def _read(self, image: Image | str | Path, color: str) -> tuple[Image, str]:
        """Return pixels and their order; those of a file if it is one."""
        if isinstance(image, (str, Path)):
            return read_image(image, input_range=self._descriptor.input.input_range), 'bgr'
        return image, color

    def _takes_batches(self) -> bool:
        """Tell whether the outputs for a batch are those for each image by itself."""
        engine = self._engine
        model = self._descriptor.origin or self._descriptor.name
        if not batchable(self._descriptor.input, self._input_name, engine.inputs, engine.outputs,
                         self._extra):
            _LOGGER.info('%s: the model takes one image at a time', model)
            return False
        reason = differs_in_batch(self.new_batch(), self.infer)
        if reason:
            _LOGGER.warning('%s: the model runs on one image at a time: %s', model, reason)
        return not reason


def _local_file(
    declared: ModelDescriptor, settings: EngineSettings, fetch: FetchOptions | None,
    convert: ConvertOptions | None,
) -> Path:
    """Return the ONNX file of a model: downloaded, verified, and converted if need be."""
    path = model_file(declared, fetch)
    check_weights(declared, path, settings.external_data)
    if declared.format in ('frozen_graph', 'saved_model'):
        # Imported here because most models are ONNX.
        from ros2_classify.convert.api import to_onnx
        from ros2_classify.convert.options import ConvertOptions

        path = to_onnx(declared, path, convert or ConvertOptions.like(fetch))
    return path


def _open_tuned(
    path: Path, settings: EngineSettings, declared: ModelDescriptor,
) -> tuple[Engine, Tuned]:
    """Open the engine as the tuning record says; as it was asked for if that fails."""
    found = tuned(path, settings)
    if found.descriptor is not None and found.meaning != meaning_of(declared):
        # The variant would run with the preprocessing and the decoder of then.
        found = Tuned(settings, 'the tuning is not used: its variant was made with another '
                      f'descriptor; measure again: models tune {declared.name}', warning=True)
    if found.warning:
        _LOGGER.warning('%s', found.text)
    elif found.row:
        _LOGGER.info('%s', found.text)
    if found.settings == settings and found.descriptor is None:
        return open_engine(path, 'onnx', settings=settings), found
    chosen = path if found.descriptor is None else found.descriptor.with_suffix('.onnx')
    try:
        return open_engine(chosen, 'onnx', settings=found.settings), found
    except EngineError as error:
        _LOGGER.warning('%s cannot be used and the defaults run: %s', found.text, error)
        return open_engine(path, 'onnx', settings=settings), Tuned(
            settings, f'not used: {error}', warning=True)
