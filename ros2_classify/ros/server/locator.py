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

"""Where the objects of one camera's results are: depth, calibration and transforms together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
import threading
import time
from typing import Any, NamedTuple

import numpy as np
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from ros2_classify.errors import InputError, OptionsError
from ros2_classify.results.checked import Timing
from ros2_classify.results.detections import Detections
from ros2_classify.ros.diagnostics.issues import find, Issue
from ros2_classify.ros.messages.image import depth_array, info_key
from ros2_classify.ros.node.logging import ThrottledLog
from ros2_classify.ros.node.spec import Spec
from ros2_classify.ros.server.depth_source import (
    DepthSource, is_installed, stamp_of, TransformError, Transforms)
from ros2_classify.ros.server.specs import (
    EVENT_PARAMETERS, POSITION_PARAMETERS, TRACKING_PARAMETERS)
from ros2_classify.ros.server.stream_parameters import StreamView
from ros2_classify.spatial.camera import CameraModel, Floats, quaternion_of, turned_about_z
from ros2_classify.spatial.depth import locate
from ros2_classify.spatial.ground import locate_on_ground
from ros2_classify.spatial.positions import Positions


# How long something that was wrong is reported.
_RECENT = 3.0


@dataclass(frozen=True, eq=False)
class Located:
    """
    The objects of a result that have a position, in the frame where they are published.

    `rows` are those of the result; `points` are on the objects, `centers` those of their boxes,
    whose `sizes` the quaternions `orientations` turn into the frame; the axes `front` span the
    side that faces the camera; `distances` are from the camera.
    """

    result: Detections
    frame_id: str
    rows: np.ndarray
    points: Floats
    centers: Floats
    sizes: Floats
    orientations: Floats
    distances: Floats
    covariances: Floats | None = None
    front: tuple[int, int] = (0, 1)

    def select(self, rows: np.ndarray) -> Located:
        """Return what these rows of the result, in increasing order, have."""
        kept = np.isin(self.rows, rows)
        return replace(
            self, result=self.result.select(rows), rows=np.searchsorted(rows, self.rows[kept]),
            points=self.points[kept], centers=self.centers[kept], sizes=self.sizes[kept],
            orientations=self.orientations[kept], distances=self.distances[kept],
            covariances=None if self.covariances is None else self.covariances[kept])


class Places(NamedTuple):
    """
    Where the objects of a result are.

    `result` has the positions from the camera; `located` is None if not a single object could
    have a position, for a reason that has nothing to do with them: to publish none would say
    that nothing is there. `missing` says of each object why it has none; '' if it has one.
    """

    result: Detections
    located: Located | None
    missing: Sequence[str]

    def select(self, rows: np.ndarray) -> Places:
        """Return those of these rows, in increasing order."""
        return Places(
            self.result.select(rows), self.located and self.located.select(rows),
            [self.missing[row] for row in rows.tolist()])


def sample() -> Located:
    """Return two objects with an id and without one, to try how messages are written."""
    box = np.array([[0, 0, 1, 1], [1, 1, 2, 2]])
    result = Detections(
        box, np.arange(2), np.array([0.9, 0.8]), np.array(['one', 'zwölf'], object), (8, 8),
        Timing(0.0, 0.0, 0.0), track_ids=np.array(['', '17'], object))
    numbers = np.arange(1.0, 7.0).reshape(2, 3)
    return Located(result, 'map', np.arange(2), numbers, 2 * numbers, 3 * numbers,
                   np.array([[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 1.0]]), np.ones(2),
                   np.arange(18.0).reshape(2, 3, 3))


class _Problem(Exception):
    """A whole result has no positions."""

    def __init__(self, issue: Issue) -> None:
        super().__init__(issue.text)
        self.issue = issue


# Why one object has no position, by the reasons of `ros2_classify.spatial`.
_ALONE: dict[str, Callable[[str, float], Issue]] = {
    'invalid': lambda topic, part: find('position_invalid', topic=topic, percent=100 * part),
    'no_ray': lambda topic, part: find('position_no_ray', topic=topic),
    'above_horizon': lambda topic, part: find('position_above_horizon', topic=topic),
    'cut_off': lambda topic, part: find('position_cut_off', topic=topic),
}


class Locator:
    """
    Finds positions for the results of one camera.

    The executor's thread calls `update`; any thread may ask for positions.
    """

    def __init__(self, node: Node, topic: str, namespace: str | None,
                 parameters: StreamView) -> None:
        self._node = node
        self._topic = topic
        self._throttled = ThrottledLog()
        self._sync = float(parameters['depth_sync'])
        self._target = str(parameters['target_frame'])
        self._ground = str(parameters['ground_frame'])
        self.points = bool(parameters['points'])
        depth_topic = _resolve(node, parameters, 'depth_topic', namespace)
        base = topic.removesuffix('/compressed').rpartition('/')[0]
        self.source = DepthSource(
            node, depth_topic,
            _resolve(node, parameters, 'camera_info_topic', namespace)
            or f'{base}/camera_info', str(parameters['qos']))
        # image_proc and the drivers name rectified images so.
        self._rectified = 'rect' in topic.removesuffix('/compressed').rpartition('/')[2]
        self._transforms: Transforms | None = None
        self._has_tf = is_installed()
        if depth_topic and self._ground:
            raise OptionsError(
                f'depth_topic is {depth_topic} and ground_frame is {self._ground}, but positions '
                'are by depth or by the ground: leave one of them empty')
        if self._ground and not self._has_tf:
            raise OptionsError(
                f'ground_frame is {self._ground}, but tf2_ros is not installed: install the '
                'package tf2_ros of your ROS distribution (ros-<distro>-tf2-ros-py), or leave '
                'ground_frame empty')
        # A request about the camera may be worked on beside its images.
        self._locating = threading.Lock()
        self._camera: tuple[Any, CameraModel] | None = None
        self._recent: dict[str, tuple[float, Issue]] = {}
        self.located = 0
        self.missing: Counter[str] = Counter()

    @staticmethod
    def is_on(parameters: StreamView) -> bool:
        """Whether the parameters ask for positions."""
        return bool(parameters['depth_topic'] or parameters['ground_frame'])

    @property
    def sources(self) -> dict[str, str]:
        """What positions are made of, for diagnostics."""
        by = {'depth': self.source.depth_topic} if self.source.depth_topic else {
            'ground': self._ground}
        return {**by, 'camera_info': self.source.info_topic,
                'frame': self._target or self._ground or 'that of the image'}

    # ---- in the executor's thread

    def update(self, wanted: bool) -> None:
        """Subscribe to depth and calibration if positions are wanted, else don't."""
        self.source.update(wanted)
        if wanted and self._transforms is None and self._has_tf and (self._target or self._ground):
            self._transforms = Transforms.of(self._node)

    def close(self) -> None:
        """Unsubscribe."""
        self.source.unsubscribe()
        self._recent.clear()

    def issues(self) -> list[Issue]:
        """Return what was wrong lately."""
        now = time.monotonic()
        found = [issue for at, issue in list(self._recent.values()) if now - at < _RECENT]
        if self._target and not self._has_tf:
            found.append(find('no_tf2', target=self._target))
        return found

    # ---- in any thread

    def __call__(self, result: Detections, header: Any, lower_edge: float | None = None) -> Places:
        """Find the objects; `lower_edge` is where a region of interest ends, in pixels."""
        with self._locating:
            try:
                return self._locate(result, header, lower_edge)
            except _Problem as problem:
                self._tell(problem.issue, len(result))
                return Places(result, None, [problem.issue.text] * len(result))

    def _locate(self, result: Detections, header: Any, lower_edge: float | None) -> Places:
        target = self._target if self._has_tf else ''
        frame = target or self._ground or header.frame_id
        if not len(result):
            none = np.zeros((0, 3))
            return Places(result, Located(
                result, frame, np.zeros(0, int), none, none, none, np.zeros((0, 4)), np.zeros(0)),
                ())
        if not stamp_of(header):
            raise _Problem(find('positions_unstamped', topic=self._topic))
        camera = self._model(result)
        moved: Floats | None = None
        turns: Sequence[Floats] | None
        if self._ground:
            pose = self._matrix(self._ground, header.frame_id, header.stamp)
            where = self._on_ground(result, camera, pose, lower_edge)
            inside = (where.points - pose[:3, 3]) @ pose[:3, :3]
            assert where.headings is not None
            turns = [turned_about_z(angle) for angle in where.headings.tolist()]
            if target and target != self._ground:
                moved = self._matrix(target, self._ground, header.stamp)
        else:
            where = self._by_depth(result, camera, header)
            inside = where.points
            turns = None
            if target and target != header.frame_id:
                moved = self._matrix(target, header.frame_id, header.stamp)
        missing = [''] * len(result)
        for row, reason in enumerate(where.missing):
            if reason is not None:
                issue = _ALONE[reason.key](self._topic, reason.number)
                self._tell(issue, 1)
                missing[row] = issue.text
        known = where.known
        self.located += int(known.sum())
        return Places(
            result.with_positions(inside), published(result, frame, where, known, turns, moved),
            missing)

    def _model(self, result: Detections) -> CameraModel:
        info = self.source.info
        if info is None:
            raise _Problem(find(
                'no_camera_info', topic=self.source.info_topic,
                publishers=self.source.publishers(self.source.info_topic)))
        if self._camera is None or self._camera[0] is not info:
            if self._camera is None or info_key(self._camera[0]) != info_key(info):
                try:
                    model = CameraModel.from_info(info, self._rectified)
                except InputError as error:
                    raise self._bad_info(str(error)) from error
                self._camera = info, model
            else:
                self._camera = info, self._camera[1]
        camera = self._camera[1]
        if camera.image_size != result.image_size:
            raise self._bad_info('it is for images of {}x{}, but those on {} have {}x{}'.format(
                *camera.image_size, self._topic, *result.image_size))
        return camera

    def _bad_info(self, reason: str) -> _Problem:
        return _Problem(find('camera_info', topic=self.source.info_topic, reason=reason))

    def _by_depth(self, result: Detections, camera: CameraModel, header: Any) -> Positions:
        topic = self.source.depth_topic
        msg, away = self.source.ring.find(stamp_of(header), round(1e9 * self._sync), self._sync)
        if away is None:
            raise _Problem(find(
                'no_depth', topic=topic, publishers=self.source.publishers(topic)))
        if msg is None:
            raise _Problem(find('depth_unmatched', topic=topic, milliseconds=abs(away) / 1e6,
                                limit=1e3 * self._sync))
        width, height = result.image_size
        if (msg.width, msg.height) != (width, height):
            raise _unregistered(topic, (
                f'it has {msg.width}x{msg.height} pixels and the image {width}x{height}'))
        if msg.header.frame_id != header.frame_id:
            raise _unregistered(topic, (
                f'its frame is {msg.header.frame_id!r} and that of the image '
                f'{header.frame_id!r}'))
        try:
            return locate(result, camera, depth_array(msg))
        except InputError as error:
            raise _Problem(find('depth_unusable', topic=topic, reason=error)) from error

    def _on_ground(self, result: Detections, camera: CameraModel, pose: Floats,
                   lower_edge: float | None) -> Positions:
        try:
            return locate_on_ground(result, camera, pose, lower_edge)
        except InputError as error:
            raise _Problem(find('ground', frame=self._ground, reason=error)) from error

    def _matrix(self, target: str, source: str, stamp: Any) -> Floats:
        try:
            if self._transforms is None:
                raise TransformError('nothing has been received on /tf yet')
            return self._transforms.matrix(target, source, stamp, self._sync)
        except TransformError as error:
            raise _Problem(find('no_transform', source=source or "''", target=target,
                                reason=error)) from error

    def _tell(self, issue: Issue, count: int) -> None:
        """Count detections without a position, and say why."""
        self.missing[issue.key] += count
        self._recent[issue.key] = time.monotonic(), issue
        # What concerns one object alone is usual.
        if not issue.key.startswith('position_'):
            self._throttled(self._node.get_logger().warning, issue.text, issue.key)


