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

from ros2_classify.results.shapes import foxglove_annotations


def image_annotations_msg(result: Any, header: Any, names: Sequence[str]) -> Any:
    """Return boxes, masks, key points and labels; ``names`` are those of the rows."""
    msgs = importlib.import_module('foxglove_msgs.msg')
    msg = msgs.ImageAnnotations()
    if hasattr(msg, 'timestamp'):
        # Newer releases: what has no object is of this image, too.
        msg.timestamp = header.stamp
    msg.points, msg.texts = foxglove_annotations(
        msgs, result, header.stamp, lambda kind: getattr(msgs.PointsAnnotation, kind), names)
    return msg
