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

"""The labels of a piece as a table, COCO, or messages; the same labels give the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ros2_classify import InputError
from ros2_classify_evaluation.vision_messages import CLASSIFICATION, DETECTIONS, make_store


class Row(NamedTuple):
    """A box, or a class of an image, whose box is nan."""

    frame: int
    name: str
    stamp: float
    label: str
    class_id: int
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass
class Table:
    """The labels of a piece, and which images were looked at."""

    source: str
    model: str
    sha256: str
    task: str
    labels: dict[int, str]
    rows: list[Row] = field(default_factory=list)
    # Number, name, stamp, width and height.
    frames: list[tuple[int, str, float, int, int]] = field(default_factory=list)
    unreadable: int = 0

    @property
    def images(self) -> int:
        """How many were labelled."""
        return len(self.frames)


class Writer(NamedTuple):
    """The end of the name, and what writes."""

    suffix: str
    write: Callable[[Path, Table], None]


def _parquet(path: Path, table: Table) -> None:
    pyarrow, parquet = import_module('pyarrow'), import_module('pyarrow.parquet')

    # Given, since the columns of no rows have no types.
    kinds = {
        'source': pyarrow.string(), 'frame': pyarrow.int64(), 'image': pyarrow.string(),
        'stamp': pyarrow.float64(), 'label': pyarrow.string(), 'class_id': pyarrow.int64(),
        'score': pyarrow.float32(), **dict.fromkeys(('x1', 'y1', 'x2', 'y2'), pyarrow.float32())}
    about = {'model': table.model, 'sha256': table.sha256, 'task': table.task,
             'images': str(table.images), 'unreadable': str(table.unreadable)}
    schema = pyarrow.schema(list(kinds.items()), metadata=about)
    columns = [[table.source] * len(table.rows), *zip(*table.rows)] if table.rows else (
        [[]] * len(kinds))
    arrays = [pyarrow.array(_nulls(column), kind)
              for column, kind in zip(columns, kinds.values())]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), str(path))


def _nulls(column: Any) -> list[Any]:
    return [None if isinstance(each, float) and math.isnan(each) else each for each in column]


def _coco(path: Path, table: Table) -> None:
    if table.task != 'detection':
        raise InputError('COCO holds boxes, not classes of images: use --format parquet')
    number_of = {frame: number for number, (frame, *_) in enumerate(table.frames, 1)}
    path.write_text(json.dumps({
        'info': {'description': 'labels of a model, to be checked', 'model': table.model,
                 'sha256': table.sha256, 'source': table.source},
        'images': [{'id': number_of[frame], 'file_name': name, 'width': width, 'height': height,
                    'stamp': None if math.isnan(stamp) else stamp}
                   for frame, name, stamp, width, height in table.frames],
        'annotations': [{
            'id': number, 'image_id': number_of[row.frame], 'category_id': row.class_id,
            'bbox': [round(each, 2) for each in (
                row.x1, row.y1, row.x2 - row.x1, row.y2 - row.y1)],
            'area': round((row.x2 - row.x1) * (row.y2 - row.y1), 2), 'iscrowd': 0,
            'score': round(row.score, 6), 'prelabel': True}
            for number, row in enumerate(table.rows, 1)],
        'categories': [{'id': number, 'name': name}
                       for number, name in table.labels.items()]}) + '\n', encoding='utf-8')


def _mcap(path: Path, table: Table) -> None:
    """Write a bag with a message for each image, at its stamp."""
    store = make_store(path)
    from rosbags.rosbag2 import StoragePlugin, Writer as Bag

    if any(math.isnan(stamp) for _, _, stamp, _, _ in table.frames):
        raise InputError(f'images of {table.source} have no stamps, which messages need: use '
                         '--format parquet or coco')
    rows: dict[int, list[Row]] = {}
    for row in table.rows:
        rows.setdefault(row.frame, []).append(row)
    kind = DETECTIONS if table.task == 'detection' else CLASSIFICATION
    make = _detections if table.task == 'detection' else _classes
    topic = '/detections' if table.task == 'detection' else '/classification'
    with Bag(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        connection = bag.add_connection(topic, kind, typestore=store)
        for frame, _, stamp, _, _ in table.frames:
            nanoseconds = round(stamp * 1e9)
            head = store.types['std_msgs/msg/Header'](
                store.types['builtin_interfaces/msg/Time'](*divmod(nanoseconds, 10**9)), '')
            message = make(store.types, head, rows.get(frame, []))
            bag.write(connection, nanoseconds, store.serialize_cdr(message, kind))


def _classes(types: Any, head: Any, rows: list[Row]) -> Any:
    return types[CLASSIFICATION](head, [
        types['vision_msgs/msg/ObjectHypothesis'](row.label, row.score) for row in rows])


def _detections(types: Any, head: Any, rows: list[Row]) -> Any:
    pose = types['geometry_msgs/msg/PoseWithCovariance'](
        types['geometry_msgs/msg/Pose'](
            types['geometry_msgs/msg/Point'](0.0, 0.0, 0.0),
            types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0)), np.zeros(36))
    found = []
    for row in rows:
        point = types['vision_msgs/msg/Point2D']((row.x1 + row.x2) / 2, (row.y1 + row.y2) / 2)
        box = types['vision_msgs/msg/BoundingBox2D'](
            types['vision_msgs/msg/Pose2D'](point, 0.0), row.x2 - row.x1, row.y2 - row.y1)
        found.append(types['vision_msgs/msg/Detection2D'](
            head, [types['vision_msgs/msg/ObjectHypothesisWithPose'](
                types['vision_msgs/msg/ObjectHypothesis'](row.label, row.score), pose)], box, ''))
    return types[DETECTIONS](head, found)


WRITERS = {'parquet': Writer('.parquet', _parquet), 'coco': Writer('.json', _coco),
           'mcap': Writer('', _mcap)}
