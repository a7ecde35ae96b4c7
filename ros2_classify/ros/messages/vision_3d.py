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

"""Positions to messages: ``vision_msgs/Detection3DArray``, points for costmaps, markers."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from geometry_msgs.msg import Point
import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from ros2_classify.results.overlay_colors import Color as Bgr, colors_of
from ros2_classify.ros.messages import cdr
from ros2_classify.spatial.camera import matrix_of
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

Numbers = NDArray[Any]

# Points of an object's front for costmaps: the largest distance of two in metres, and the
# number of them on a side.
_PITCH, _MOST = 0.05, 24
_FIELDS = {
    'x': PointField.FLOAT32, 'y': PointField.FLOAT32, 'z': PointField.FLOAT32,
    'score': PointField.FLOAT32, 'class_id': PointField.INT32, 'row': PointField.UINT32}
_TYPES = {PointField.FLOAT32: '<f4', PointField.INT32: '<i4', PointField.UINT32: '<u4'}
_POINT = np.dtype([(name, _TYPES[kind]) for name, kind in _FIELDS.items()])


def header_in(frame_id: str, header: Any) -> Header:
    """Return a header of the same stamp in another frame."""
    return Header(stamp=header.stamp, frame_id=frame_id)


def detections_3d_msg(located: Any, header: Any, names: Sequence[str]) -> Detection3DArray:
    """Return the objects that have a position (`Located`); ``names`` are those of all rows."""
    here = header_in(located.frame_id, header)
    result = located.result
    scores, ids = result.scores.tolist(), result.track_ids
    detections = []
    for number, (row, point, center, size, turn) in enumerate(zip(
            located.rows.tolist(), located.points.tolist(), located.centers.tolist(),
            located.sizes.tolist(), located.orientations.tolist())):
        detection = Detection3D(header=here, id='' if ids is None else ids[row])
        best = ObjectHypothesisWithPose()
        best.hypothesis.class_id, best.hypothesis.score = names[row], scores[row]
        for pose, at in ((best.pose.pose, point), (detection.bbox.center, center)):
            pose.position.x, pose.position.y, pose.position.z = at
            (pose.orientation.x, pose.orientation.y, pose.orientation.z,
             pose.orientation.w) = turn
        if located.covariances is not None:
            covariance = np.zeros((6, 6))
            covariance[:3, :3] = located.covariances[number]
            best.pose.covariance = covariance.ravel()
        side = detection.bbox.size
        side.x, side.y, side.z = size
        detection.results = [best]
        detections.append(detection)
    return Detection3DArray(header=here, detections=detections)


def detections_3d_cdr(located: Any, header: Any, names: Sequence[str]) -> bytes:
    """Return the message of `detections_3d_msg`, serialized."""
    ids = located.result.track_ids
    rows = located.rows.tolist()
    return cdr.detections_3d(
        header_in(located.frame_id, header), [names[row] for row in rows],
        located.result.scores[located.rows], located.points, located.centers,
        located.orientations, located.sizes, located.covariances,
        [''] * len(rows) if ids is None else [ids[row] for row in rows])


def writer_3d(sample: Any) -> Callable[[Any, Any, Sequence[str]], Any]:
    """Return the quick way to write a message if this installation reads it, else the slow one."""
    try:
        header, names = Header(frame_id='eye'), ['one', 'zwölf']
        read = deserialize_message(detections_3d_cdr(sample, header, names), Detection3DArray)
        same = read == detections_3d_msg(sample, header, names)
    except Exception:  # noqa: B902 - whatever it is, the objects remain
        same = False
    return detections_3d_cdr if same else detections_3d_msg


def point_cloud_msg(located: Any, header: Any) -> PointCloud2:
    """Return points on the fronts of the objects, with score, class id and the result's row."""
    parts = [_front(size, turn, located.front) + center for size, turn, center in zip(
        located.sizes, located.orientations, located.centers)]
    counts = [len(part) for part in parts]
    cloud = np.zeros(sum(counts), _POINT)
    if parts:
        points, rows = np.concatenate(parts), np.repeat(located.rows, counts)
        cloud['x'], cloud['y'], cloud['z'] = points.T
        cloud['score'] = located.result.scores[rows]
        cloud['class_id'] = located.result.class_ids[rows]
        cloud['row'] = rows
    msg = PointCloud2(header=header_in(located.frame_id, header), height=1, width=len(cloud))
    msg.fields = [
        PointField(name=name, offset=4 * number, datatype=kind, count=1)
        for number, (name, kind) in enumerate(_FIELDS.items())]
    msg.point_step, msg.row_step = _POINT.itemsize, _POINT.itemsize * len(cloud)
    # The only fast way to fill the field.
    data = array('B')
    data.frombytes(cloud.tobytes())
    msg.data, msg.is_dense = data, True
    return msg


