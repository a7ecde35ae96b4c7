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

"""Runs a model on a source for the page: playing, pausing, and controls that act at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
import json
from pathlib import Path
import re
import threading
import time
from typing import Any

from ros2_classify.errors import InputError, OptionsError, Ros2ClassifyError
from ros2_classify.image_io import write_image
from ros2_classify.pipeline import Pipeline
from ros2_classify.postprocess.result_checks import SENTENCES
from ros2_classify.results.overlay import draw
from ros2_classify.results.results import Result
from ros2_classify.sources import Frame, Pixels, Source
from ros2_classify.sources.newest import Newest
from ros2_classify.web.controls import changed, controls, rate_of, rows, timing
from ros2_classify.web.feed import Feed

# Images that are no film are looked at.
IMAGES_RATE = 0.5
_MOST_MESSAGES = 5
_WINDOW = 20
STREAM = 'source'


class Watcher:
    """
    A model, a source, and what the page shows of them.

    ``rate`` is in images per second, 0 for the source's; ``saves`` is the directory of saved
    frames. `run` ends with the source's failure or `close`.
    """

    def __init__(self, pipeline: Pipeline[Result], source: Source, *, saves: Path,
                 rate: float = 0.0) -> None:
        self.feed = Feed()
        self.messages: deque[str] = deque(maxlen=_MOST_MESSAGES)
        self._pipeline = pipeline
        self._source = source
        self._saves = saves
        self._rate = rate or source.rate
        self._options = pipeline.options
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._paused = False
        self._step = False
        self._again = False
        self._position = 0
        self._current: tuple[Frame, Pixels, Result] | None = None
        self._times: deque[float] = deque(maxlen=_WINDOW)
        self._failure = ''

    @property
    def feeds(self) -> Mapping[str, Feed]:
        """The one stream."""
        return {STREAM: self.feed}

    def warn(self, text: str) -> None:
        """Show a message on the page."""
        self.messages.append(text)

    def run(self) -> None:
        """Go through the source, a file again and again; raise what ends it."""
        try:
            while not self._ended.is_set():
                count = 0
                for frame in self._frames():
                    pixels = frame.read()
                    if self._ended.is_set():
                        return
                    if pixels is None:
                        continue
                    count += 1
                    with self._changed:
                        self._position = count
                    begun = time.monotonic()
                    self._process(frame, pixels)
                    self._hold(frame, pixels, begun)
                if not count or self._source.live:
                    raise InputError(f'{self._source.name} has no more images')
        except Exception as error:
            self._failure = str(error)
            raise
        finally:
            self._source.close()

    def close(self) -> None:
        """End `run` and all clients."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        self.feed.close()

    def state(self) -> dict[str, Any]:
        """Return what the page shows."""
        descriptor, engine = self._pipeline.descriptor, self._pipeline.engine
        with self._changed:
            current, times, options = self._current, list(self._times), self._options
            paused, position = self._paused, self._position
        stream: dict[str, Any] = {'id': STREAM, 'name': self._source.name, 'results': []}
        if current is not None:
            frame, _, result = current
            stream.update(
                frame=frame.name, size=list(result.image_size), results=rows(result),
                count=len(result), timing=timing(result))
        stream['rate'] = 0.0 if paused else rate_of(times)
        messages = [{'level': 'error', 'text': self._failure}] if self._failure else []
        if descriptor.unverified:
            messages.append({'level': 'warn', 'text': (
                f'not verified: {", ".join(descriptor.unverified)}: the model file does not say '
                'it, so the results may be wrong')})
        messages += [{'level': 'warn', 'text': SENTENCES[key].format(**fields)}
                     for checks in self._pipeline.all_checks
                     for key, fields in checks.found().items()]
        messages += [{'level': 'info', 'text': text} for text in list(self.messages)[::-1]]
        return {
            'model': {'name': descriptor.name, 'task': self._pipeline.task,
                      'provider': engine.provider.removesuffix('ExecutionProvider'),
                      'unverified': list(descriptor.unverified)},
            'streams': [stream], 'controls': controls(options, self._pipeline.task),
            'playback': {'live': self._source.live, 'paused': paused, 'position': position,
                         'length': self._source.length},
            'saves': str(self._saves), 'messages': messages}

    def control(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set an option, pause, play, step, or save the frame."""
        if name == 'option':
            self._set(body.get('name'), body.get('value'))
        elif name in ('pause', 'play'):
            with self._changed:
                self._paused = name == 'pause'
                self._times.clear()
                self._changed.notify_all()
        elif name == 'step':
            if self._source.live:
                raise OptionsError(f'{self._source.name} is live: it has no single steps')
            with self._changed:
                self._paused = self._step = True
                self._changed.notify_all()
        elif name == 'save':
            return {'saved': str(self._save())}
        else:
            raise OptionsError(f'there is no control {name!r}')
        return {}

    def _set(self, name: Any, value: Any) -> None:
        options = changed(self._options, name, value, self._pipeline.task)
        self._pipeline.check_options(options)
        with self._changed:
            self._options, self._again = options, True
            self._changed.notify_all()

    def _save(self) -> Path:
        """Write the frame as it came, and its results beside it."""
        with self._changed:
            current = self._current
        if current is None:
            raise InputError('there is no frame to save yet')
        frame, pixels, result = current
        stem = re.sub(r'[^\w.-]+', '_', Path(frame.name).name).strip('_.')[-80:] or 'frame'
        path = self._saves / f'{stem}_{time.strftime("%Y%m%d-%H%M%S")}.png'
        number = 1
        while path.exists():
            number += 1
            path = path.with_name(f'{path.stem.rpartition("~")[0] or path.stem}~{number}.png')
        try:
            self._saves.mkdir(parents=True, exist_ok=True)
            write_image(path, pixels)
            path.with_suffix('.json').write_text(json.dumps({
                'source': frame.name, 'stamp': frame.stamp,
                'model': self._pipeline.descriptor.name, **result.to_dict()}) + '\n')
        except OSError as error:
            raise InputError(f'{path} cannot be written: {error.strerror}') from error
        return path

    def _frames(self) -> Iterator[Frame]:
        if self._source.live:
            return Newest(self._source, self.warn, self._ended).frames()
        return self._source.frames()

    def _process(self, frame: Frame, pixels: Pixels) -> None:
        with self._changed:
            options = self._options
            self._again = False
        result = self._pipeline(pixels, 'bgr', options)
        with self._changed:
            self._current = frame, pixels, result
            self._times.append(time.monotonic())
        self.feed.offer(lambda: draw(pixels, result) if result.task != 'embedding' else pixels)

    def _hold(self, frame: Frame, pixels: Pixels, begun: float) -> None:
        """Wait until the next frame is due; meanwhile options act on this one."""
        due = begun + 1 / self._rate if self._rate and not self._source.live else begun
        while not self._ended.is_set():
            with self._changed:
                if self._step:
                    self._step = False
                    return
                left = due - time.monotonic()
                if not self._again:
                    if not self._paused and left <= 0:
                        return
                    self._changed.wait(None if self._paused else left)
                    if not self._again:
                        continue
                elif not self._paused and self._source.live:
                    return
            try:
                self._process(frame, pixels)
            except Ros2ClassifyError as error:
                self.warn(str(error))
