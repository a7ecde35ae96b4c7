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

"""The methods of a pipeline for models that see time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TYPE_CHECKING

from ros2_classify.clips.stream import ClipStream
from ros2_classify.clips.whole import WholeVideo
from ros2_classify.errors import InputError
from ros2_classify.model.clip_spec import ClipSpec, describe
from ros2_classify.options import Options
from ros2_classify.preprocess.preprocessor import Image
from ros2_classify.results.results import Classification

if TYPE_CHECKING:
    from ros2_classify.clips.model import ClipModel
    from ros2_classify.model.descriptor import ModelDescriptor
    from ros2_classify.model.labels import Labels


class ClipMethods:
    """What `Pipeline` has for models that see time."""

    if TYPE_CHECKING:
        postprocess: Any

        @property
        def descriptor(self) -> ModelDescriptor: ...

        @property
        def options(self) -> Options: ...

        @property
        def labels(self) -> Labels | None: ...

        def _clip_model(self) -> ClipModel: ...

    def _refuse_single_images(self) -> None:
        if self.clip is not None:
            raise InputError(
                f'{self.descriptor.name} sees clips, not single images: {describe(self.clip)}; '
                'give it frames with their stamps: pipeline.clips(frames), or pipeline.stream() '
                'for each camera; on the command line: infer --video FILE')

    @property
    def clip(self) -> ClipSpec | None:
        """Which frames the model sees; None for a model of single images."""
        return self.descriptor.clip

    def stream(self) -> ClipStream:
        """
        Return an empty stream: the clips of one camera, or of one object that is followed.

        Returns
        -------
        ClipStream
            With its own frames and states; any number of streams share the model.

        Raises
        ------
        InputError
            If the model sees single images.

        """
        if self.clip is None:
            raise InputError(
                f'{self.descriptor.name} sees single images, not clips; call the pipeline, or '
                'declare clip in its descriptor')
        model = self._clip_model()
        return ClipStream(self.clip, model.memory(), self.postprocess, self.options,
                          WholeVideo(model.descriptor, self.labels))

    def clips(
        self, frames: Iterable[tuple[float, Image]], color: str = 'rgb',
        options: Options | None = None,
    ) -> Iterator[Classification]:
        """
        Run a model that sees time on the frames of one video.

        Parameters
        ----------
        frames : iterable of tuple of float and ndarray
            The stamp of each frame in seconds, and its pixels as for ``__call__``.
        color : str
            The order of the channels.
        options : Options, optional
            Thresholds and limits of this call.

        Yields
        ------
        Classification
            One for each clip that is complete and due, with `t0` and `t1`.

        Raises
        ------
        InputError, EngineError, OutputError
            As ``__call__``; the first frame that fails ends the call.

        """
        stream = self.stream()
        for stamp, image in frames:
            result = stream.offer(stamp, image, color, options)
            if result is not None:
                yield result