def _front(size: Numbers, turn: Numbers, axes: tuple[int, int]) -> Numbers:
    """Return points of the side of a box that faces the camera, around its middle."""
    steps = [np.linspace(-0.5, 0.5, min(_MOST, int(np.ceil(size[axis] / _PITCH)) + 1)) * size[axis]
             for axis in axes]
    grid = np.zeros((len(steps[0]) * len(steps[1]), 3))
    grid[:, axes[0]] = np.repeat(steps[0], len(steps[1]))
    grid[:, axes[1]] = np.tile(steps[1], len(steps[0]))
    return grid @ matrix_of((0, 0, 0), turn)[:3, :3].T


# A marker disappears by itself if no result follows.
_SECONDS = 1
# Metres: height of letters, thickness of trails.
_LETTERS, _TRAIL = 0.12, 0.02
# Positions of a trail, and trails.
_LENGTH, _TRAILS = 60, 200


class Trails:
    """The last positions of objects with an id, in one frame."""

    def __init__(self) -> None:
        self._frame = ''
        self._trails: dict[str, deque[list[float]]] = {}

    def add(self, located: Any) -> dict[int, list[list[float]]]:
        """Add a result's positions; return the trails of its rows."""
        if located.frame_id != self._frame:
            self._trails.clear()
            self._frame = located.frame_id
        ids, found = located.result.track_ids, {}
        for row, point in zip(located.rows.tolist(), located.points.tolist()):
            if ids is not None and ids[row]:
                # The end of the dictionary are those seen last.
                trail = self._trails.pop(ids[row], None) or deque(maxlen=_LENGTH)
                trail.append(point)
                self._trails[ids[row]] = trail
                found[row] = list(trail)
        while len(self._trails) > _TRAILS:
            del self._trails[next(iter(self._trails))]
        return found


def marker_array_msg(located: Any, header: Any, names: Sequence[str], trails: Trails) -> Any:
    """Return boxes, their texts and trails; those of the result before are deleted first."""
    from visualization_msgs.msg import Marker, MarkerArray

    here = header_in(located.frame_id, header)
    markers = [Marker(header=here, action=Marker.DELETEALL)]
    paths = trails.add(located)
    ids = located.result.track_ids
    colors = [_color(bgr) for bgr in colors_of(located.result)]
    for number, row in enumerate(located.rows.tolist()):
        color = colors[row]
        center, size = located.centers[number].tolist(), located.sizes[number].tolist()
        box = Marker(header=here, ns='boxes', id=row, type=Marker.CUBE, color=color)
        box.color.a = 0.5
        box.pose.position = Point(x=center[0], y=center[1], z=center[2])
        turn = box.pose.orientation
        turn.x, turn.y, turn.z, turn.w = located.orientations[number].tolist()
        # RViz shows nothing of a box without an extent.
        box.scale.x, box.scale.y, box.scale.z = (max(0.02, side) for side in size)
        text = Marker(header=here, ns='texts', id=row, type=Marker.TEXT_VIEW_FACING,
                      color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0))
        text.text = ' '.join(filter(None, (
            names[row], ids[row] if ids is not None else '',
            f'{located.distances[number]:.1f} m')))
        text.pose.position = Point(x=center[0], y=center[1], z=center[2])
        text.scale.z = _LETTERS
        markers += [box, text]
        if len(paths.get(row, ())) > 1:
            trail = Marker(header=here, ns='trails', id=row, type=Marker.LINE_STRIP,
                           color=colors[row])
            trail.scale.x, trail.pose.orientation.w = _TRAIL, 1.0
            trail.points = [Point(x=x, y=y, z=z) for x, y, z in paths[row]]
            markers.append(trail)
    for marker in markers:
        marker.lifetime.sec = _SECONDS
    return MarkerArray(markers=markers)


def _color(bgr: Bgr) -> ColorRGBA:
    blue, green, red = bgr
    return ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=1.0)
