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

"""The work on a piece, which may be done twice, or be killed, and leaves whole files."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
import hashlib
import json
import os
from pathlib import Path
import shutil
import time
from typing import Any
import uuid

from ros2_classify import InputError, Pipeline
from ros2_classify_evaluation.identity import model_sha256
from ros2_classify_evaluation.label.pieces import images_of, Piece
from ros2_classify_evaluation.label.writers import Row, Table, WRITERS

# Of files that a killed worker left.
WORK = '.work'
PIECES = 'pieces'


@dataclass(frozen=True)
class Plan:
    """What labels all pieces, and how: the same on all workers."""

    model: str
    out: str
    form: str = 'parquet'
    threshold: float | None = None
    provider: str = 'cpu'
    sha256: str = ''
    key: str = field(default='', compare=False)

    def pipeline(self) -> Pipeline[Any]:
        """Load the model; one thread, since there are as many workers as cores."""
        return Pipeline.load(self.model, provider=self.provider, threads=1)


@dataclass(frozen=True)
class Done:
    """What became of a piece; `problem` is empty unless it is damaged."""

    piece: Piece
    name: str
    images: int = 0
    unreadable: int = 0
    rows: int = 0
    seconds: float = 0.0
    new: bool = True
    problem: str = ''


def make_plan(model: str, out: Path, form: str, threshold: float | None,
              provider: str) -> Plan:
    """Look at the model once; the key stands for all that its labels depend on."""
    sha256 = model_sha256(model)
    path = Path(model)
    model = str(path.absolute()) if path.is_file() else model
    plan = Plan(model, str(out.absolute()), form, threshold, provider, sha256)
    with plan.pipeline() as pipeline:
        if pipeline.task not in ('detection', 'classification'):
            raise InputError(f'label is for detection and classification, but the task of '
                             f'{pipeline.descriptor.name} is {pipeline.task}')
        labels = dict(pipeline.labels.items()) if pipeline.labels else {}
        about = [pipeline.descriptor.name, sha256, repr(pipeline.options), threshold, form,
                 sorted(labels.items()), repr(pipeline.descriptor.input), provider]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    return Plan(model, plan.out, form, threshold, provider, sha256, key)


def target(plan: Plan, name: str) -> Path:
    """Return where the labels of a piece are."""
    return Path(plan.out) / PIECES / f'{name}{WRITERS[plan.form].suffix}'


@lru_cache(maxsize=1)
def _model(plan: Plan) -> Pipeline[Any]:
    if model_sha256(plan.model) != plan.sha256:
        raise InputError(f'the model {plan.model} is another file on this machine')
    return plan.pipeline()


def work(piece: Piece, plan: Plan) -> Done:
    """Label a piece, unless its labels are there; they appear whole or not at all."""
    begin = time.monotonic()
    try:
        name = piece.name(plan.key)
    except OSError as error:
        return Done(piece, '', problem=f'{piece}: {error}')
    final = target(plan, name)
    if final.exists():
        return Done(piece, name, new=False)
    place = Path(plan.out) / WORK / uuid.uuid4().hex
    try:
        table = _label(piece, plan)
        place.mkdir(parents=True)
        WRITERS[plan.form].write(place / final.name, table)
        _move(place / final.name, final)
    except (InputError, OSError) as error:
        return Done(piece, name, problem=f'{piece}: {error}')
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Done(piece, name, table.images, table.unreadable, len(table.rows),
                time.monotonic() - begin)


def _label(piece: Piece, plan: Plan) -> Table:
    pipeline = _model(plan)
    options = pipeline.options if plan.threshold is None else pipeline.options.replace(
        score_threshold=plan.threshold)
    table = Table(piece.path, pipeline.descriptor.name, plan.sha256, pipeline.task,
                  dict(pipeline.labels.items()) if pipeline.labels else {})
    for image in images_of(piece):
        if image.pixels is None:
            table.unreadable += 1
            continue
        result = pipeline(image.pixels, 'bgr', options)
        height, width = image.pixels.shape[:2]
        table.frames.append((image.number, image.name, image.stamp, width, height))
        boxes = result.boxes.tolist() if pipeline.task == 'detection' else (
            [[float('nan')] * 4] * len(result))
        table.rows += [
            Row(image.number, image.name, image.stamp, label, class_id, score, *box)
            for label, class_id, score, box in zip(
                map(str, result.labels), result.class_ids.tolist(), result.scores.tolist(),
                boxes)]
    return table


def _move(made: Path, final: Path) -> None:
    """Give a whole piece its name; another worker's is the same."""
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(made, final)
    except OSError:
        # A directory does not replace another.
        if not final.is_dir():
            raise
