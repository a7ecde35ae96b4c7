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

"""From images to outcomes: batches, bad images, faults, and a model that is replaced."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from ros2_classify.engines import EngineSettings
from ros2_classify.errors import EngineError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.ros.diagnostics.statistics import Ring
from ros2_classify.ros.messages.image import to_image_msg
from ros2_classify.ros.server import model as models
from ros2_classify.ros.server.faults import EngineFaults
from ros2_classify.ros.server.inference import Drop, Inference
from ros2_classify.ros.server.model import batch_limit, load_model, Model
from ros2_classify.ros.server.parameters import PARAMETERS, ResultSettings
from ros2_classify.sources.image_messages import to_array
from ros2_classify.testing import FakeEngine, tensor
from std_msgs.msg import Header


def colors(inputs):
    """Tell the mean of each channel, for each image."""
    return {'scores': inputs['image'].mean(axis=(2, 3)) / 255}


def make_model(max_batch=4, publish=colors, name='colors', slots=1):
    """Return a model on a fake engine, and the fake."""
    engine = FakeEngine([tensor('image', ('n', 3, 8, 8))], [tensor('scores', ('n', 3))], publish)
    descriptor = ModelDescriptor.from_mapping({
        'name': name, 'source': {'path': 'fake.onnx'}, 'labels': ['red', 'green', 'blue'],
        'input': {'name': 'image', 'size': [8, 8], 'layout': 'nchw', 'dtype': 'float32'},
        'output': {'decoder': 'classification', 'activation': 'none'}})
    pipeline = Pipeline(descriptor, engine, descriptor.load_labels(), max_batch=max_batch)
    engine.calls.clear()
    settings = ResultSettings(pipeline.options, 'label', 10_000)
    return Model(pipeline, settings, jobs=slots), engine


class Source:
    """An image of one colour."""

    origin = '/image'
    stream = ''
    tracks = False

    def __init__(self, rgb, **changes):
        pixels = np.full((6, 9, 3), rgb, np.uint8)
        self.msg = to_image_msg(pixels, 'rgb8', Header(frame_id=str(rgb)))
        for name, value in changes.items():
            setattr(self.msg, name, value)

    def read(self, settings):
        """Read it."""
        return to_array(self.msg, settings.max_pixels)


RED, GREEN, BLUE = (250, 0, 0), (0, 250, 0), (0, 0, 250)


def told(outcomes):
    """Return the best label of each image, or why there is none."""
    return [outcome.result.labels[0] if outcome.drop is None else
            (outcome.drop.name, str(outcome.error)) for outcome in outcomes]


def run(inference, model, *sources, slot=0):
    """Go through all steps; return what became of the images."""
    return told(inference.outcomes(inference.run(model, sources, slot)))


@pytest.fixture
def inference():
    """Return an inference."""
    return Inference(EngineFaults('retry'))


def test_images_go_through_the_model_together(inference):
    model, engine = make_model()
    sources = [Source(rgb) for rgb in (RED, GREEN, BLUE)]
    job = inference.run(model, sources, 0)
    assert [len(call['image']) for call in engine.calls] == [3]
    outcomes = list(inference.outcomes(job))
    assert told(outcomes) == ['red', 'green', 'blue']
    assert [outcome.source for outcome in outcomes] == sources
    for outcome, rgb in zip(outcomes, (RED, GREEN, BLUE)):
        assert (tuple(outcome.pixels[0, 0]), outcome.color) == (rgb, 'rgb')
        assert outcome.class_id == 'label' and outcome.error is None
    assert job.inference_time > 0.0 and job.preprocess_time > 0.0


@pytest.mark.parametrize('changes', [
    {'step': 3}, {'encoding': 'rgb565'}, {'width': 0, 'height': 0}, {'data': b'12'}])
@pytest.mark.parametrize('position', range(3))
def test_a_bad_image_leaves_the_others_of_its_batch_alone(inference, changes, position):
    model, engine = make_model()
    sources = [Source(rgb, **(changes if number == position else {}))
               for number, rgb in enumerate((RED, GREEN, BLUE))]
    outcomes = list(inference.outcomes(inference.run(model, sources, 0)))
    assert [len(call['image']) for call in engine.calls] == [2]
    by_source = {outcome.source: outcome for outcome in outcomes}
    for number, (source, name) in enumerate(zip(sources, ('red', 'green', 'blue'))):
        outcome = by_source[source]
        if number == position:
            assert outcome.drop is Drop.UNUSABLE and outcome.error is not None
        else:
            assert outcome.result.labels[0] == name


def test_bad_images_alone_do_not_reach_the_model(inference):
    model, engine = make_model()
    outcome, = inference.outcomes(inference.run(model, [Source(RED, step=1)], 0))
    assert outcome.drop is Drop.UNUSABLE and engine.calls == []


def test_an_output_that_cannot_be_leaves_the_others_alone(inference):
    model, _ = make_model()
    original = model.pipeline.postprocess

    def postprocess(outputs, *args, **options):
        if outputs['scores'].argmax() == 0:
            raise ValueError('no sense')
        return original(outputs, *args, **options)

    model.pipeline.postprocess = postprocess
    assert run(inference, model, Source(RED), Source(GREEN)) == [
        ('FAILED', 'no sense'), 'green']


def test_a_model_that_fails_costs_its_own_batch_only():
    broken = [False]

    def publish(inputs):
        if broken[0]:
            raise EngineError('out of memory')
        return colors(inputs)

    model, _ = make_model(publish=publish)
    faults, times = EngineFaults('retry'), Ring()
    inference = Inference(faults, times)
    broken[0] = True
    assert run(inference, model, Source(RED), Source(GREEN)) == [
        ('FAILED', 'out of memory')] * 2
    assert faults.total == 1 and not len(times)
    broken[0] = False
    assert run(inference, model, Source(GREEN)) == ['green']
    assert len(times) == 1


def test_two_jobs_share_no_memory(inference):
    model, _ = make_model(slots=2)
    jobs = [inference.run(model, [Source(rgb)], slot) for slot, rgb in enumerate((RED, GREEN))]
    assert [told(inference.outcomes(job)) for job in jobs] == [['red'], ['green']]


def test_a_job_keeps_the_settings_that_it_began_with(inference):
    model, _ = make_model()
    job = inference.run(model, [Source(RED)], 0)
    model.settings = ResultSettings(
        model.pipeline.options.replace(score_threshold=1.0), 'index', 10_000)
    outcome, = inference.outcomes(job)
    assert outcome.class_id == 'label' and outcome.result.labels[0] == 'red'


def test_what_an_earlier_job_has_left_in_its_slot_is_gone(inference):
    model, engine = make_model()
    inference.run(model, [Source(RED)], 0)
    assert run(inference, model, Source(GREEN)) == ['green']
    assert [len(call['image']) for call in engine.calls] == [1, 1]


def test_the_limit_of_pixels_counts(inference):
    model, _ = make_model()
    model.settings = ResultSettings(model.pipeline.options, 'label', 53)
    (drop, reason), = run(inference, model, Source(RED))
    assert drop == 'UNUSABLE' and 'pixels' in reason


@pytest.mark.parametrize(('asked', 'streams', 'provider', 'limit'), [
    (0, 1, 'auto', 1), (0, 4, 'cpu', 1), (0, 4, 'auto', 4), (0, 40, 'cuda', 8),
    (3, 4, 'cpu', 3), (3, 2, 'auto', 2), (16, 40, 'cuda', 16)])
def test_only_gpus_get_batches_unless_asked(monkeypatch, asked, streams, provider, limit):
    monkeypatch.setattr(models, 'import_onnxruntime', lambda: SimpleNamespace(
        get_available_providers=lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider']))
    assert batch_limit(asked, streams, EngineSettings(provider=provider)) == limit


@pytest.mark.parametrize(('asked', 'provider', 'limit'), [
    (0, 'CPUExecutionProvider', 1), (0, 'CUDAExecutionProvider', 4),
    (3, 'CPUExecutionProvider', 3)])
def test_the_provider_that_really_runs_decides_on_batches(monkeypatch, asked, provider, limit):
    """A driver may be missing where the package for it is there: the CPU runs the model."""
    pipelines = []

    def load(name, *, max_batch, **more):
        model, engine = make_model(max_batch=max_batch)
        engine.provider = provider
        pipelines.append(model.pipeline)
        return model.pipeline

    monkeypatch.setattr(models, 'import_onnxruntime', lambda: SimpleNamespace(
        get_available_providers=lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider']))
    monkeypatch.setattr(models.Pipeline, 'load', load)
    monkeypatch.setattr(models, 'resolve', lambda name: make_model()[0].pipeline.descriptor)
    settings = {spec.name: spec.default for spec in PARAMETERS}
    log = SimpleNamespace(info=lambda text: None)
    model = load_model('colors', {**settings, 'max_batch': asked}, log, 4)
    assert model.pipeline.max_batch == limit
    assert [batch.capacity for batch in model.batches] == [limit] * len(model.batches)


def test_without_the_package_of_a_provider_there_is_no_batch(monkeypatch):
    monkeypatch.setattr(models, 'import_onnxruntime', lambda: SimpleNamespace(
        get_available_providers=lambda: ['CPUExecutionProvider']))
    engine = EngineSettings(provider='cuda', require_provider=False)
    assert batch_limit(0, 4, engine) == 1


def test_a_model_is_freed_when_nobody_uses_it_and_never_twice():
    model, engine = make_model()
    assert model.acquire() and model.acquire()
    model.retire()
    assert not model.acquire()
    model.release()
    assert not engine.closed
    model.release()
    assert engine.closed
    model.retire()
    idle, engine = make_model()
    idle.retire()
    assert engine.closed and not idle.acquire()


def test_after_many_faults_the_model_is_left_alone_for_a_while():
    now = [100.0]
    faults = EngineFaults('retry', lambda: now[0])
    broken = [False]

    def publish(inputs):
        if broken[0]:
            raise EngineError('no luck')
        return colors(inputs)

    model, engine = make_model(publish=publish)
    inference = Inference(faults)
    broken[0] = True
    outcomes = [run(inference, model, Source(RED))[0] for _ in range(5)]
    assert outcomes[:4] == [('FAILED', 'no luck')] * 4 and len(engine.calls) == 4
    assert outcomes[4][0] == 'PAUSED' and 'next attempt in 0.5 s: no luck' in outcomes[4][1]
    broken[0] = False
    now[0] += 0.5
    assert run(inference, model, Source(GREEN)) == ['green'] and faults.pause() is None


class Hanging:
    """Stands in for a pipeline's step of inference: threads stay inside."""

    def __init__(self, model, threads=1):
        self._infer = model.pipeline.infer
        self.inside = threading.Barrier(threads + 1, timeout=20.0)
        self.go_on = threading.Event()
        self.error = None
        model.pipeline.infer = self

    def __call__(self, batch):
        """Stay inside until the test says so."""
        self.inside.wait()
        assert self.go_on.wait(20.0)
        if self.error:
            raise self.error
        return self._infer(batch)


