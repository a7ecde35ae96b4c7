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
Images that go to the server as JPEG: `?jpeg=90` in its URL.

The contract: the model's one input has the datatype BYTES and an element for each image. The
server decodes it to RGB pixels of 8 bits, in the size that was sent, and prepares them for the
model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.engines.base import TensorSpec
from ros2_classify.engines.remote.problems import problem
from ros2_classify.engines.remote.protocol import ModelFacts
from ros2_classify.errors import EngineError
from ros2_classify.model.remote_url import RemoteUrl

_SHAPES = ((1,), ('batch',), (1, 1), ('batch', 1))


def decoded(facts: ModelFacts, url: RemoteUrl) -> tuple[ModelFacts, int]:
    """Return facts with pixels in place of BYTES, and how many dimensions those have (0: none)."""
    takes_bytes = [spec for spec in facts.inputs if spec.dtype.kind == 'O']
    if not url.jpeg:
        if takes_bytes:
            raise problem('wrong_model', url=url, reason=(
                f'its input {takes_bytes[0].name!r} takes bytes, not numbers: if they are JPEG '
                'images, add ?jpeg=90'))
        return facts, 0
    if len(facts.inputs) != 1 or not takes_bytes or facts.inputs[0].shape not in _SHAPES:
        raise problem('wrong_model', url=url, reason=(
            f'?jpeg is for one input of the datatype BYTES with an element for each image, but '
            f'{facts.tensors}'))
    spec, = facts.inputs
    return replace(facts, inputs=(TensorSpec(
        spec.name, (spec.shape[0], None, None, 3), np.dtype(np.uint8)),)), len(spec.shape)


def encode(images: NDArray[Any], quality: int) -> NDArray[np.uint8]:
    """Return images (N, height, width, 3), RGB, as elements of BYTES: length, then JPEG."""
    import cv2

    parts: list[bytes] = []
    for image in images:
        done, data = cv2.imencode(
            '.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))
        if not done:
            raise EngineError(f'an image of {list(image.shape)} cannot be written as JPEG')
        parts += [data.size.to_bytes(4, 'little'), data.tobytes()]
    return np.frombuffer(b''.join(parts), np.uint8)
