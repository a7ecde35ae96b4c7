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

from __future__ import annotations

from dataclasses import replace
import errno
import json
import logging
import os
from pathlib import Path
import shutil
import subprocess
import sys
import threading

import graphs
import numpy as np
import pytest

from ros2_classify import Pipeline
from ros2_classify.convert.api import convert, export, find_conversion, make_plan, OPSET, to_onnx
from ros2_classify.convert.options import ConvertOptions
from ros2_classify.download.cache import Cache
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines import open_engine
from ros2_classify.errors import ConversionError, DiskFullError, FetchCancelledError, InputError
from ros2_classify.model.descriptor import ConversionSpec, ModelDescriptor


@pytest.fixture
def tiny(frozen: Path) -> ModelDescriptor:
    """Return the descriptor of a frozen graph."""
    return ModelDescriptor.from_mapping({'name': 'tiny', 'source': {'path': str(frozen)}})


def leftovers(cache: Path) -> list[str]:
    """Return the files in the cache beside finished conversions and their logs."""
    return sorted(path.name for name in ('partial', 'locks') if (cache / name).is_dir()
                  for path in (cache / name).iterdir())


def test_a_model_is_converted_once(tiny, frozen: Path, converter, cache: Path) -> None:
    first = convert(tiny, frozen)
    assert first.fresh
    again = convert(tiny, frozen)
    assert not again.fresh
    assert again.model == first.model == to_onnx(tiny, frozen)
    assert len(converter.requests()) == 1
    assert leftovers(cache) == []
    engine = open_engine(first.model)
    assert engine.inputs[0].name == 'input:0'
    engine.close()


def test_the_request_of_the_worker(tiny, frozen: Path, converter, cache: Path) -> None:
    convert(tiny, frozen)
    assert converter.requests() == [{
        'format': 'frozen_graph', 'source': str(frozen), 'inputs': ['input:0'],
        'outputs': ['softmax:0'], 'signature': '', 'tag': '', 'opset': OPSET}]


def test_the_report_is_cached_with_the_model(tiny, frozen: Path, converter, cache: Path) -> None:
    done = convert(tiny, frozen)
    assert {path.name for path in done.model.parent.iterdir()} == {
        'model.onnx', 'report.json', 'convert.log'}
    report = json.loads(done.report.read_text())
    assert report['source_sha256'] == sha256_of_file(frozen)
    assert report['model_sha256'] == sha256_of_file(done.model)
    assert report['compared_with_tensorflow']['differences'] == {'softmax': 0.0}
    assert report['compared_with_tensorflow']['shapes'] == {'softmax:0': [1, 4]}
    assert report['versions']['tf2onnx'] == '1.17.0'
    assert (report['memory_mb'], report['seconds']['convert']) == (100, 2.0)


def test_a_cached_model_needs_no_tensorflow(
    tiny, frozen: Path, converter, cache: Path, no_tensorflow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConversionError) as caught:
        convert(tiny, frozen)
    message = str(caught.value)
    assert 'lacks tensorflow or tf2onnx' in message
    assert 'pip install tensorflow-cpu tf2onnx' in message
    assert 'models convert' in message
    convert(tiny, frozen, ConvertOptions(python=str(converter.python)))
    assert not convert(tiny, frozen).fresh


def test_a_missing_converter_matters_only_if_it_is_needed(
    tiny, frozen: Path, converter, cache: Path,
) -> None:
    done = convert(tiny, frozen)
    converter.python.unlink()
    assert convert(tiny, frozen).model == done.model
    done.report.unlink()
    with pytest.raises(ConversionError, match='converted to ONNX once, but .* is not a program'):
        convert(tiny, frozen)


def test_without_tensorflow_the_newest_conversion_is_used(
    tiny, frozen: Path, converter, cache: Path,
) -> None:
    for version in ('1.9.0', '1.17.0', '1.10.0'):
        converter.plan(versions=[version, '2.21.0'])
        assert convert(tiny, frozen).fresh
    plan = make_plan(tiny, frozen)
    found = find_conversion(plan, Cache(cache), None)
    assert found is not None
    assert found.model.parent.name == 'tf2onnx-1.17.0_tensorflow-2.21.0'


