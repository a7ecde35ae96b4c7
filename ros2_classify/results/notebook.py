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

"""A result on its image, for notebooks."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.results.html import result_html
from ros2_classify.results.overlay import draw
from ros2_classify.results.results import Result

# Pixels of the longer side of an image.
_LONG_SIDE = 800


@dataclass(frozen=True, eq=False)
class Shown:
    """What `show` returns: a notebook shows it."""

    image: NDArray[np.uint8]
    result: Result

    def _repr_html_(self) -> str:
        """Return the image and the table."""
        image = self.image
        factor = _LONG_SIDE / max(image.shape[:2])
        if factor < 1:
            image = np.asarray(cv2.resize(
                image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
        _, data = cv2.imencode('.jpg', image)
        return ('<img alt="the annotated image" src="data:image/jpeg;base64,'
                f'{base64.b64encode(data.tobytes()).decode()}"/>{result_html(self.result)}')


def show(image: NDArray[np.uint8], result: Result) -> Shown:
    """
    Return a result on its image, as the last line of a notebook's cell.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        The image of the result, in BGR.
    result : Classification, Detections, Segmentation or Embedding
        The result for this image.

    Returns
    -------
    Shown
        With ``_repr_html_``: the annotated image, and a table whose texts are escaped, since
        labels come from others. ``image`` and ``result`` are those that are shown.

    Raises
    ------
    InputError
        If ``image`` is not an image, or the result not one of this image.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Pipeline, show
    >>> image = np.zeros((240, 320, 3), np.uint8)
    >>> with Pipeline.load('cards_detector') as pipeline:
    ...     shown = show(image, pipeline(image, 'bgr'))
    >>> shown.image.shape
    (240, 320, 3)

    """
    return Shown(image if result.task == 'embedding' else draw(image, result), result)
