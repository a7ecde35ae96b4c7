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
_WHITE = (255, 255, 255)
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
    from foxglove.messages import (
        Color, ImageAnnotations, Point2, PointsAnnotation, PointsAnnotationType, TextAnnotation)
    from ros2_classify.results.overlay_colors import colors_of, text_color
    from ros2_classify.results.shapes import font_size, shapes_of, text_of, text_place

    size = font_size(result)
    message: dict[str, list[Any]] = {'points': [], 'texts': []}
    if result.task == 'embedding':
        return ImageAnnotations(timestamp=at)

    def paint(bgr: tuple[int, int, int], alpha: float = 1.0) -> Color:
        blue, green, red = bgr
        return Color(r=red / 255, g=green / 255, b=blue / 255, a=alpha)

    for number, bgr in enumerate(colors_of(result)):
        for shape in shapes_of(result, number):
            message['points'].append(PointsAnnotation(
                timestamp=at, type=getattr(PointsAnnotationType, _KINDS[shape.kind]),
                points=[Point2(x=x, y=y) for x, y in shape.points],
                outline_color=paint(bgr if shape.colored else _WHITE),
                fill_color=paint(bgr, shape.alpha),
                thickness=shape.thickness))
        x, y = text_place(result, number)
        message['texts'].append(TextAnnotation(
            timestamp=at, position=Point2(x=x, y=y), font_size=size,
            text=text_of(result, number),
            text_color=paint(text_color(bgr)), background_color=paint(bgr)))
    return ImageAnnotations(timestamp=at, **message)