@pytest.mark.parametrize('error', [None, EngineError('the device was reset')])
def test_jobs_that_are_abandoned_end_once_and_count_for_nothing(error):
    model, _ = make_model(slots=2)
    faults, times = EngineFaults('retry'), Ring()
    inference = Inference(faults, times)
    hanging = Hanging(model, 2)
    hanging.error = error
    late = [[], []]

    def work(slot, *sources):
        late[slot] = run(inference, model, *sources, slot=slot)

    threads = [
        threading.Thread(target=work, args=(0, Source(RED), Source(RED, step=1)), daemon=True),
        threading.Thread(target=work, args=(1, Source(GREEN)), daemon=True)]
    assert inference.busy_for == 0.0
    for thread in threads:
        thread.start()
    hanging.inside.wait()
    assert inference.busy_for > 0.0
    given_up = inference.abandon(EngineError('they do not come back'))
    assert sorted(outcome.drop.name for outcome in given_up) == ['FAILED', 'FAILED', 'UNUSABLE']
    hanging.go_on.set()
    for thread in threads:
        thread.join(20.0)
    # Both have come back, late, with a result or with a failure.
    assert late == [[], []] and inference.busy_for == 0.0
    assert faults.total == 0 and not len(times)


def test_a_job_that_is_done_when_another_one_is_abandoned_is_dropped(inference):
    model, _ = make_model()
    job = inference.run(model, [Source(RED)], 0)
    assert inference.abandon(EngineError('the next one does not come back')) == []
    assert told(inference.outcomes(job)) == [('STOPPED', 'None')]


def test_each_image_has_the_settings_of_its_stream():
    model, _ = make_model()
    model.settings = ResultSettings(
        model.pipeline.options.replace(top_k=2), 'label', 10_000, streams={
            'front': ResultSettings(model.pipeline.options.replace(top_k=1), 'index', 10_000),
            'rear': ResultSettings(model.pipeline.options, 'label', 1)})
    sources = [Source(RED), Source(GREEN), Source(BLUE), Source(RED)]
    for source, stream in zip(sources, ('', 'front', 'rear', 'other')):
        source.stream = stream
    inference = Inference(EngineFaults('retry'))
    outcomes = {id(each.source): each for each in inference.outcomes(
        inference.run(model, sources, 0))}
    node, front, rear, other = (outcomes[id(source)] for source in sources)
    assert (len(node.result), node.class_id) == (2, 'label')
    assert (len(front.result), front.class_id) == (1, 'index')
    assert rear.drop is Drop.UNUSABLE
    assert len(other.result) == 2
