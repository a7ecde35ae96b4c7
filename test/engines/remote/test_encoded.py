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

"""Images that go to the server as JPEG."""

import numpy as np
import pytest
from remote_server import decoded, FakeServer, serving
from ros2_classify import EngineSettings, Pipeline
from ros2_classify.engines import bind
from ros2_classify.engines.remote.encoded import encode
from ros2_classify.engines.remote.engine import RemoteEngine
from ros2_classify.errors import DescriptorError, OptionsError, RemoteError
from ros2_classify.model.remote_url import RemoteUrl

# Smooth, with other means of red, green and blue: what a photo has, and JPEG keeps.
RAMP = np.linspace(0, 1, 48)[:, None, None] * np.linspace(1, 0.5, 64)[None, :, None]
IMAGE = (RAMP * (220, 120, 40)).astype(np.uint8)[None]
DESCRIPTOR = """
name: colors
task: classification
source: {remote: "%s"}
labels: [red, green, blue]
input: {size: [64, 48], layout: nhwc, dtype: uint8, color: %s, resize: stretch}
output: {decoder: classification, activation: none}
"""


def takes_jpeg(shape=(1,)):
    """Return a server whose model is sent JPEG: the mean of each channel, from 0 to 1."""
    fake = FakeServer(lambda inputs: {
        'scores': (inputs['image'].mean(axis=(1, 2)) / 255).astype(np.float32)})
    fake.inputs = [{'name': 'image', 'datatype': 'BYTES', 'shape': list(shape)}]
    if shape[0] == -1:
        fake.outputs = [{'name': 'scores', 'datatype': 'FP32', 'shape': [-1, 3]}]
    return fake


def opened(url, query='?jpeg=90'):
    return RemoteEngine(
        RemoteUrl.parse(f'{url}/colors{query}'), EngineSettings(remote_timeout=5.0))


@pytest.mark.parametrize('shape, count', [((1,), 1), ((-1,), 3), ((-1, 1), 2), ((1, 1), 1)])
def test_results_are_those_of_the_pixels(shape, count):
    fake = takes_jpeg(shape)
    images = np.concatenate([IMAGE, IMAGE // 2, IMAGE // 3])[:count]
    with serving(fake) as (_, url):
        engine = opened(url)
        assert engine.transport == 'HTTP and JPEG'
        first = 'batch' if shape[0] < 0 else 1
        assert engine.inputs[0].shape == (first, None, None, 3)
        assert engine.inputs[0].dtype == np.uint8
        run = bind(engine, {'image': images})
        assert np.allclose(run()['scores'], images.mean(axis=(1, 2)) / 255, atol=0.005)
        # Of any content and length, and what is read is what the array has now.
        images[:] = np.random.default_rng(1).integers(0, 255, images.shape)
        assert np.allclose(run()['scores'], images.mean(axis=(1, 2)) / 255, atol=0.02)
        engine.close()
    assert len(fake.sent[1]) > 2 * len(fake.sent[0])
    assert fake.calls[0]['inputs'][0]['shape'] == ([count] if len(shape) == 1 else [count, 1])


@pytest.mark.parametrize('quality, error', [(95, 3.0), (50, 10.0)])
def test_pixels_stay_within_the_tolerance_of_the_quality(quality, error):
    """Another decoder than OpenCV's reads it; no channel is another's."""
    read = decoded(encode(IMAGE, quality).tobytes()).astype(float)
    assert np.abs(read - IMAGE).mean() < error / 3 and np.abs(read - IMAGE).max() < 4 * error
    assert len(encode(IMAGE, 95)) > len(encode(IMAGE, 50))


def test_a_pipeline_with_jpeg(tmp_path):
    with serving(takes_jpeg()) as (fake, url):
        path = tmp_path / 'colors.yaml'
        path.write_text(DESCRIPTOR % (f'{url}?jpeg=90', 'rgb'))
        with Pipeline.load(path) as pipeline:
            found = pipeline(IMAGE[0])
        assert found.labels[0] == 'red'
        assert abs(found.scores[0] - IMAGE[..., 0].mean() / 255) < 0.005
        path.write_text(DESCRIPTOR % (f'{url}?jpeg=90', 'bgr'))
        with pytest.raises(DescriptorError, match='set input.color to rgb'):
            Pipeline.load(path)


@pytest.mark.parametrize('datatype, shape, query, said', [
    ('FP32', [1, 3, 8, 8], '?jpeg=90', r'\?jpeg is for one input of the datatype BYTES'),
    ('BYTES', [1, 3, 8, 8], '?jpeg=90', r'\?jpeg is for one input'),
    ('BYTES', [4], '?jpeg=90', r'\?jpeg is for one input'),
    ('BYTES', [1], '', r'takes bytes, not numbers: .*add \?jpeg=90')])
def test_another_contract_is_refused(datatype, shape, query, said):
    fake = FakeServer()
    fake.inputs = [{'name': 'image', 'datatype': datatype, 'shape': shape}]
    with serving(fake) as (_, url):
        with pytest.raises(RemoteError, match=said) as caught:
            opened(url, query)
    assert caught.value.kind == 'wrong_model' and not fake.calls


@pytest.mark.parametrize('query', ['jpeg=0', 'jpeg=101', 'jpeg=', 'jpeg=x', 'jpeg=9999',
                                   'jpeg=90&shared_memory=true'])
def test_qualities_that_are_refused(query):
    if query == 'jpeg=':
        assert not RemoteUrl.parse(f'http://gpu:8000/m?{query}').jpeg
        return
    with pytest.raises(OptionsError, match='quality from 1 to 100'):
        RemoteUrl.parse(f'http://gpu:8000/m?{query}')
