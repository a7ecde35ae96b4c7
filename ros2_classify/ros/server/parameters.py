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

"""The server's parameters, and the options for the pipeline that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
import threading
from types import MappingProxyType
from typing import Any

from ros2_classify.convert.options import ConvertOptions
from ros2_classify.download.options import FetchOptions
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import OptionsError
from ros2_classify.filters import class_threshold_words, parse_class_thresholds
from ros2_classify.input_range import ALL_BITS, InputRange
from ros2_classify.options import Options
from ros2_classify.pipeline import Pipeline
from ros2_classify.progress import LogProgress
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.server.specs import ENGINE_PARAMETERS, PARAMETERS
from ros2_classify.ros.server.stream_parameters import (
    PreviewView, StreamParameters, StreamView)
from ros2_classify.ros.server.tracking import track_options
from ros2_classify.tracking.places import Line, parse_lines, parse_zones, Zone
from ros2_classify.tracking.tracker import lowered_options, TrackOptions


def fetch_options(parameters: Parameters, log: Any,
                  cancel: threading.Event | None = None) -> FetchOptions:
    """Return how a model is fetched; `log` gets a line of progress every few seconds."""
    return FetchOptions(
        # False leaves it to the environment.
        offline=parameters['offline'] or None,
        allow_unverified=parameters['allow_unverified'],
        progress=LogProgress(lambda line: log.info(line)), cancel=cancel)


def convert_options(parameters: Parameters, fetch: FetchOptions) -> ConvertOptions:
    """Return how a TensorFlow model is converted, with the cache and the cancel of `fetch`."""
    return replace(ConvertOptions.like(fetch), timeout=parameters['conversion_timeout'])


def engine_settings(parameters: Parameters) -> EngineSettings:
    """Return how to run a model; EngineError if a value is wrong."""
    same = {spec.name: parameters[spec.name] for spec in ENGINE_PARAMETERS
            if spec.name in EngineSettings.__dataclass_fields__}
    lists = {name: tuple(filter(None, same[name].split(':')))
             for name in ('custom_operators', 'external_data')}
    return EngineSettings(**{**same, **lists, 'cache': parameters['engine_cache']})


@dataclass(frozen=True)
class ResultSettings:
    """What the parameters ask of a result, all of one moment."""

    options: Options
    class_id: str  # ``label`` or ``index``
    max_pixels: int  # larger images are refused
    input_range: InputRange = ALL_BITS  # which values of 16-bit images are black and white
    max_rate: float = 0.0  # images a second that are used; 0: all
    image_timeout: float = 0.0  # seconds without an image until it is an error; 0: by their rate
    track: TrackOptions | None = None  # how objects get ids; None: not at all
    lines: tuple[Line, ...] = ()  # whose crossing is an event
    zones: tuple[Zone, ...] = ()  # in which objects that stay are an event
    streams: Mapping[str, ResultSettings] = field(default_factory=dict)  # by prefix

    def of(self, prefix: str) -> ResultSettings:
        """Return what counts for a stream; the prefix '' is for the node."""
        return self.streams.get(prefix, self)

    @cached_property
    def options_for_tracks(self) -> Options:
        """The options if objects get ids, for which weak results are needed too."""
        return self.options if self.track is None else lowered_options(
            self.options, self.track.low)


def result_settings(
    parameters: Parameters | StreamView | PreviewView, defaults: Options,
) -> ResultSettings:
    """Return what the parameters ask for now; the model's defaults serve what is no parameter."""
    values = {spec.name: parameters[spec.name] for spec in PARAMETERS
              if spec.from_model and spec.name in vars(defaults)}
    values['classes'] = tuple(filter(None, values['classes']))
    values['class_thresholds'] = parse_class_thresholds(filter(None, values['class_thresholds']))
    options = defaults.replace(**values)
    return ResultSettings(
        options, parameters['class_id'], parameters['max_image_pixels'],
        InputRange.parse(parameters['input_range']), parameters['max_rate'],
        parameters['image_timeout'], track_options(parameters),
        parse_lines(parameters['event_lines']), parse_zones(parameters['event_zones']))


def all_settings(parameters: StreamParameters, defaults: Options) -> ResultSettings:
    """Return what counts for the node, and for each of its streams."""
    return _all(parameters.prefixes, parameters.view, defaults)


def _all(prefixes: Sequence[str], view: Callable[[str], StreamView | PreviewView],
         defaults: Options) -> ResultSettings:
    def of(prefix: str) -> ResultSettings:
        with _named(prefix):
            return result_settings(view(prefix), defaults)

    return replace(of(''), streams={prefix: of(prefix) for prefix in prefixes})


@contextmanager
def _named(prefix: str) -> Iterator[None]:
    """Errors name the parameter of the stream."""
    try:
        yield
    except OptionsError as error:
        raise OptionsError(f'{prefix}.{error}' if prefix else str(error)) from error


def check_settings(parameters: StreamParameters, pipeline: Pipeline[Any] | None,
                   changes: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Raise OptionsError if what would count after changes doesn't fit together or the model."""
    defaults = Options() if pipeline is None else pipeline.options
    settings = _all(parameters.prefixes, parameters.preview(changes), defaults)
    for prefix, each in {'': settings, **settings.streams}.items():
        with _named(prefix):
            if pipeline is not None:
                pipeline.check_options(each.options)


def model_defaults(pipeline: Pipeline[Any]) -> dict[str, Any]:
    """Return the model's own settings by parameter name."""
    options = pipeline.options
    return {
        **vars(options), 'classes': options.classes or [''],
        'class_thresholds': class_threshold_words(options.class_thresholds) or [''],
        'roi': [part for point in options.roi for part in point] or [0.0, 0.0, 1.0, 1.0],
        'tiles': 'x'.join(map(str, options.tiles)),
        'input_range': pipeline.descriptor.input.input_range,
        'max_rate': pipeline.descriptor.defaults.max_rate or 0.0}