def test_a_changed_source_is_converted_again(tiny, frozen: Path, converter, cache: Path) -> None:
    first = convert(tiny, frozen).model
    frozen.write_bytes(graphs.classifier(graphs.identity('more', 'logits'), output='final_result'))
    assert make_plan(tiny, frozen).key != first.parent.parent.name
    converter.plan(outputs=['final_result:0'])
    with pytest.raises(ConversionError, match="lacks the output 'final_result'"):
        convert(tiny, frozen)


def test_the_key_contains_everything_that_decides_the_result(tiny, frozen: Path) -> None:
    keys = {make_plan(descriptor, frozen).key for descriptor in (
        tiny,
        replace(tiny, conversion=ConversionSpec(outputs=('logits',))),
        replace(tiny, conversion=ConversionSpec(inputs=('mean',))),
        replace(tiny, conversion=ConversionSpec(tolerance=0.5)))}
    assert len(keys) == 4
    # Found or declared, with or without its number, it is the same tensor.
    same = {make_plan(replace(tiny, conversion=ConversionSpec(inputs=inputs)), frozen).key
            for inputs in ((), ('input',), ('input:0',))}
    assert len(same) == 1


def test_a_damaged_model_is_converted_again(
    tiny, frozen: Path, converter, cache: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    done = convert(tiny, frozen)
    done.model.write_bytes(b'tampered')
    again = convert(tiny, frozen)
    assert again.fresh
    assert 'is damaged' in caplog.text
    assert len(converter.requests()) == 2
    again.report.unlink()
    assert convert(tiny, frozen).fresh


def test_a_damaged_model_is_not_used_without_tensorflow(
    tiny, frozen: Path, converter, cache: Path, no_tensorflow,
) -> None:
    done = convert(tiny, frozen, ConvertOptions(python=str(converter.python)))
    done.model.write_bytes(b'tampered')
    with pytest.raises(ConversionError, match='lacks tensorflow'):
        convert(tiny, frozen)


def test_of_several_processes_one_converts(tiny, frozen: Path, converter, cache: Path) -> None:
    program = (
        'import sys; from pathlib import Path; from ros2_classify.convert.api import to_onnx;'
        'from ros2_classify import ModelDescriptor;'
        'd = ModelDescriptor.from_mapping({"name": "tiny", "source": {"path": sys.argv[1]}});'
        'print(to_onnx(d, Path(sys.argv[1])))')
    starters = [subprocess.Popen([sys.executable, '-c', program, str(frozen)],
                                 stdout=subprocess.PIPE, text=True) for _ in range(3)]
    results = {starter.communicate(timeout=120)[0] for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0, 0]
    assert len(results) == 1
    assert len(converter.requests()) == 1
    assert leftovers(cache) == []


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'does': 'end'}, 'exit code 7'),
    ({'does': 'fail'}, 'cannot be converted to ONNX: ValueError: quint8'),
    ({'does': 'fail', 'more': {'converted': True}}, 'TensorFlow itself fails on the test image'),
    ({'does': 'nonsense'}, 'the ONNX model does not run'),
    ({'outputs': ['scores:0']}, "lacks the output 'scores'"),
    ({'log': 'ERROR - Tensorflow op [a: MatrixInverse] is not supported'},
     'no counterpart for its operator MatrixInverse'),
])
def test_a_failure_is_one_sentence_and_leaves_only_its_log(
    tiny, frozen: Path, converter, cache: Path, changes, reason: str,
) -> None:
    converter.plan(**changes)
    with pytest.raises(ConversionError, match=reason) as caught:
        convert(tiny, frozen)
    message = str(caught.value)
    assert message.startswith(f'{frozen}: cannot be converted to ONNX: ')
    assert '\n' not in message
    log = Path(message.rpartition('see the log ')[2].rstrip(')'))
    assert log.read_text() == changes.get('log', '') + '\n'
    directory, = (cache / 'converted').iterdir()
    assert list(directory.iterdir()) == [log]
    assert leftovers(cache) == []


def test_a_model_with_different_outputs_is_not_used(
    tiny, frozen: Path, converter, cache: Path, tmp_path: Path,
) -> None:
    np.savez(tmp_path / 'other.npz', np.array([[0.1, 0.2, 0.3, 0.41]], np.float32))
    converter.plan(results=str(tmp_path / 'other.npz'))
    with pytest.raises(ConversionError, match="differ from TensorFlow: 'softmax' by 0.01 at"):
        convert(tiny, frozen)
    assert convert(replace(tiny, conversion=ConversionSpec(tolerance=0.02)), frozen).fresh


