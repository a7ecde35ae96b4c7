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

"""What a child process runs to find out whether cv_bridge works; it may crash here."""

from __future__ import annotations

from array import array
import json
from typing import Any

import numpy as np
from ros2_classify.sources.image_messages import ENCODINGS, to_array
from sensor_msgs.msg import Image

_WIDTH, _HEIGHT = 24, 10


def main(encoding: str = '', pixel_bytes: int = 0) -> None:
    """Convert an image of one encoding, or one of each that this package knows too."""
    from cv_bridge import CvBridge
    # The compiled half, which `import cv_bridge` does not load.
    from cv_bridge.boost import cv_bridge_boost  # noqa: F401

    convert = CvBridge().imgmsg_to_cv2
    asked = {encoding: ('bgr8', pixel_bytes)} if encoding else {
        name: (each.bridge, each.pixel_bytes) for name, each in ENCODINGS.items() if each.bridge}
    lacks = []
    for name, (wanted, size) in asked.items():
        # Said before: there may be no after.
        _say(trying=name)
        try:
            msg = _image(name, size)
            expected = None if encoding else to_array(msg)[0].copy()
            pixels = np.asarray(convert(msg, wanted))
        except Exception as error:  # noqa: B902 - the reason is what is asked for
            if not encoding and 'unrecognized image encoding' in str(error).lower():
                # An older one.
                lacks.append(name)
                continue
            _end(f'it cannot convert {name}: {type(error).__name__}: {error}')
        if encoding:
            if pixels.dtype != np.uint8 or pixels.shape != (_HEIGHT, _WIDTH, 3):
                _end(f'it makes {pixels.dtype} {pixels.shape} of {name}, not 8-bit colours')
        elif expected is None or not np.array_equal(pixels, expected):
            _end(f'it reads {name} otherwise than OpenCV')
    if len(lacks) == len(asked):
        _end('it knows none of the encodings')
    _say(done=True, lacks=lacks)


def _image(encoding: str, pixel_bytes: int) -> Any:
    data = np.random.default_rng(0).integers(
        0, 256, _HEIGHT * _WIDTH * pixel_bytes, np.uint8).tobytes()
    return Image(height=_HEIGHT, width=_WIDTH, encoding=encoding, step=_WIDTH * pixel_bytes,
                 is_bigendian=0, data=array('B', data))


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _end(problem: str) -> None:
    _say(problem=problem)
    raise SystemExit(1)
