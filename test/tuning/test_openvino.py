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

"""
OpenVINO, for real, in processes of their own: equal to the CPU, cached, with its threads.

ROS2_CLASSIFY_OPENVINO names a Python interpreter or a directory with onnxruntime-openvino;
without it, these tests are skipped.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from ros2_classify.errors import EngineError
from ros2_classify.tuning.candidates import Candidate
from ros2_classify.tuning.data import read_data
from ros2_classify.tuning.measure import WorkerProcess
from ros2_classify.tuning.parity import compare
import shared_data

RUNTIME = os.environ.get('ROS2_CLASSIFY_OPENVINO', '')
ROOT = Path(__file__).resolve().parents[2]
DATA = shared_data.find_data()
MODELS = [*sorted((ROOT / 'models').glob('*.onnx')),
          *(sorted(DATA.glob('models/*.onnx')) if DATA is not None else ())]
# Models of 8-bit numbers are rounded in another way: `models tune` refuses OpenVINO for them.
DIFFERENT = {'coco_ssd_mobilenet_v1_1.0_quant_2018_06_29'}
PATIENCE = 240.0

pytestmark = pytest.mark.skipif(
    not RUNTIME, reason='ROS2_CLASSIFY_OPENVINO names no onnxruntime-openvino')


def results(model: Path, work: Path, candidate: Candidate) -> tuple[dict[str, np.ndarray], float]:
    """Return the results for the sample images, and the threshold; EngineError if it can't run."""
    images, out = work / 'images.npz', work / 'out.npz'
    np.savez(images, *read_data(None).images[:4])
    with WorkerProcess(candidate, work) as process:
        process.ask('load', PATIENCE, model=str(model), images=str(images),
                    settings=dict(candidate.settings))
        told = process.ask('results', PATIENCE, out=str(out))
    with np.load(out) as arrays:
        return {name: arrays[name] for name in arrays.files}, told['threshold']


def test_the_runtime_has_the_provider(tmp_path: Path) -> None:
    with WorkerProcess(Candidate(runtime=RUNTIME), tmp_path) as process:
        facts = process.ask('facts', PATIENCE)
    assert 'OpenVINOExecutionProvider' in facts['providers']
    assert facts['environment']['ONNX Runtime'].startswith('onnxruntime-openvino ')


@pytest.mark.parametrize('model', MODELS, ids=lambda path: path.stem)
def test_results_equal_those_of_the_cpu(
        model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    try:
        expected, threshold = results(model, tmp_path, Candidate({'provider': 'cpu'}))
    except EngineError as error:
        pytest.skip(f'the CPU does not run it as a bare file: {error}'[:150])
    try:
        found, _ = results(model, tmp_path, Candidate(
            {'provider': 'openvino', 'threads': 2}, RUNTIME))
    except EngineError as error:
        pytest.skip(f'OpenVINO refuses it: {error}'[:150])
    parity = compare(expected, found, threshold)
    # What `models tune` would say.
    assert bool(parity.problem(0.0, exact=True)) == (model.stem in DIFFERENT), parity
    # Compiled once: the second start finds what the first has left.
    assert list((tmp_path / 'cache' / 'openvino').glob('*/complete'))