def _unregistered(topic: str, difference: str) -> _Problem:
    return _Problem(find('depth_unregistered', topic=topic, difference=difference))


def published(
        result: Detections, frame: str, where: Positions, known: Any,
        turns: Sequence[Floats] | None, moved: Floats | None) -> Located:
    """Return what is known, in the frame where it is published."""
    rows = np.flatnonzero(known)
    by_ground = where.covariances is not None
    points, sizes = where.points[rows], where.sizes[rows]
    centers = points + sizes * (0, 0, 0.5) if by_ground else points
    covariances = where.covariances[rows] if where.covariances is not None else None
    base = np.eye(3) if moved is None else moved[:3, :3]
    if moved is not None:
        points, centers = (each @ base.T + moved[:3, 3] for each in (points, centers))
        if covariances is not None:
            covariances = base @ covariances @ base.T
    # By depth all boxes are turned as the camera is.
    turn = (0.0, 0.0, 0.0, 1.0) if moved is None else quaternion_of(base)
    orientations = np.tile(turn, (len(rows), 1)) if turns is None else np.array(
        [quaternion_of(base @ turns[row]) for row in rows.tolist()])
    return Located(result, frame, rows, points, centers, sizes, orientations.reshape(-1, 4),
                   where.distances[rows], covariances, (1, 2) if by_ground else (0, 1))


