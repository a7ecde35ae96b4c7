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

"""``infer`` on many images: directories, videos, webcams, streams, bags, several of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import signal
import sys
import threading
import time
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import EXIT_INTERRUPTED, EXIT_OK, say, show, show_json
from ros2_classify.cli.infer_outputs import (
    drawings, drawn, is_video, refuse_overwriting, results_file)
from ros2_classify.errors import InputError, OptionsError
from ros2_classify.progress import human_time, LogProgress, Meter, Status, TerminalProgress

if TYPE_CHECKING:
    from ros2_classify.options import Options
    from ros2_classify.pipeline import Pipeline
    from ros2_classify.results.detections import Detections
    from ros2_classify.results.overlay_tracks import Trails
    from ros2_classify.results.results import Classification, Result
    from ros2_classify.sources import Source
    from ros2_classify.tracking.events import Events
    from ros2_classify.tracking.tracker import Tracker

# Frames per second of a video of a live source.
_LIVE_RATE = 10.0
# Seconds between lines in a log.
_LOG_EVERY = 10.0
_MOST_SHOWN = 6


class ImageStatus(Status):
    """The progress in images."""

    def __str__(self) -> str:
        """Return ``120 of 1189 images (10 %), 24.1 a second, 44 s left``."""
        share = f' of {self.total}' if self.total else ''
        parts = [f'{self.done}{share} images']
        if self.total:
            parts[0] += f' ({min(100 * self.done // self.total, 100)} %)'
        if self.speed > 0:
            parts.append(f'{self.speed:.1f} a second')
        if self.remaining is not None and not self.finished:
            parts.append(f'{human_time(self.remaining)} left')
        return ', '.join(parts)


class ImageMeter(Meter):
    """Counts images."""

    def status(self, *, finished: bool = False) -> ImageStatus:
        """Return the status in images."""
        return ImageStatus(**vars(super().status(finished=finished)))


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


def is_many(arguments: argparse.Namespace) -> bool:
    """Return whether the sources are more than one image file, or its results go to a file."""
    from ros2_classify.sources import is_one_image

    sources = arguments.image
    return (len(sources) > 1 or arguments.results is not None or bool(arguments.topic)
            or arguments.mcap is not None
            or (arguments.output is not None and is_video(arguments.output))
            or not is_one_image(sources[0]))


class Many:
    """One run: the sources, and where the results go; all of it is checked before the model."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from ros2_classify.sources import open_source
        from ros2_classify.sources.files import Several

        if arguments.against is not None:
            raise OptionsError('--against compares two images; name one with --image')
        self._arguments = arguments
        self._read: Any = None
        self._events = self._begin_events()
        found = [open_source(text, warn=lambda text: say('warning', text), topic=arguments.topic,
                             to_8_bits=lambda pixels: self._read(pixels))
                 for text in arguments.image]
        if len(found) > 1 and (live := [each.name for each in found if each.live]):
            raise InputError(f'{live[0]} has no end, so nothing can follow it; give it alone')
        self._source: Source = (
            found[0] if len(found) == 1 else Several(f'{len(found)} sources', found))
        for output in (arguments.output, arguments.results, arguments.mcap):
            refuse_overwriting(output, arguments.image)
        rate = _LIVE_RATE if self._source.live else self._source.rate
        self._drawings = arguments.output and drawings(arguments.output, rate, self._source.live)
        self._results = arguments.results and results_file(arguments.results)
        self._mcap: Any = None
        if arguments.mcap is not None:
            from ros2_classify.cli.infer_mcap import mcap_file

            self._mcap = mcap_file(arguments.mcap)
        self._tracker: Tracker | None = None
        self._trails: Trails | None = None
        self._clips: Clips | None = None
        self._ended = threading.Event()
        self._done = 0

    def __enter__(self) -> Many:
        """Return it; what a failure before `run` left is removed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove a file that was not begun."""
        for output in (self._results, self._mcap):
            if output and not self._ended.is_set():
                output.discard()

    def run(self, pipeline: Pipeline[Result], options: Options) -> int:
        """Go through the sources; files are whole at the end, whatever ends it."""
        from ros2_classify.image_io import depth_reader

        self._read = depth_reader(pipeline.descriptor.input.input_range)
        if self._arguments.track:
            self._begin_to_track(pipeline)
        self._clips = clips_of(pipeline, options, self._arguments)
        total, limit = self._source.length, self._arguments.limit
        if limit:
            total = min(total or limit, limit)
        begun = time.perf_counter()
        try:
            with _terminated_like_interrupted():
                self._go_through(pipeline, options, total)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        if not self._done:
            raise InputError(f'{self._source.name} has no image that can be read')
        seconds = time.perf_counter() - begun
        if not self._arguments.json:
            show(f'{self._done} images in {seconds:.1f} s ({self._done / seconds:.1f} a second), '
                 f'{pipeline.engine.provider}')
            for output in (self._arguments.output, self._arguments.results, self._arguments.mcap):
                if output:
                    show(f'wrote {output}')
        return EXIT_OK

    def _go_through(
        self, pipeline: Pipeline[Result], options: Options, total: int | None,
    ) -> None:
        """Run on each frame, and close the outputs whatever ends it."""
        meter = ImageMeter('', self._progress())
        meter.start(0, total)
        last, complete = '', False
        try:
            for frame in self._frames():
                needed = self._clips is None or self._drawings or self._clips.needs(frame.stamp)
                image = frame.read() if needed else None
                if image is None and needed:
                    continue
                self._one(pipeline, options, frame, image)
                self._done, last = self._done + 1, frame.name
                meter.add(1)
                if self._done == self._arguments.limit:
                    break
            complete = True
            if self._clips is not None and self._done:
                found = self._clips.end(self._source.name)
                if found is not None:
                    self._write(pipeline, frame, image, found, [])
        finally:
            self._ended.set()
            if self._done:
                meter.finish()
            self._close(complete, last, total)

    def _frames(self) -> Iterator[Any]:
        from ros2_classify.sources.newest import Newest

        if self._source.live:
            return Newest(self._source, lambda text: say('warning', text), self._ended).frames()
        return self._source.frames()

    def _one(self, pipeline: Pipeline[Result], options: Options, frame: Any, image: Any) -> None:
        events: list[Any] = []
        if self._clips is not None:
            clip = self._clips(frame.stamp, lambda: image)
            if clip is not None:
                self._write(pipeline, frame, image, clip, events)
            if self._drawings:
                self._drawings.write(
                    image if self._clips.shown is None else self._drawn(
                        image, self._clips.shown, options, frame.stamp), frame.name, frame.stamp)
            return
        if self._tracker is None:
            result = pipeline(image, 'bgr', options)
        else:
            assert self._events is not None
            result = self._tracked(self._tracker, pipeline, options, frame.stamp, image)
            events = self._events(result, frame.stamp, self._tracker.live_ids)
        self._write(pipeline, frame, image, result, events)
        if self._drawings:
            self._drawings.write(
                self._drawn(image, result, options, frame.stamp), frame.name, frame.stamp)

    def _write(self, pipeline: Pipeline[Result], frame: Any, image: Any, result: Result,
               events: list[Any]) -> None:
        """Write one result wherever it is wanted, but for the drawing."""
        row = {'source': frame.name, 'stamp': round(frame.stamp, 6),
               'model': pipeline.descriptor.name, **result.to_dict(),
               'provider': pipeline.engine.provider,
               'unverified': list(pipeline.unverified)}
        if self._tracker is not None:
            row['events'] = [event.to_dict() for event in events]
        if self._arguments.json:
            show_json(row)
        elif self._shows_each:
            begin, end = getattr(result, 't0', None), getattr(result, 't1', None)
            name = frame.name if end is None else f'{begin:.2f} to {end:.2f} s'
            show(f'{name}: {summary(result)}')
            for event in events:
                show(f'  {event}')
        if self._results:
            self._results.write(frame.name, frame.stamp, result, row)
        if self._mcap:
            self._mcap.write(image, frame.stamp, result, row)

    def _drawn(self, image: Any, result: Result, options: Options, stamp: float) -> Any:
        places: dict[str, Any] = {} if self._events is None else {
            'lines': self._events.lines, 'zones': self._events.zones, 'said': self._events.counts}
        return drawn(image, result, options, stamp=stamp, trails=self._trails, **places)

    def _tracked(self, tracker: Tracker, pipeline: Pipeline[Any], options: Options, stamp: float,
                 image: Any) -> Detections:
        """Return a result with ids; weak boxes continue tracks, and are no results."""
        from ros2_classify.tracking.tracker import lowered_options, wanted_results

        found = pipeline(image, 'bgr', lowered_options(options, tracker.options.low))
        return wanted_results(tracker(found, stamp), options, pipeline.labels)

    def _begin_to_track(self, pipeline: Pipeline[Result]) -> None:
        from ros2_classify.results.overlay_tracks import Trails
        from ros2_classify.tracking.tracker import Tracker

        if pipeline.task != 'detection':
            raise OptionsError(
                f'--track follows objects, but the task of {pipeline.descriptor.name} is '
                f'{pipeline.task}; remove it')
        self._tracker, self._trails = Tracker(), Trails()

    def _begin_events(self) -> Events | None:
        from ros2_classify.tracking.events import Events
        from ros2_classify.tracking.places import parse_lines, parse_zones

        if not self._arguments.track:
            return None
        return Events(parse_lines(self._arguments.event_lines),
                      parse_zones(self._arguments.event_zones))

    def _close(self, complete: bool, last: str, total: int | None) -> None:
        for output in (self._results, self._mcap, self._drawings):
            if output:
                output.close()
        self._source.close()
        if not complete:
            of = f' of {total}' if total else ''
            where = f'image {self._done}{of} ({last})' if self._done else 'the first image'
            say('warning', f'stopped after {where}; what is written is whole up to there')

    @property
    def _shows_each(self) -> bool:
        return not (self._results or self._drawings or self._mcap)

    def _progress(self) -> Any:
        if sys.stderr is not None and sys.stderr.isatty():
            # Two writers on one terminal would spoil each other's lines.
            if (self._shows_each or self._arguments.json) and sys.stdout.isatty():
                return lambda status: None
            return TerminalProgress(sys.stderr)
        return LogProgress(lambda text: say('', text), _LOG_EVERY)


def summary(result: Result) -> str:
    """Return a result in one line."""
    if result.task == 'embedding':
        return str(result)
    rows = result.rows()
    best = ', '.join(
        ' '.join(filter(None, (row.get('id'), row['label'], f'{row["score"]:.2f}')))
        for row in rows[:_MOST_SHOWN])
    more = f', and {len(rows) - _MOST_SHOWN} more' if len(rows) > _MOST_SHOWN else ''
    return best + more if rows else 'nothing'


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let `kill` leave whole files too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
