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

"""Write the short video that ships: one card that is shown, moved, turned and hidden."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from training.motions import film

#: Chosen by eye for a calm background; neither training nor evaluation uses it.
_SEED = (2, 12, 6)
_SIZE, _RATE, _CARD = (240, 180), 20.0, 'go'
_BYTES = 300_000


def write_video(directory: Path) -> None:
    """
    Write motions.mp4, and motions.yaml with what happens when.

    Parameters
    ----------
    directory
        Where to; made if missing.

    Raises
    ------
    ValueError
        If the video is too large to ship, or OpenCV cannot write it.

    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / 'motions.mp4'
    frames, events = film(np.random.default_rng(_SEED), _CARD, _SIZE, _RATE)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), _RATE, _SIZE)
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    if not path.exists() or not 0 < path.stat().st_size <= _BYTES:
        raise ValueError(f'{path} is missing or larger than {_BYTES} bytes: is there an encoder '
                         'for mp4v, and is the background calm?')
    lines = ['# Written by `python -m training`: what happens in motions.mp4, in seconds.',
             'motions:', *(f'  - {{label: {name}, begin: {begin:g}, end: {end:g}}}'
                           for name, begin, end in events)]
    (directory / 'motions.yaml').write_text('\n'.join(lines) + '\n', encoding='utf-8')
