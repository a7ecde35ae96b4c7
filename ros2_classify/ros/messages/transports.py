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

"""The two ways in which images travel, raw and compressed, and the names of their topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from rclpy.node import Node
from ros2_classify.ros.messages import compressed_image, image
from ros2_classify.ros.messages.bridge import Bridge
from ros2_classify.ros.messages.image import Scale
from sensor_msgs.msg import CompressedImage, Image


@dataclass(frozen=True)
class Transport:
    """A message type, the suffix of its topics, and how its messages become 8-bit pixels."""

    msg_type: type
    suffix: str
    to_array: Callable[[Any, int, Scale, Bridge], tuple[NDArray[Any], str]]


TRANSPORTS = {
    'raw': Transport(Image, '', image.to_array),
    'compressed': Transport(CompressedImage, '/compressed', compressed_image.to_array),
}


def resolve_image_topic(node: Node, suffix: str, base: str = 'image') -> str:
    """
    Return the full name of an image topic after remapping, as image_transport does.

    The suffix follows a remapped base: ``image:=/cam/image_raw`` gives
    ``/cam/image_raw/compressed``. A remapping of ``image/compressed`` itself has priority.
    """
    own = base + suffix
    remapped = node.resolve_topic_name(own)
    if not suffix or remapped != node.resolve_topic_name(own, only_expand=True):
        return remapped
    return node.resolve_topic_name(base) + suffix
