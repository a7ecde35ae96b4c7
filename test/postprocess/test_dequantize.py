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

"""Quantized outputs as a descriptor says, for every decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from decoder_models import agree, on_image, pipeline_of, run_model
import numpy as np
import pytest
from ros2_classify import Pipeline
from ros2_classify.engines import Quantization, TensorSpec
from ros2_classify.errors import DescriptorError, OutputError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.testing import FakeEngine, save_constant_model, tensor


@pytest.mark.parametrize('dtype', [np.uint8, np.int8, np.uint16, np.int16])
def test_rows_of_a_detector(tmp_path: Path, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 40, (12, 2))
    rows = np.concatenate((corners, corners + rng.integers(4, 20, (12, 2)),
                           rng.integers(1, 3, (12, 1)) / 2, rng.integers(0, 5, (12, 1))), axis=1)
    zero = -100 if np.dtype(dtype).kind == 'i' else 7
    expected = [tuple(row) for row in rows.tolist() if row[4] >= 0.3]
    result = run_model(
        tmp_path, {'o': (rows / 0.5 + zero).astype(dtype)[np.newaxis]},
        {'decoder': 'end_to_end', 'scale': '1/2', 'zero_point': zero})
    assert agree(result, on_image(expected))


def test_a_classifier(tmp_path: Path) -> None:
    path = save_constant_model(
        tmp_path / 'm.onnx', {'o': np.uint8([[0, 64, 128, 255]])}, input_shape=(1, 3, 8, 8))
    image = np.zeros((8, 8, 3), np.uint8)
    with pipeline_of(path, {'decoder': 'classification', 'scale': '1/256'},
                     threshold=0.0) as pipeline:
        result: Any = pipeline(image)
    assert result.scores.tolist() == [255 / 256, 0.5, 0.25, 0]
    with pytest.raises(OutputError, match=r"'o' is quantized \(uint8.*output.scale"):
        with pipeline_of(path, {'decoder': 'classification'}) as pipeline:
            pipeline(image)


def test_the_descriptor_counts_more_than_the_file() -> None:
    outputs = {'o': np.uint8([[10, 20]]), 'ids': np.int64([[7]])}
    specs = [TensorSpec('o', (1, 2), np.dtype(np.uint8), Quantization(0.1, 0)),
             tensor('ids', [1, 1], np.int64)]
    for declared, expected in (({}, [1, 2]), ({'scale': 0.01}, [0.1, 0.2]),
                               ({'scale': 0.01, 'zero_point': 10}, [0, 0.1])):
        descriptor = ModelDescriptor.from_mapping({
            'source': {'path': 'fake.onnx'},
            'input': {'name': 'in', 'size': [8, 8], 'layout': 'nchw', 'dtype': 'float32'},
            'output': {'decoder': 'classification', 'output': 'o', **declared}})
        pipeline = Pipeline(descriptor, FakeEngine([tensor('in', [1, 3, 8, 8])], specs, outputs))
        batch = pipeline.new_batch()
        batch.add(np.zeros((8, 8, 3), np.uint8))
        found = pipeline.infer(batch)[0]
        assert found['o'].tolist() == [pytest.approx(expected)]
        # What is wider counts or names classes.
        assert found['ids'].tolist() == [[7]]
        assert outputs['o'].tolist() == [[10, 20]]


def test_a_label_image_is_left_alone(tmp_path: Path) -> None:
    classes = np.random.default_rng(0).integers(0, 3, (1, 8, 8)).astype(np.uint8)
    path = save_constant_model(tmp_path / 'm.onnx', {'o': classes}, input_shape=(1, 3, 8, 8))
    with pipeline_of(path, {'decoder': 'segmentation'}, threshold=0.0) as pipeline:
        result: Any = pipeline(np.zeros((8, 8, 3), np.uint8))
    assert np.array_equal(result.label_image, classes[0])


@pytest.mark.parametrize('output', [
    {'boxes': (1, 3, 4), 'scores': (1, 3, 2)}, {'scores': (1, 3, 2), 'boxes': (1, 3, 4)}])
def test_bytes_of_unknown_meaning_are_refused(tmp_path: Path, output: Any) -> None:
    outputs = {name: np.zeros(shape, np.float32 if name == 'boxes' else np.uint8)
               for name, shape in output.items()}
    with pytest.raises(OutputError, match="'scores' is quantized"):
        run_model(tmp_path, outputs, {'decoder': 'boxes_scores'})


def test_keys_that_do_not_fit(tmp_path: Path) -> None:
    def load(**output: Any) -> None:
        descriptor = ModelDescriptor.from_mapping({
            'source': {'path': str(path)}, 'output': {'decoder': 'classification', **output}})
        assert mapping_of(descriptor)['output'] == {'decoder': 'classification', **output}
        Pipeline.load(descriptor, provider='cpu').close()

    path = save_constant_model(
        tmp_path / 'm.onnx', {'o': np.float32([[0, 1]])}, input_shape=(1, 3, 8, 8))
    with pytest.raises(DescriptorError, match='whole numbers with 8 or 16 bits.*float32'):
        load(scale=0.5, zero_point=3)
    for given, words in (({'zero_point': 3}, 'needs scale'), ({'scale': 0}, 'above 0'),
                         ({'scale': 1, 'zero_point': 0.5}, 'whole number')):
        with pytest.raises(DescriptorError, match=words):
            load(**given)
