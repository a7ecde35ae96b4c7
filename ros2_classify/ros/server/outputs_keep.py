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

"""Images that the server keeps for labelling, as files or recordings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import json
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message
from ros2_classify.keeping.keeper import Keeper, KeepRules
from ros2_classify.keeping.mcap import Message
from ros2_classify.keeping.stores import Candidate, make_store
from ros2_classify.ros.messages.definitions import definition
from ros2_classify.ros.messages.vision import MESSAGES, to_msg
from ros2_classify.ros.server.output import Output, Published
from ros2_classify.sources.image_messages import to_bgr
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

# As compressed_image_transport says it.
_FORMAT = 'bgr8; png compressed bgr8'


class KeepOutput(Output):
    """
    Offers each image and its result to a thread that writes some of them.

    `topic` is that of the images, `base` what is in front of the names of results.
    """

    def __init__(self, parameters: Any, topic: str, base: str, say: Callable[[str], Any],
                 model: str) -> None:
        super().__init__(None)
        name = topic.strip('/').replace('/', '_') or 'image'
        self._topic, self._base, self._model = topic, base, model
        store = make_store(
            parameters['keep_format'], Path(parameters['keep_directory']).expanduser() / name,
            int(parameters['keep_megabytes'] * 1e6), say)
        self._keeper = Keeper(
            store, KeepRules.parse(parameters['keep']), parameters['keep_period'], say)

    @property
    def listeners(self) -> int:
        """Images are looked at without any subscriber, too."""
        return 1

    def write(self, published: Published) -> None:
        """Offer the image, which is converted and written elsewhere."""
        stamp = published.header.stamp
        self._keeper.offer(Candidate(
            lambda: np.ascontiguousarray(to_bgr(published.pixels, published.color)),
            published.result, stamp.sec * 10**9 + stamp.nanosec, self._model,
            partial(self._messages, published)))

    def _messages(self, published: Published, data: bytes, about: dict[str, Any]) -> list[Message]:
        """Return the image with its own header, the result, and why it is kept."""
        image = CompressedImage(header=published.header, format=_FORMAT)
        image.data.frombytes(data)
        result = to_msg(published.result, published.header, published.class_id)
        topic = self._topic.removesuffix('/compressed')
        return [_message(f'{topic}/compressed', image),
                _message(f'{self._base}/{MESSAGES[published.result.task].topic}', result),
                _message(f'{topic}/kept', String(data=json.dumps(about)))]

    def close(self) -> None:
        """Write what waits."""
        self._keeper.close()


def _message(topic: str, message: Any) -> Message:
    kind = f'{type(message).__module__.split(".")[0]}/msg/{type(message).__name__}'
    return Message(topic, kind, definition(kind), bytes(serialize_message(message)))
