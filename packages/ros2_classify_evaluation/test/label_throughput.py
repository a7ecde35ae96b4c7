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

"""Images a second of a plain loop, a pool of processes, Dask and Ray, in one run, in rounds."""

import os
from pathlib import Path
import shutil
import statistics
import sys
import tempfile
import time

import cv2
from label_clusters import CLUSTERS, start_label
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

PIECES, IMAGES = 24, 100


def make_drives(root):
    """Write directories of PNG images of 640x480 pixels, each a piece."""
    from training import dataset
    images = [cv2.imencode('.png', np.ascontiguousarray(sample.image[..., ::-1]))[1].tobytes()
              for sample in dataset.draw(24, seed=5)]
    for piece in range(PIECES):
        place = root / f'drive{piece:02}'
        place.mkdir(parents=True)
        for number in range(IMAGES):
            (place / f'{number:03}.png').write_bytes(images[(piece + number) % len(images)])
    return root


def run(out, drives, engine, cluster=None):
    """Label all drives; return the seconds that it took, and all bytes."""
    begin = time.monotonic()
    process = start_label(
        out, f'{drives}/*', 'local' if engine == 'plain loop' else engine.split()[0],
        cluster.url if cluster else '', form='parquet', workers=1 if engine == 'plain loop' else 2,
        env=cluster.env if cluster else None)
    assert process.wait() == 0, engine
    seconds = time.monotonic() - begin
    tables = {path.name: path.read_bytes() for path in (out / 'pieces').iterdir()}
    shutil.rmtree(out)
    return seconds, tables


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as place:
        drives = make_drives(Path(place) / 'drives')
        out = Path(place) / 'out'
        names = ['plain loop', 'local', *CLUSTERS]
        seconds, expected = {name: [] for name in names}, None
        for number in range(rounds):
            # Each begins a round once; a cluster runs only while it is measured.
            for name in names[number % len(names):] + names[:number % len(names)]:
                if name in CLUSTERS:
                    with CLUSTERS[name]() as cluster:
                        took, tables = run(out, drives, name, cluster)
                else:
                    took, tables = run(out, drives, name)
                expected = expected or tables
                assert tables == expected, f'{name} wrote other tables'
                seconds[name].append(took)
                print(f'round {number + 1}: {name} {took:.1f} s', file=sys.stderr, flush=True)
    total = PIECES * IMAGES
    print(f'{PIECES} pieces, {total} images, {rounds} rounds, {os.cpu_count()} cores; all tables '
          'are byte-equal')
    print('| engine | workers | seconds (least to most) | images a second | to the plain loop |')
    print('|---|---|---|---|---|')
    base = statistics.median(seconds['plain loop'])
    for name, each in seconds.items():
        middle = statistics.median(each)
        print(f'| {name} | {1 if name == "plain loop" else 2} | {middle:.1f} ({min(each):.1f} to '
              f'{max(each):.1f}) | {total / middle:.0f} | {base / middle:.2f} |')


if __name__ == '__main__':
    main()
