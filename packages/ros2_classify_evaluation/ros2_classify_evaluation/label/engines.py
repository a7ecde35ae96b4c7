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

"""Who works on the pieces: this process, a pool of processes, Dask, Ray; all the same function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
import multiprocessing
import os
import threading
from typing import Any

from ros2_classify import OptionsError
from ros2_classify_evaluation.label.pieces import Piece
from ros2_classify_evaluation.label.work import Done, Plan, work

_RETRIES = 3


def loop(pieces: Sequence[Piece], plan: Plan, workers: int, cluster: str) -> Iterator[Done]:
    """Work in this process."""
    yield from (work(piece, plan) for piece in pieces)


def local(pieces: Sequence[Piece], plan: Plan, workers: int, cluster: str) -> Iterator[Done]:
    """Work in processes of this machine; a piece that kills its worker twice is given up."""
    if cluster:
        raise OptionsError('--address belongs to --engine dask or ray; the engine is local')
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from loop(pieces, plan, workers, cluster)
        return
    done: set[Piece] = set()
    for each in _pool(pieces, plan, workers):
        done.add(each.piece)
        yield each
    # Those that were under way when a worker was killed: one of them may be why.
    for piece in (each for each in pieces if each not in done):
        found = None
        for _ in range(_RETRIES - 1):
            found = found or next(_pool([piece], plan, 1), None)
        yield found or Done(piece, '', problem=f'{piece}: its worker was killed {_RETRIES} times')


def _pool(pieces: Sequence[Piece], plan: Plan, workers: int) -> Iterator[Done]:
    """Yield what is done; after a killed worker go on with those that nobody had begun."""
    rest = list(pieces)
    while rest:
        with ProcessPoolExecutor(
                workers, mp_context=multiprocessing.get_context('spawn'),
                initializer=_end_with_parent) as pool:
            # No more than one waits for each worker, so that few are suspected.
            under_way: dict[Future[Done], Piece] = {}
            broken = False
            while (rest or under_way) and not broken:
                while rest and len(under_way) < workers + 1:
                    try:
                        future = pool.submit(work, rest[0], plan)
                    except BrokenProcessPool:
                        broken = True
                        break
                    under_way[future] = rest.pop(0)
                if not under_way:
                    break
                ready = next(as_completed(under_way))
                del under_way[ready]
                try:
                    yield ready.result()
                except BrokenProcessPool:
                    broken = True
        if not broken:
            return


def _end_with_parent() -> None:
    """End this process with the one that began it, even if that is killed."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def dask(pieces: Sequence[Piece], plan: Plan, workers: int, cluster: str) -> Iterator[Done]:
    """Work on a cluster of Dask, or on one of this machine."""
    distributed = _module('distributed', 'dask')
    own = None if cluster else distributed.LocalCluster(
        n_workers=workers or os.cpu_count(), threads_per_worker=1, dashboard_address=None)
    try:
        with distributed.Client(cluster or own) as client:
            futures = {client.submit(work, piece, plan, pure=False, retries=_RETRIES): piece
                       for piece in pieces}
            for future in distributed.as_completed(futures):
                error = future.exception()
                yield future.result() if error is None else _given_up(futures[future], error)
    finally:
        if own is not None:
            own.close()


def ray(pieces: Sequence[Piece], plan: Plan, workers: int, cluster: str) -> Iterator[Done]:
    """Work on a cluster of Ray, or on one of this machine."""
    module = _module('ray', 'ray')
    options: dict[str, Any] = {'address': cluster} if cluster else {
        'num_cpus': workers or os.cpu_count(), 'include_dashboard': False}
    module.init(log_to_driver=False, **options)
    try:
        remote = module.remote(num_cpus=1, max_retries=_RETRIES)(work)
        futures = {remote.remote(piece, plan): piece for piece in pieces}
        waiting = list(futures)
        while waiting:
            ready, waiting = module.wait(waiting)
            for future in ready:
                try:
                    yield module.get(future)
                except module.exceptions.RayError as error:
                    yield _given_up(futures[future], error)
    finally:
        module.shutdown()


def _given_up(piece: Piece, error: BaseException) -> Done:
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return Done(piece, '', problem=f'{piece}: {first}')


def _module(name: str, engine: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise OptionsError(
            f'--engine {engine} needs the Python package {name}, which is not installed: pip '
            f'install {name} pyarrow') from error


ENGINES = {'local': local, 'dask': dask, 'ray': ray}
