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
A recording that Foxglove opens: images, annotations and results (``infer --mcap``).

The topics are those of a server, so that config/foxglove_layout.json shows both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ros2_classify.cli.infer_outputs import beside_something, PartFile
from ros2_classify.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from ros2_classify.results.results import Result

    Image = NDArray[np.uint8]

IMAGE, ANNOTATIONS, RESULTS = '/camera/image_raw', '/server/annotations', '/results'
_QUALITY = 90
_KINDS = {'LINE_LOOP': 'LineLoop', 'LINE_LIST': 'LineList', 'POINTS': 'Points'}
_SCHEMA = {
    'title': 'ros2_classify.Result', 'type': 'object', 'properties': {
        'source': {'type': 'string'}, 'stamp': {'type': 'number'}, 'model': {'type': 'string'},
        'task': {'type': 'string'}, 'results': {'type': 'array', 'items': {
            'type': 'object', 'properties': {
                'class_id': {'type': 'integer'}, 'label': {'type': 'string'},
                'score': {'type': 'number'},
                'box': {'type': 'array', 'items': {'type': 'number'}}}}}}}


def mcap_file(text: str) -> McapFile:
    """Return what writes the recording; `InputError` if that is impossible."""
    path = beside_something(text)
    if path.suffix.lower() != '.mcap':
        raise InputError(f'{path} cannot be written: --mcap writes .mcap, not {path.suffix!r}')
    return McapFile(path)


class McapFile:
    """The recording; it has its name only once it is whole."""

    def __init__(self, path: Path) -> None:
        try:
            import foxglove
            from foxglove import channels
        except ImportError as error:
            raise InputError(
                '--mcap needs the package foxglove-sdk; pip install foxglove-sdk') from error
        self._file = PartFile(path)
        self._context = foxglove.Context()
        try:
            self._writer = foxglove.open_mcap(
                str(self._file.part), allow_overwrite=True, context=self._context)
        except Exception as error:  # noqa: B902 - the class is not documented
            raise InputError(f'{path} cannot be written: {error}') from error
        self._images = channels.CompressedImageChannel(IMAGE, context=self._context)
        self._annotations = channels.ImageAnnotationsChannel(ANNOTATIONS, context=self._context)
        self._results = foxglove.Channel(RESULTS, schema=_SCHEMA, context=self._context)

    def write(self, image: Image, stamp: float, result: Result, row: dict[str, Any]) -> None:
        """Write one image and its result."""
        import cv2
        from foxglove.messages import CompressedImage, Timestamp

        nanoseconds = max(round(stamp * 1e9), 0)
        at = Timestamp(nanoseconds // 10**9, nanoseconds % 10**9)
        _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        self._images.log(CompressedImage(
            timestamp=at, frame_id='camera', data=data.tobytes(), format='jpeg'),
            log_time=nanoseconds)
        self._annotations.log(image_annotations(result, at), log_time=nanoseconds)
        self._results.log(json.dumps(row), log_time=nanoseconds)

    def close(self) -> None:
        """End the file."""
        self._writer.close()
        self._file.done()

    def discard(self) -> None:
        """Remove it."""
        self._writer.close()
        self._file.part.unlink(missing_ok=True)


def image_annotations(result: Any, at: Any) -> Any:
    """Return what Foxglove draws on an image: lines in the overlay's colours, and texts."""
    from foxglove import messages
    from ros2_classify.results.shapes import foxglove_annotations

    points, texts = ([], []) if result.task == 'embedding' else foxglove_annotations(
        messages, result, at, lambda kind: getattr(messages.PointsAnnotationType, _KINDS[kind]))
    return messages.ImageAnnotations(timestamp=at, points=points, texts=texts)
