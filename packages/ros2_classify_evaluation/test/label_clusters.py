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

"""Clusters of two nodes on this machine, with Dask and with Ray, whose parts can be killed."""

from __future__ import annotations

from contextlib import ExitStack
import os
from pathlib import Path
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LABEL = """
import sys
from pathlib import Path
from ros2_classify_evaluation.label.run import label
if __name__ == '__main__':
    out, form, engine, cluster, workers, source = sys.argv[1:]
    label('cards_detector', [source], Path(out), form=form, engine=engine, cluster=cluster,
          workers=int(workers), resume=True)
"""


def environment(**more):
    """Return variables with which other processes find the packages, as when installed."""
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path)), **more}


def start_label(out, source, engine, cluster='', workers=2, form='coco', env=None):
    """Start `label` in a process of its own."""
    script = out.parent / 'run.py'
    script.write_text(LABEL)
    return subprocess.Popen(
        [sys.executable, str(script), str(out), form, engine, cluster, str(workers), str(source)],
        env=env or environment())


def wait_for(condition, process=None, seconds=300.0, what='what was waited for'):
    """Wait; a process that ends before is a failure."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f'no {what} within {seconds:g} s'
        assert process is None or process.poll() is None, f'it ended without {what}'
        time.sleep(0.02)
    return found


def below(parent, word=''):
    """Return the processes below one whose command lines match, the parent not among them."""
    children = {}
    for each in Path('/proc').iterdir():
        try:
            above = (each / 'stat').read_text().rsplit(')')[-1].split()[1]
            children.setdefault(int(above), []).append(int(each.name))
        except (OSError, ValueError, IndexError):
            continue
    found, new = [], [parent]
    while new:
        more = [pid for each in new for pid in children.get(each, ())]
        found, new = found + more, more
    return sorted(pid for pid in found if re.search(word, _command(pid)))


def _command(pid):
    try:
        return Path(f'/proc/{pid}/cmdline').read_text()
    except OSError:
        return ''


def free_port():
    """Return a port that nobody listens on now."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


def listens(port):
    """Tell whether somebody listens on a port."""
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', port)) == 0


class Cluster:
    """
    A scheduler or head, and two nodes with one core each.

    The nodes are process trees of their own: one can be killed as a machine that loses power.
    """

    worker = ''  # what the command line of a worker matches

    def __init__(self):
        self.nodes, self.env, self.url, self.more = [], environment(), '', []
        self._place = Path(tempfile.mkdtemp(prefix='rc'))  # sockets have short paths
        self._log = (self._place / 'log').open('ab')
        self._stack = ExitStack()

    def __enter__(self):
        try:
            self.start()
            wait_for(lambda: self.size() == 2, seconds=120, what='cluster with two nodes')
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # The nodes first: they would wait for the head.
        for process in reversed([*self.more, *self.nodes]):
            self.kill(process)
        self._log.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def run(self, name, *words):
        """Start a program of the environment."""
        return subprocess.Popen(
            [str(Path(sys.executable).parent / name), *map(str, words)], env=self.env,
            stdout=self._log, stderr=self._log, cwd=self._place)

    def kill(self, process):
        """Kill a whole process tree at once."""
        pids = [process.pid, *below(process.pid)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGSTOP)  # so that none is started again meanwhile
            except ProcessLookupError:
                pass
        for pid in {*pids, *below(process.pid)}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()

    def kill_node(self):
        """Kill the second node."""
        self.kill(self.nodes.pop())

    def workers(self):
        """Return the processes that work on pieces, of all nodes."""
        return [pid for node in self.nodes for pid in below(node.pid, self.worker)]


class Dask(Cluster):
    """A scheduler of Dask and two workers, each below a nanny."""

    name, worker = 'dask', 'multiprocessing.*spawn'

    def start(self):
        """Start its processes."""
        port = free_port()
        self.url = f'tcp://127.0.0.1:{port}'
        self.more = [self.run('dask', 'scheduler', '--host', '127.0.0.1', '--port', port,
                              '--no-dashboard')]
        self.nodes = [self.run(
            'dask', 'worker', self.url, '--nthreads', 1, '--no-dashboard', '--host', '127.0.0.1',
            '--local-directory', self._place / str(number)) for number in range(2)]

    def size(self):
        """Return how many nodes have joined."""
        from distributed import Client
        try:
            with Client(self.url, timeout=1) as client:
                return len(client.scheduler_info(n_workers=-1)['workers'])
        except (OSError, TimeoutError):
            return 0


class Ray(Cluster):
    """A head of Ray and a second node with ports of its own."""

    name, worker = 'ray', '^ray::(work|IDLE)'

    def start(self):
        """Start its processes."""
        port = free_port()
        self.url = f'127.0.0.1:{port}'
        # Nodes with one secret talk to each other; a directory of its own hides other clusters.
        secret = self._place / 'token'
        secret.write_text('0123456789abcdef0123456789abcdef')
        self.env = environment(RAY_AUTH_MODE='token', RAY_AUTH_TOKEN_PATH=str(secret),
                               RAY_TMPDIR=str(self._place))
        common = ('start', '--block', '--num-cpus', 1, '--disable-usage-stats',
                  '--object-store-memory', 100_000_000)
        head = self.run('ray', *common, '--head', '--port', port, '--include-dashboard', 'false',
                        '--temp-dir', self._place)
        self.nodes = [head]
        wait_for(lambda: listens(port), head, 120, 'head of Ray')
        self.nodes.append(self.run('ray', *common, '--address', self.url))

    def size(self):
        """Return how many nodes have joined."""
        done = subprocess.run(
            [sys.executable, '-c', 'import ray, sys; ray.init(sys.argv[1], log_to_driver=False); '
             'print(sum(each["Alive"] for each in ray.nodes()))', self.url],
            env=self.env, capture_output=True, text=True, check=False, timeout=60)
        return int(done.stdout or 0)


CLUSTERS = {'dask': Dask, 'ray': Ray}
