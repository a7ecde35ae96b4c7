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

"""Label recordings: pieces, who works on them, and the record of what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
import fcntl
import importlib.util
import json
import os
from pathlib import Path
import shutil
from typing import Any

from ros2_classify import InputError, OptionsError
from ros2_classify_evaluation.label.engines import ENGINES
from ros2_classify_evaluation.label.pieces import expand, Piece
from ros2_classify_evaluation.label.work import Done, make_plan, Plan, target, WORK

RECORD = 'label.json'
_LOCK = '.lock'
_NEEDED = {'parquet': 'pyarrow', 'mcap': 'rosbags'}


@dataclass(frozen=True)
class Outcome:
    """All pieces, in the order of the sources."""

    done: tuple[Done, ...]

    @property
    def failed(self) -> tuple[Done, ...]:
        """Those without labels."""
        return tuple(each for each in self.done if each.problem)


def label(model: str, sources: Sequence[str], out: Path, *, engine: str = 'local',
          cluster: str = '', workers: int = 0, resume: bool = False, form: str = 'parquet',
          topic: str = '', threshold: float | None = None, provider: str = 'cpu',
          progress: Callable[[int, int], Any] = lambda done, total: None) -> Outcome:
    """
    Label recordings.

    Parameters
    ----------
    model : str
        A name from the catalogue, a descriptor or a model file, for detection or classification.
    sources : sequence of str
        Bags, videos, directories of images or of recordings, patterns.
    out : Path
        The directory to write; for a cluster, one that all workers see.
    engine, cluster, workers : str, str, int
        'local', 'dask' or 'ray'; the scheduler's address; 0 for a worker for each core.
    resume : bool
        Keep the labels that an earlier run wrote, and add what is missing.
    form : str
        'parquet', 'coco' or 'mcap'.
    topic : str
        The image topic of bags.
    threshold : float, optional
        The least score; the model's by default.
    provider : str
        Execution provider of each worker.
    progress : callable
        Told how many pieces are done, of how many.

    Returns
    -------
    Outcome

    Raises
    ------
    InputError
        If there is no recording, or `out` is not empty and `resume` is not set.

    """
    module = _NEEDED.get(form)
    if module and importlib.util.find_spec(module) is None:
        raise OptionsError(f'--format {form} needs the Python package {module}, which is not '
                           f'installed: pip install {module}')
    pieces = expand(sources, topic)
    _prepare(out, resume)
    plan = make_plan(model, out, form, threshold, provider)
    done: dict[Piece, Done] = {}
    with _locked(out):
        for each in ENGINES[engine](pieces, plan, workers, cluster):
            done[each.piece] = each
            progress(len(done), len(pieces))
        outcome = Outcome(tuple(_checked(done[piece], plan) for piece in pieces))
        # What killed workers left.
        shutil.rmtree(out / WORK, ignore_errors=True)
        _record(out, outcome, plan)
    return outcome


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep other runs out of the directory; the lock ends with the process."""
    with (out / _LOCK).open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f'another run writes to {out}: wait for it, or stop it') from error
        yield


def _prepare(out: Path, resume: bool) -> None:
    if out.exists() and any(out.iterdir()) and not resume:
        raise InputError(f'{out} is not empty: name another directory, or go on with --resume')
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'{out} cannot be written: {error.strerror}') from error


def _checked(done: Done, plan: Plan) -> Done:
    """Find labels that a worker wrote where this machine does not look."""
    if done.problem or target(plan, done.name).exists():
        return done
    return replace(done, problem=f'{done.piece}: its labels are not in {plan.out}; all workers '
                                 'must see that directory')


def _record(out: Path, outcome: Outcome, plan: Plan) -> None:
    """Write which labels are of which recording; the same after one run or several."""
    temporary = out / f'{RECORD}.{os.getpid()}'
    temporary.write_text(json.dumps({
        'model': plan.model, 'sha256': plan.sha256, 'format': plan.form,
        'pieces': [{'source': each.piece.path, 'images': list(each.piece.images),
                    'labels': '' if each.problem else str(
                        target(plan, each.name).relative_to(plan.out)),
                    'problem': each.problem} for each in outcome.done]}, indent=1) + '\n',
        encoding='utf-8')
    temporary.replace(out / RECORD)
