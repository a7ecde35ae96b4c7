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

"""Results to ``foxglove_msgs/ImageAnnotations``, which Foxglove draws into its image."""

from __future__ import annotations

from collections.abc import Sequence
import importlib
from typing import Any

from ros2_classify.results.overlay_colors import Color as Bgr, colors_of, text_color
from ros2_classify.results.shapes import font_size, shapes_of, text_of, text_place

_WHITE = (255, 255, 255)


def image_annotations_msg(result: Any, header: Any, names: Sequence[str]) -> Any:
    """Return boxes, masks, key points and labels; ``names`` are those of the rows."""
    msgs = importlib.import_module('foxglove_msgs.msg')

    def paint(bgr: Bgr, alpha: float = 1.0) -> Any:
        blue, green, red = bgr
        return msgs.Color(r=red / 255, g=green / 255, b=blue / 255, a=alpha)

    msg = msgs.ImageAnnotations()
    if hasattr(msg, 'timestamp'):
        # Newer releases: what has no object is of this image, too.
        msg.timestamp = header.stamp
    for row, bgr in enumerate(colors_of(result)):
        for shape in shapes_of(result, row):
            msg.points.append(msgs.PointsAnnotation(
                timestamp=header.stamp, type=getattr(msgs.PointsAnnotation, shape.kind),
                points=[msgs.Point2(x=x, y=y) for x, y in shape.points],
                outline_color=paint(bgr if shape.colored else _WHITE),
                fill_color=paint(bgr, shape.alpha), thickness=shape.thickness))
        x, y = text_place(result, row)
        msg.texts.append(msgs.TextAnnotation(
            timestamp=header.stamp, position=msgs.Point2(x=x, y=y), font_size=font_size(result),
            text=text_of(result, row, names[row]), text_color=paint(text_color(bgr)),
            background_color=paint(bgr)))
    return msg