def _resolve(node: Node, parameters: StreamView, parameter: str, namespace: str | None) -> str:
    """Return the full name of a topic; a relative one is in the camera's namespace."""
    given = name = str(parameters[parameter])
    if not name:
        return ''
    if namespace is not None and not name.startswith(('/', '~')):
        name = f'{namespace.rstrip("/")}/{name}'
    try:
        return str(node.resolve_topic_name(name))
    except rclpy_implementation.RCLError as error:
        reason = str(error).partition(', at ')[0].rpartition('name: ')[2]
        raise OptionsError(f'{parameter} is {given!r}, which cannot be used: {reason}') from error


def without_effect(parameters: StreamView, task: str) -> str:
    """Return which parameters are set although nothing makes use of them, and why; else ''."""
    def changed(specs: Sequence[Spec]) -> list[str]:
        return [spec.name for spec in specs if parameters[spec.name] != spec.default]

    tracking, events = changed(TRACKING_PARAMETERS[:1]), changed(EVENT_PARAMETERS)
    positions = changed(POSITION_PARAMETERS)
    if task != 'detection':
        found = [([*tracking, *events, *positions],
                  f'this model is for {task}, and they are for detection')]
    else:
        found = [([] if tracking else events, 'events take tracking')]
        if not {'depth_topic', 'ground_frame'} & set(positions):
            found.append(([name for name in positions if name != 'annotations'],
                          'positions take depth_topic or ground_frame'))
    return '; '.join(f'{", ".join(names)} without effect: {why}' for names, why in found if names)
