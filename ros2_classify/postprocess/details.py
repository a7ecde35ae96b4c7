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

"""What belongs to boxes beside class and score, on its way to the source image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders import Candidates
from ros2_classify.postprocess.oriented import to_source
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.masks import InstanceMasks, Masks
from ros2_classify.results.prototype_masks import PrototypeMasks

# Beyond any image.
_FAR = 1e6


def details(found: Candidates, geometry: Geometry) -> dict[str, Any]:
    """Return masks, key points and oriented boxes as fields of `Detections`, None for none."""
    oriented = found.oriented
    if oriented is not None:
        oriented = to_source(oriented, geometry) if not found.in_source_pixels else (
            oriented + np.array((*geometry.origin, 0, 0, 0), np.float32))
    return {'masks': _masks(found, geometry), 'keypoints': _keypoints(found, geometry),
            'oriented': oriented}


def on_source(
    boxes: NDArray[np.float32], found: Candidates, geometry: Geometry,
) -> NDArray[np.float32]:
    """Map boxes of a decoder to source pixels; they may leave the image."""
    if not found.in_source_pixels:
        return geometry.to_source(boxes, clip=False)
    return boxes if geometry.crop is None else boxes + np.array(geometry.origin * 2, np.float32)


def _masks(found: Candidates, geometry: Geometry) -> Masks | None:
    """Return the masks, each with its box before clipping, or with the whole input."""
    if found.masks is None:
        return None
    boxes = on_source(found.boxes, found, geometry)
    whole = geometry.to_source(
        np.array([(0, 0, *geometry.model_size)], np.float32), clip=False)
    if found.prototypes is not None:
        x1, y1, x2, y2 = whole[0].tolist()
        # A copy: the model's memory is used again.
        return PrototypeMasks(found.masks, found.prototypes.copy(), (x1, y1, x2, y2), boxes)
    if found.masks_fill_input:
        boxes = np.repeat(whole, len(boxes), axis=0)
    return InstanceMasks(found.masks, boxes)


def _keypoints(found: Candidates, geometry: Geometry) -> Keypoints | None:
    if found.points is None:
        return None
    places = found.points.values[..., :2]
    if found.in_source_pixels:
        places = places + geometry.origin
    else:
        scale = np.array((geometry.scale_x, geometry.scale_y))
        places = places * scale + (geometry.offset_x, geometry.offset_y)
    places = np.clip(places, -_FAR, _FAR).astype(np.float32)
    return Keypoints(places, found.points.values[..., 2],
                     found.points.names, found.points.skeleton)
