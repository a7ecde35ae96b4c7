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

"""``infer`` with a model that sees time."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TYPE_CHECKING

from ros2_classify.errors import InputError, OptionsError

if TYPE_CHECKING:
    from ros2_classify.options import Options
    from ros2_classify.pipeline import Pipeline
    from ros2_classify.results.results import Classification


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument."""
    parser.add_argument(
        '--whole', action='store_true',
        help='models that see time: one result for the whole video: the mean of the scores of '
             'all clips, or with states the result after the last frame')


class Clips:
    """The clips of one source."""

    def __init__(self, pipeline: Pipeline[Any], options: Options, whole: bool) -> None:
        self._stream = pipeline.stream()
        self._options = options
        self._whole = whole
        self.shown: Classification | None = None  # the newest result, for drawings

    def __call__(self, stamp: float, read: Callable[[], Any]) -> Classification | None:
        """Return the result of the clip that ends with a frame, if there is one."""
        result = self._stream.offer(stamp, read, 'bgr', self._options)
        self.shown = result or self.shown
        return None if self._whole else result

    def needs(self, stamp: float) -> bool:
        """Tell whether a frame has to be read."""
        return self._stream.needs(stamp)

    def end(self, source: str) -> Classification | None:
        """Return the result for all; InputError if there was no clip at all."""
        if not self._stream.counts.results:
            why = self._stream.problem or 'the frames are too few'
            raise InputError(f'{source} has no result: {why}')
        return self._stream.whole(self._options) if self._whole else None


def clips_of(
    pipeline: Pipeline[Any], options: Options, arguments: argparse.Namespace,
) -> Clips | None:
    """Return what makes clips; None for a model of single images."""
    if pipeline.clip is None:
        if arguments.whole:
            raise OptionsError(
                f'--whole is for models that see time, but {pipeline.descriptor.name} sees single '
                'images; remove it')
        return None
    if arguments.whole and len(arguments.image) > 1:
        raise OptionsError('--whole is for one video; give one at a time')
    return Clips(pipeline, options, arguments.whole)