def test_a_conversion_can_be_cancelled_and_times_out(
    tiny, frozen: Path, converter, cache: Path,
) -> None:
    converter.plan(does='wait')
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(FetchCancelledError):
        convert(tiny, frozen, ConvertOptions(cancel=cancel))
    with pytest.raises(ConversionError, match='took more than 1 s'):
        convert(tiny, frozen, ConvertOptions(timeout=1.0))
    assert leftovers(cache) == []


def test_a_full_disk_leaves_nothing(
    tiny, frozen: Path, converter, cache: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, 'savez', full)
    with pytest.raises(DiskFullError, match='is full'):
        convert(tiny, frozen)
    assert leftovers(cache) == []


def test_an_interrupted_conversion_starts_again(
    tiny, frozen: Path, converter, cache: Path,
) -> None:
    left = cache / 'partial' / f'convert-{make_plan(tiny, frozen).key}.part'
    left.mkdir(parents=True)
    (left / 'model.onnx').write_text('half')
    assert convert(tiny, frozen).fresh
    assert leftovers(cache) == []


def test_an_image_that_cannot_be_read_leaves_nothing(
    tiny, frozen: Path, converter, cache: Path, tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match='cannot be read'):
        convert(tiny, frozen, ConvertOptions(image=tmp_path / 'none.png'))
    assert leftovers(cache) == []


def test_other_formats_are_rejected(tiny, frozen: Path) -> None:
    with pytest.raises(ConversionError, match='the format is onnx'):
        make_plan(replace(tiny, format='onnx'), frozen)


def test_found_tensors_are_logged(
    tiny, frozen: Path, converter, cache: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, 'ros2_classify'):
        convert(tiny, frozen)
    assert "tiny: the output 'softmax:0', because of its usual name" in caplog.text
    assert 'converted tiny to ONNX in 3 s' in caplog.text


def test_a_model_is_exported_with_its_report(
    tiny, frozen: Path, converter, cache: Path, tmp_path: Path,
) -> None:
    done = convert(tiny, frozen)
    model, report = export(done, tmp_path / 'robot.onnx')
    assert model.read_bytes() == done.model.read_bytes()
    assert report == tmp_path / 'robot.report.json'
    assert report.read_text() == done.report.read_text()
    with pytest.raises(ConversionError, match='cannot be written'):
        export(done, tmp_path / 'no' / 'directory' / 'robot.onnx')


def test_the_pipeline_converts_the_model(
    frozen: Path, converter, cache: Path, no_tensorflow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('ROS2_CLASSIFY_CONVERTER_PYTHON', str(converter.python))
    with Pipeline.load(str(frozen)) as pipeline:
        result = pipeline(np.zeros((20, 30, 3), np.uint8))
        assert result.class_ids[0] == 3
        assert pipeline.descriptor.format == 'frozen_graph'
    monkeypatch.delenv('ROS2_CLASSIFY_CONVERTER_PYTHON')
    shutil.rmtree(converter.python.parent)
    with Pipeline.load(str(frozen)) as pipeline:
        assert pipeline(np.zeros((20, 30, 3), np.uint8)).class_ids[0] == 3


def test_a_saved_model_is_named_by_its_directory_or_file(
    converter, cache: Path, tmp_path: Path,
) -> None:
    directory = tmp_path / 'saved'
    directory.mkdir()
    (directory / 'saved_model.pb').write_bytes(graphs.saved_model(graphs.meta_graph(
        ['serve'], {'serving_default': graphs.signature(
            {'input': (graphs.FLOAT, (None, 8, 8, 3))},
            {'softmax': (graphs.FLOAT, (None, 4))})})))
    for model in (directory, directory / 'saved_model.pb'):
        with Pipeline.load(model) as pipeline:
            assert pipeline.descriptor.name == 'saved'
            assert pipeline.task == 'classification'
    request, = converter.requests()
    assert (request['format'], request['tag'], request['signature']) == (
        'saved_model', 'serve', 'serving_default')
    # Content decides, not dates or the directory's name.
    (directory / 'variables').mkdir()
    shutil.copytree(directory, tmp_path / 'copy')
    with Pipeline.load(tmp_path / 'copy'):
        assert len(converter.requests()) == 1
    (directory / 'variables' / 'more').write_text('x')
    with Pipeline.load(directory):
        assert len(converter.requests()) == 2
