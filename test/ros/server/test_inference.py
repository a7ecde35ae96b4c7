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

"""From frames and requests to answers: batches, bad images, and a model that is exchanged."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from ros2_classify.engines import EngineSettings
from ros2_classify.errors import EngineError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.ros.messages.image import to_array, to_image_msg
from ros2_classify.ros.server.camera_stream import Frame
from ros2_classify.ros.server.faults import EngineFaults
from ros2_classify.ros.server.inference import Inference
from ros2_classify.ros.server.mailbox import Taken
from ros2_classify.ros.server.model import batch_limit, load_model, Model
from ros2_classify.ros.server.parameters import ResultSettings, PARAMETERS
from ros2_classify.ros.server.worker import Worker
from ros2_classify.testing import FakeEngine, tensor
from std_msgs.msg import Header


def colors(inputs):
    """Tell the mean of each channel, for each image."""
    return {'scores': inputs['image'].mean(axis=(2, 3)) / 255}


def make_model(max_batch=4, publish=colors, name='colors'):
    """Return a model on a fake engine, and the fake."""
    engine = FakeEngine([tensor('image', ('n', 3, 8, 8))], [tensor('scores', ('n', 3))], publish)
    descriptor = ModelDescriptor.from_mapping({
        'name': name, 'source': {'path': 'fake.onnx'}, 'labels': ['red', 'green', 'blue'],
        'input': {'name': 'image', 'size': [8, 8], 'layout': 'nchw', 'dtype': 'float32'},
        'output': {'decoder': 'classification', 'activation': 'none'}})
    pipeline = Pipeline(descriptor, engine, descriptor.load_labels(), max_batch=max_batch)
    engine.calls.clear()
    return Model(pipeline, ResultSettings(pipeline.options, 'label', 10_000)), engine


class FakeStream:
    """A stream that notes its answers."""

    def __init__(self):
        self.published = []
        self.refused = []
        self.failed = []
        self.skipped = []
        self.left = 0

    def frame(self, rgb, **changes):
        """Return a frame of one colour."""
        pixels = np.full((6, 9, 3), rgb, np.uint8)
        msg = to_image_msg(pixels, 'rgb8', Header(frame_id=str(rgb)))
        for name, value in changes.items():
            setattr(msg, name, value)
        return Frame(self, msg, 0.0)

    def read(self, msg, max_pixels):
        """Read as a stream does."""
        try:
            return to_array(msg, max_pixels)
        except Exception as error:
            self.refuse(error)
            return None

    def refuse(self, error):
        """Note an unusable image."""
        self.refused.append(str(error))

    def publish(self, frame, result, pixels, color, class_id):
        """Note an answer."""
        if frame.msg.header.frame_id == 'nobody':
            raise RuntimeError('cannot be sent')
        self.published.append((frame.msg.header.frame_id, result.labels[0]))

    def fail(self, error):
        """Note an image without an answer."""
        self.failed.append(str(error))

    def skip(self, error):
        """Note an image that the model was spared."""
        self.skipped.append(str(error))

    def leave(self):
        """Note an image whose turn never came."""
        self.left += 1


class FakeService:
    """A service that notes what it says."""

    node_name = '/server'

    def __init__(self):
        self.said = []

    def succeed(self, request, msg):
        """Note an answer."""
        self.said.append((request.name, msg.results[0].class_id))

    def refuse(self, request, reason):
        """Note a refusal."""
        self.said.append((request.name, reason))


RED, GREEN, BLUE = (250, 0, 0), (0, 250, 0), (0, 0, 250)


@pytest.fixture
def service():
    """Return a service."""
    return FakeService()


def steps(model, service=None):
    """Return the steps of a worker with one model."""
    def acquire():
        assert model.acquire()
        return model

    return Inference(acquire, service, pytest.fail)


def run(inference, *frames, request=None, thread=0):
    """Go through all steps; return the job, if there was one."""
    inference.begin()
    job = inference.prepare(Taken(frames=frames, request=request), thread)
    if job is not None:
        error = None
        try:
            inference.infer(job)
        except Exception as raised:
            error = raised
        inference.finish(job, error)
    return job


def test_frames_of_several_streams_go_through_the_model_together():
    model, engine = make_model()
    streams = [FakeStream() for _ in range(3)]
    run(steps(model), *(
        stream.frame(rgb) for stream, rgb in zip(streams, (RED, GREEN, BLUE))))
    assert [len(call['image']) for call in engine.calls] == [3]
    assert [stream.published for stream in streams] == [
        [(str(RED), 'red')], [(str(GREEN), 'green')], [(str(BLUE), 'blue')]]
    assert not engine.closed


@pytest.mark.parametrize('changes', [
    {'step': 3}, {'encoding': 'rgb565'}, {'width': 0, 'height': 0}, {'data': b'12'}])
@pytest.mark.parametrize('position', range(3))
def test_a_bad_frame_leaves_the_others_of_its_batch_alone(changes, position):
    model, engine = make_model()
    streams = [FakeStream() for _ in range(3)]
    run(steps(model), *(
        stream.frame(rgb, **(changes if number == position else {}))
        for number, (stream, rgb) in enumerate(zip(streams, (RED, GREEN, BLUE)))))
    assert [len(call['image']) for call in engine.calls] == [2]
    for number, (stream, name) in enumerate(zip(streams, ('red', 'green', 'blue'))):
        bad = number == position
        assert [label for _, label in stream.published] == ([] if bad else [name])
        assert len(stream.refused) == bad


def test_an_result_that_cannot_be_sent_leaves_the_others_alone():
    model, _ = make_model()
    streams = [FakeStream() for _ in range(2)]
    run(steps(model), streams[0].frame(RED, header=Header(frame_id='nobody')),
        streams[1].frame(GREEN))
    assert streams[0].failed == ['cannot be sent'] and not streams[0].published
    assert streams[1].published == [(str(GREEN), 'green')]


def test_an_output_that_cannot_be_leaves_the_others_alone():
    model, _ = make_model()
    original = model.pipeline.postprocess

    def postprocess(outputs, *args, **options):
        if outputs['scores'].argmax() == 0:
            raise ValueError('no sense')
        return original(outputs, *args, **options)

    model.pipeline.postprocess = postprocess
    streams = [FakeStream() for _ in range(2)]
    run(steps(model), streams[0].frame(RED), streams[1].frame(GREEN))
    assert streams[0].failed == ['no sense']
    assert streams[1].published == [(str(GREEN), 'green')]


def test_a_model_that_fails_costs_its_own_batch_only():
    broken = [False]

    def publish(inputs):
        if broken[0]:
            raise EngineError('out of memory')
        return colors(inputs)

    model, _ = make_model(publish=publish)
    broken[0] = True
    stream, service = FakeStream(), FakeService()
    inference = steps(model, service)
    run(inference, stream.frame(RED))
    run(inference, request=SimpleNamespace(name='a', image=stream.frame(RED).msg))
    assert stream.failed == ['out of memory']
    assert service.said == [('a', 'out of memory')]
    broken[0] = False
    run(inference, stream.frame(GREEN))
    assert stream.published == [(str(GREEN), 'green')]


def test_requests_are_answered_or_told_why_not(service):
    model, _ = make_model()
    inference = steps(model, service)
    stream = FakeStream()
    run(inference, request=SimpleNamespace(name='good', image=stream.frame(BLUE).msg))
    run(inference, request=SimpleNamespace(name='bad', image=stream.frame(BLUE, step=1).msg))
    run(inference, request=SimpleNamespace(name='odd', image=None))
    assert service.said[0] == ('good', 'blue')
    assert service.said[1][1].startswith('step is 1, but')
    assert service.said[2][1].startswith('unexpected AttributeError: ')
    assert inference.requests == 3
    inference.leave([], [SimpleNamespace(name='late')])
    assert service.said[3] == ('late', '/server has been deactivated')


def test_a_prepared_request_is_refused_when_the_worker_stops(service):
    model, engine = make_model()
    inference = steps(model, service)
    inference.begin()
    job = inference.prepare(Taken(request=SimpleNamespace(
        name='late', image=FakeStream().frame(RED).msg)), 0)
    inference.abandon(job)
    assert service.said == [('late', '/server has been deactivated')]
    model.retire()
    assert engine.closed


def test_images_whose_turn_never_comes_are_counted():
    model, _ = make_model()
    streams = [FakeStream() for _ in range(2)]
    inference = steps(model)
    inference.begin()
    prepared = inference.prepare(Taken(frames=tuple(
        stream.frame(rgb) for stream, rgb in zip(streams, (RED, GREEN)))), 0)
    inference.abandon(prepared)
    assert [stream.left for stream in streams] == [1, 1]
    # It may hold an image's megabytes, for as long as the node is inactive.
    assert not len(prepared.batch)
    inference.leave([streams[1].frame(BLUE)], [])
    assert [stream.left for stream in streams] == [1, 2]


def test_a_model_is_released_whatever_fails_before_the_model(service):
    model, engine = make_model()
    inference = steps(model, service)
    stream = FakeStream()
    # Nothing could be taken.
    inference.begin()
    inference.cancel()
    inference.cancel()
    # What nobody expects, in one place and the other.
    inference.begin()
    stream.read = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        inference.prepare(Taken(frames=(stream.frame(RED),)), 0)
    inference.begin()
    inference._faults.pause = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        inference.prepare(Taken(frames=(stream.frame(RED),)), 0)
    model.retire()
    assert engine.closed


@pytest.mark.parametrize('hangs', [False, True])
def test_every_image_is_in_one_count_when_the_worker_is_stopped(hangs):
    running, go_on, prepared = threading.Event(), threading.Event(), threading.Event()

    def publish(inputs):
        running.set()
        assert go_on.wait(20.0)
        return colors(inputs)

    go_on.set()
    model, _ = make_model(publish=publish, max_batch=1)
    go_on.clear()
    running.clear()
    stream = FakeStream()
    inference = steps(model)
    fill = inference.prepare

    def prepare(*args):
        job = fill(*args)
        if running.is_set():
            prepared.set()
        return job

    inference.prepare = prepare
    worker = Worker(inference)
    worker.start()
    worker.mailbox.put(stream.frame(RED))
    assert running.wait(20.0)
    worker.mailbox.put(stream.frame(GREEN))
    assert prepared.wait(20.0)
    worker.mailbox.put(stream.frame(BLUE))
    if hangs:
        inference.give_up(EngineError('it does not come back'))
    assert not worker.stop(0.0)
    go_on.set()
    assert worker.stop(20.0)
    # One was in the model, one was prepared, and one waited.
    assert stream.left == 2
    assert [len(stream.published), len(stream.failed)] == ([0, 1] if hangs else [1, 0])


def test_a_model_is_exchanged_between_two_jobs():
    old, old_engine = make_model(max_batch=4, name='old')
    new, new_engine = make_model(max_batch=1, name='new')
    current = [old]

    def acquire():
        assert current[0].acquire()
        return current[0]

    stream, other = FakeStream(), FakeStream()
    inference = Inference(acquire, None, pytest.fail)
    assert inference.begin() == 4
    # Exchanged after the old one was chosen, and before anything was taken.
    current[0] = new
    old.retire()
    job = inference.prepare(Taken(frames=(stream.frame(RED), other.frame(GREEN))), 0)
    assert inference.begin() == 1
    second = inference.prepare(Taken(frames=(stream.frame(BLUE),)), 1)
    assert (job.model, second.model) == (old, new)
    assert not old_engine.closed
    inference.infer(job)
    inference.finish(job, None)
    # The last one has left.
    assert old_engine.closed and not new_engine.closed
    inference.infer(second)
    inference.finish(second, None)
    assert stream.published == [(str(RED), 'red'), (str(BLUE), 'blue')]
    assert other.published == [(str(GREEN), 'green')]
    assert [len(call['image']) for call in old_engine.calls] == [2]


def test_two_jobs_share_no_memory():
    model, _ = make_model()
    stream = FakeStream()
    inference = steps(model)
    jobs = []
    for thread, rgb in enumerate((RED, GREEN)):
        inference.begin()
        jobs.append(inference.prepare(Taken(frames=(stream.frame(rgb),)), thread))
    for job in jobs:
        inference.infer(job)
        inference.finish(job, None)
    assert [label for _, label in stream.published] == ['red', 'green']


def test_a_job_keeps_the_settings_that_it_began_with():
    model, _ = make_model()
    stream = FakeStream()
    inference = steps(model)
    inference.begin()
    job = inference.prepare(Taken(frames=(stream.frame(RED),)), 0)
    model.settings = ResultSettings(
        model.pipeline.options.replace(score_threshold=1.0), 'index', 10_000)
    assert job.settings.class_id == 'label'
    inference.infer(job)
    inference.finish(job, None)
    assert stream.published == [(str(RED), 'red')]


def test_the_limit_of_pixels_counts():
    model, _ = make_model()
    model.settings = ResultSettings(model.pipeline.options, 'label', 53)
    stream = FakeStream()
    assert run(steps(model), stream.frame(RED)) is None
    assert 'pixels' in stream.refused[0]


@pytest.mark.parametrize(('asked', 'streams', 'provider', 'limit'), [
    (0, 1, 'auto', 1), (0, 4, 'cpu', 1), (0, 4, 'auto', 4), (0, 40, 'cuda', 8),
    (3, 4, 'cpu', 3), (3, 2, 'auto', 2), (16, 40, 'cuda', 16)])
def test_only_gpus_get_batches_unless_asked(monkeypatch, asked, streams, provider, limit):
    monkeypatch.setattr('ros2_classify.ros.server.model.import_onnxruntime', lambda: SimpleNamespace(
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

    monkeypatch.setattr('ros2_classify.ros.server.model.import_onnxruntime', lambda: SimpleNamespace(
        get_available_providers=lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider']))
    monkeypatch.setattr('ros2_classify.ros.server.model.Pipeline.load', load)
    settings = {spec.name: spec.default for spec in PARAMETERS}
    log = SimpleNamespace(info=lambda text: None)
    model = load_model('colors', {**settings, 'max_batch': asked}, log, 4)
    assert model.pipeline.max_batch == limit
    assert [batch.capacity for batch in model.batches] == [limit] * len(model.batches)


def test_without_the_package_of_a_provider_there_is_no_batch(monkeypatch):
    monkeypatch.setattr('ros2_classify.ros.server.model.import_onnxruntime', lambda: SimpleNamespace(
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


def test_after_many_faults_the_model_is_left_alone_for_a_while(service):
    now = [100.0]
    faults = EngineFaults('retry', lambda: now[0])
    broken = [False]

    def publish(inputs):
        if broken[0]:
            raise EngineError('no luck')
        return colors(inputs)

    model, engine = make_model(publish=publish)
    stream = FakeStream()
    assert model.acquire()
    inference = Inference(lambda: model if model.acquire() else None, service, pytest.fail, faults)
    broken[0] = True
    for _ in range(5):
        run(inference, stream.frame(RED))
    assert stream.failed == ['no luck'] * 4 and len(engine.calls) == 4
    assert len(stream.skipped) == 1 and 'tried again in 0.5 s: no luck' in stream.skipped[0]
    run(inference, request=SimpleNamespace(name='a', image=stream.frame(RED).msg))
    assert 'tried again' in service.said[0][1]
    broken[0] = False
    now[0] += 0.5
    run(inference, stream.frame(GREEN))
    assert stream.published == [(str(GREEN), 'green')] and faults.pause() is None
    # Nothing that was left out holds the model.
    model.release()
    model.retire()
    assert engine.closed


def test_a_job_that_was_given_up_is_answered_for_once(service):
    model, engine = make_model()
    faults = EngineFaults('retry')
    inference = Inference(lambda: model if model.acquire() else None, service, pytest.fail, faults)
    stream = FakeStream()

    def hang(batch):
        # Given up while the model is at work; it comes back late, and with a failure.
        inference.give_up(EngineError('it does not come back'))
        raise EngineError('the device was reset')

    model.pipeline.infer = hang
    run(inference, stream.frame(RED))
    assert stream.failed == ['it does not come back'] and faults.total == 0
    assert stream.left == 0
    model.retire()
    assert engine.closed


def test_all_jobs_in_the_model_are_answered_for_when_it_is_given_up():
    model, _ = make_model()
    inference, stream = steps(model), FakeStream()
    jobs = []
    for slot, color in enumerate((RED, GREEN)):
        inference.begin()
        jobs.append(inference.prepare(Taken(frames=(stream.frame(color),)), slot))
    inside, go_on = threading.Barrier(3, timeout=20.0), threading.Event()

    def hang(batch):
        inside.wait()
        assert go_on.wait(20.0)
        return [{}]

    model.pipeline.infer = hang
    threads = [threading.Thread(target=inference.infer, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    inside.wait()
    inference.give_up(EngineError('they do not come back'))
    assert stream.failed == ['they do not come back'] * 2
    go_on.set()
    for thread, job in zip(threads, jobs):
        thread.join(20.0)
        inference.finish(job, None)
    assert (stream.published, len(stream.failed), stream.left) == ([], 2, 0)


def test_a_job_that_is_done_when_another_one_is_given_up_is_counted():
    model, _ = make_model()
    inference, stream = steps(model), FakeStream()
    inference.begin()
    job = inference.prepare(Taken(frames=(stream.frame(RED),)), 0)
    inference.infer(job)
    inference.give_up(EngineError('the next one does not come back'))
    inference.finish(job, None)
    assert (stream.published, stream.failed, stream.left) == ([], [], 1)
