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

"""The topics of key points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ros2_classify.results.results import Detections
from ros2_classify.ros.messages.keypoints import (
    keypoints_msg, KEYPOINTS_TOPIC, skeleton_msgs, skeleton_type, SKELETONS_TOPIC)
from ros2_classify.ros.messages.vision import load_type
from ros2_classify.ros.server.output import Output, Published, Topics


class KeypointsOutput(Output):
    """The key points of all detections."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.create(load_type('Keypoints2DArray', 'msg'), KEYPOINTS_TOPIC))

    def write(self, published: Published) -> Any:
        """Return the message; None if the result has no key points."""
        result = published.result
        if not isinstance(result, Detections) or result.keypoints is None:
            return None
        return keypoints_msg(result, published.header)


class SkeletonsOutput(Output):
    """A message for each person."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.create(skeleton_type(), SKELETONS_TOPIC))

    def write(self, published: Published) -> Any:
        """Return a list of messages; none if the points are not those of persons."""
        result = published.result
        return skeleton_msgs(result, published.header) if isinstance(result, Detections) else []


def keypoint_outputs(topics: Topics, say: Callable[[str], Any]) -> list[Output]:
    """Return the topics for which the messages are installed; ``say`` gets what is missing."""
    outputs: list[Output] = []
    try:
        outputs.append(KeypointsOutput(topics))
    except ImportError as error:
        say(f'no topic {KEYPOINTS_TOPIC}: {error}; install ros2_classify_interfaces in the '
            'version of this package')
    try:
        outputs.append(SkeletonsOutput(topics))
    except ImportError:
        # Few machines have it, and nothing is wrong without.
        pass
    return outputs
