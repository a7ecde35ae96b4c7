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

"""Topics of positions: detections in metres, points, markers; annotations of images."""

from __future__ import annotations

from collections.abc import Callable
import importlib
from typing import Any

from ros2_classify.ros.messages.annotations import image_annotations_msg
from ros2_classify.ros.messages.vision import names_of
from ros2_classify.ros.messages.vision_3d import (
    marker_array_msg, point_cloud_msg, Trails, writer_3d)
from ros2_classify.ros.server.locator import sample
from ros2_classify.ros.server.output import Output, Published, Topics
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray


class Detections3DOutput(Output):
    """The objects in metres."""

    in_metres = True

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.create(Detection3DArray, 'detections_3d'))
        self._form = writer_3d(sample())

    def write(self, published: Published) -> Any:
        """Return those with a position; None if there could be none."""
        located = published.located
        return None if located is None else self._form(
            located, published.header, names_of(published.result, published.class_id))


class PointsOutput(Output):
    """Points on the objects, for costmaps."""

    in_metres = True

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.create(PointCloud2, 'points'))

    def write(self, published: Published) -> Any:
        """Return a cloud, empty without objects; None if there could be none."""
        located = published.located
        return None if located is None else point_cloud_msg(located, published.header)


class MarkersOutput(Output):
    """Boxes, names, distances and trails for RViz."""

    in_metres = True

    def __init__(self, topics: Topics, msg_type: type) -> None:
        super().__init__(topics.create(msg_type, '~/markers'))
        self._trails = Trails()

    def write(self, published: Published) -> Any:
        """Return markers in the place of those before; None if there could be none."""
        located = published.located
        return None if located is None else marker_array_msg(
            located, published.header, names_of(published.result, published.class_id),
            self._trails)


class AnnotationsOutput(Output):
    """Lines and labels for Foxglove, which draws them into its image."""

    in_metres = True

    def __init__(self, topics: Topics, msg_type: type) -> None:
        super().__init__(topics.create(msg_type, '~/annotations'))

    def write(self, published: Published) -> Any:
        """Return annotations of the image."""
        return image_annotations_msg(
            published.shown, published.header, names_of(published.result, published.class_id))


def outputs_in_metres(topics: Topics, points: bool, say: Callable[[str], Any]) -> list[Output]:
    """Return the topics of positions; `say` gets a sentence about those that can't be."""
    outputs: list[Output] = [Detections3DOutput(topics)]
    if points:
        outputs.append(PointsOutput(topics))
    marker_array = _message('visualization_msgs', 'MarkerArray')
    if marker_array is None:
        say('no ~/markers: the package visualization_msgs is not installed; install '
            'ros-<distro>-visualization-msgs to have it')
    else:
        outputs.append(MarkersOutput(topics, marker_array))
    return outputs


def annotation_outputs(topics: Topics, say: Callable[[str], Any]) -> list[Output]:
    """Return the topic of annotations, if its package is installed."""
    found = _message('foxglove_msgs', 'ImageAnnotations')
    if found is None:
        say('no ~/annotations: the package foxglove_msgs is not installed; install '
            'ros-<distro>-foxglove-msgs, or leave the parameter annotations at false')
        return []
    return [AnnotationsOutput(topics, found)]


def _message(package: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError):
        return None
