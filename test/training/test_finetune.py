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


"""Fine-tuning with PyTorch: weights that come back, the loss, and the whole loop in few steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ros2_classify import Pipeline

torch = pytest.importorskip(
    'torch', reason='needs PyTorch: install training/requirements.txt beside the product')
MODELS = Path(__file__).resolve().parent.parent.parent / 'models'


@pytest.mark.parametrize(('name', 'task', 'classes', 'size'), [
    ('cards_detector', 'detection', 12, (384, 512)),
    ('cards_classifier', 'classification', 13, (80, 80))])
def test_weights_come_back(name: str, task: str, classes: int, size: tuple[int, int]) -> None:
    """The results are those of ONNX Runtime; more classes change nothing of the old ones."""
    from training import transfer
    model = transfer.load(MODELS / f'{name}.onnx', task, classes)
    pixels = np.random.default_rng(2).uniform(0, 255, (1, 3, *size)).astype(np.float32)
    session = onnxruntime.InferenceSession(
        str(MODELS / f'{name}.onnx'), providers=['CPUExecutionProvider'])
    expected = session.run(None, {'images': pixels})[0][0]

    def logits() -> np.ndarray:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(pixels / 255))[0].numpy())
    raw = logits()
    if task == 'detection':
        np.testing.assert_allclose(raw[:, :4], expected[:, :4], atol=1e-3)
        np.testing.assert_allclose(1 / (1 + np.exp(-raw[:, 4:])), expected[:, 4:], atol=1e-4)
    else:
        powers = np.exp(raw - raw.max())
        np.testing.assert_allclose(powers / powers.sum(), expected, atol=1e-4)
    transfer.grow(model, classes + 2)
    assert logits().shape[-1] == raw.shape[-1] + 2
    np.testing.assert_allclose(logits()[..., :raw.shape[-1]], raw, atol=1e-4)


def test_other_architectures_are_refused() -> None:
    """With what to take instead."""
    from training import transfer
    with pytest.raises(ValueError, match='not of the shipped architecture.*cards_detector'):
        transfer.load(MODELS / 'cards_motion.onnx', 'detection', 12)


def test_ignored_places_cost_nothing() -> None:
    """Objectness of cells with the centre in an ignored box is no part of the sum."""
    from training.losses import detector_loss
    raw = np.random.default_rng(3).normal(0, 2, (1, 21, 7)).astype(np.float32)
    empty = [torch.zeros((0, 4))], [torch.zeros(0, dtype=torch.int64)]
    # 32x32 pixels have 4x4 cells of 8, 2x2 of 16, one of 32.
    box = np.array([[0, 0, 13, 13]], np.float32)
    loss, _ = detector_loss(torch.from_numpy(raw), *empty, 32, 32, [torch.from_numpy(box)])
    centers = [(x * size + size / 2, y * size + size / 2) for size, count in (
        (8, 4), (16, 2), (32, 1)) for y in range(count) for x in range(count)]
    costs = np.log1p(np.exp(raw[0, :, 4].astype(float)))
    kept = [not (x < 13 and y < 13) for x, y in centers]
    assert sum(kept) == 21 - 5
    assert float(loss) == pytest.approx(costs[kept].sum(), rel=1e-5)


def test_class_weights_weigh_the_class_alone() -> None:
    """Twice the weight is twice the class's part of the loss."""
    from training.losses import detector_loss
    raw = torch.from_numpy(np.random.default_rng(4).normal(0, 1, (1, 336, 7)).astype(np.float32))
    truth = [torch.tensor([[20.0, 20.0, 60.0, 70.0]])], [torch.tensor([1])]
    _, plain = detector_loss(raw, *truth, 128, 128)
    _, twice = detector_loss(raw, *truth, 128, 128, None, torch.tensor([1.0, 2.0]))
    assert twice['class'] == pytest.approx(2 * plain['class'], rel=1e-5)
    assert (twice['box'], twice['objectness']) == (plain['box'], plain['objectness'])


@pytest.fixture(scope='module', name='curated')
def _curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a curated directory of 14 images, ten of them checked, with a class more."""
    from ros2_classify_evaluation.curate.run import curate, Plan
    from training import checker, dataset
    root = tmp_path_factory.mktemp('loop')
    dataset.write_coco(dataset.draw(16, seed=21, shift='night'), root / 'pool')
    curate('cards_detector', [str(root / 'pool' / 'images')], root / 'curated',
           Plan(count=14, near=0, provider='cpu'))
    checker.check(root / 'curated', root / 'pool', 10)
    file = root / 'curated' / 'instances.json'
    data = json.loads(file.read_text())
    data['categories'].append({'id': 99, 'name': 'parking'})
    real = [each for each in data['annotations'] if not each.get('prelabel')]
    for each in real[::4]:
        each['category_id'] = 99
    file.write_text(json.dumps(data))
    return root / 'curated'


@pytest.mark.parametrize('model', ['cards_detector', 'cards_classifier'])
def test_the_loop_closes(curated: Path, tmp_path: Path, model: str) -> None:
    """Two steps give a model that the product runs, with its descriptor, card and measures."""
    from training.finetune import finetune, Plan
    torch.set_num_threads(1)
    plan = Plan(steps=2, batch=4, weights=True)
    result = finetune(str(curated), tmp_path / 'a', model, plan, least=0.5)
    assert (result['checked_images'], result['prelabelled_images']) == (8, 4)
    assert result['labels'][-1] == 'parking'
    held = result['measured']['held out']
    first = next(iter(held['measures'].values()))
    change = first['after'] - first['before']
    assert first['difference']['value'] == pytest.approx(change, abs=2e-6)
    assert held['new_classes'] == ['parking'] and 'with_new_classes' in held
    assert 'before' in (tmp_path / 'a' / 'MODEL_CARD.md').read_text()
    with Pipeline.load(str(tmp_path / 'a' / f'{model}_tuned.yaml'), provider='cpu') as pipeline:
        assert [name for _, name in pipeline.labels.items()] == result['labels']
        assert pipeline.descriptor.source.sha256 == result['sha256']
        pipeline(np.zeros((480, 640, 3), np.uint8), 'bgr')
    again = finetune(str(curated), tmp_path / 'b', model, plan, least=0.5)
    assert again['sha256'] == result['sha256']
    # What was fine-tuned can be fine-tuned.
    more = finetune(str(curated), tmp_path / 'c', str(tmp_path / 'a' / f'{model}_tuned.yaml'),
                    Plan(steps=1, batch=2))
    assert more['labels'] == result['labels'] and more['sha256'] != result['sha256']
    assert more['measured']['held out']['new_classes'] == []


def test_the_command_says_what_is_wrong(curated: Path, tmp_path: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence, with exit code 1."""
    from training.finetune import main
    assert main([str(curated), '-o', str(tmp_path / 'x'), '--model', 'yolox_nano.onnx']) == 1
    assert 'is no descriptor' in capsys.readouterr().err
