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

"""Clusters whose workers, nodes and drivers are killed in the middle lose and double nothing."""

from importlib.util import find_spec
import os
import signal

from label_clusters import CLUSTERS, start_label, wait_for
import numpy as np
import pytest
from ros2_classify_evaluation.label.run import label

BAGS, IMAGES = 24, 12

pytestmark = pytest.mark.stress


@pytest.fixture(scope='module')
def drives(bags, samples, tmp_path_factory):
    """Return a directory with bags of half a second of work each."""
    root = tmp_path_factory.mktemp('drives')
    images = [np.ascontiguousarray(sample.image[..., ::-1]) for sample in samples]
    for number in range(BAGS):
        bags(root / f'drive{number:02}', {'/camera': [
            images[(number + each) % len(images)] for each in range(IMAGES)]})
    return root


@pytest.fixture(scope='module')
def plain(drives, tmp_path_factory):
    """Return the format, and what the plain loop writes."""
    form = 'parquet' if find_spec('pyarrow') else 'coco'
    out = tmp_path_factory.mktemp('plain')
    label('cards_detector', [str(drives)], out, form=form, workers=1)
    return form, contents(out)


def contents(out):
    """Return the bytes of all labels by name, and the record."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob('*'))
            if path.is_file() and path.name != '.lock'}


@pytest.fixture(params=['dask', 'ray'])
def cluster(request):
    pytest.importorskip({'dask': 'distributed', 'ray': 'ray'}[request.param],
                        reason=f'needs the extra {request.param}: scripts/label_cluster')
    with CLUSTERS[request.param]() as found:
        yield found


@pytest.mark.parametrize('kills', ['worker', 'node', 'driver', 'worker node driver'])
def test_tables_are_those_of_the_plain_loop(cluster, drives, plain, tmp_path, kills):
    form, expected = plain
    out = tmp_path / 'out'

    def start():
        return start_label(out, drives, cluster.name, cluster.url, form=form, env=cluster.env)

    def done():
        return len(list((out / 'pieces').glob('*')))

    driver, told = start(), []
    try:
        for kill in kills.split():
            before = done()
            wait_for(lambda: done() >= before + 3, driver, what='three more pieces')
            if kill == 'worker':
                os.kill(wait_for(cluster.workers, driver, what='worker')[0], signal.SIGKILL)
            elif kill == 'node':
                cluster.kill_node()
            else:
                driver.kill()
                driver.wait()
            told.append(f'{kill} killed after {done()} of {BAGS} pieces')
            assert done() < BAGS, 'it was not in the middle'
        if 'driver' in kills:
            assert not (out / 'label.json').exists()
            driver = start()
        assert driver.wait(300) == 0
    finally:
        driver.kill()
        driver.wait()
    print(f'{cluster.name}: {", ".join(told)}')
    assert contents(out) == expected
