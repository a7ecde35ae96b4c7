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

"""What a descriptor must say of a model that sees time, and what is refused."""

from clip_models import (
    save_graph, save_mlp, save_rnn, save_streaming, save_votes, save_window)
import numpy as np
from onnx import helper
import pytest
from ros2_classify import DescriptorError, load_descriptor, ModelDescriptor, Pipeline
from ros2_classify.inspection.check import check_model
from ros2_classify.inspection.describe import describe_model
from ros2_classify.model.catalog import with_stages
from ros2_classify.model.descriptor_writer import mapping_of


def refused(match, **keys):
    with pytest.raises(DescriptorError, match=match):
        ModelDescriptor.from_mapping({'source': {'path': 'x.onnx'}, **keys})


def test_keys_that_do_not_fit_together_are_refused():
    window = {'layout': 'nthwc'}
    state = [{'input': 'a', 'output': 'b'}]
    refused('input.layout: nthwc is for clips.*add clip: {rate: 10}', input=window)
    refused('clip: rate is missing; write the frames per second', clip={'frames': 4})
    refused('clip: frames is missing; write how many frames vote', clip={'vote': 'mean'})
    refused('clip.vote: .*input.layout: ncthw', input={'layout': 'ncthw'},
            clip={'vote': 'mean', 'frames': 4})
    refused('clip.vote: .*which state is not for', state=state, clip={'vote': 'mean', 'frames': 4})
    refused('clip.gap: 0.1 s is shorter.*at least 0.15', clip={'rate': 10, 'gap': 0.1})
    refused('task: detection is not for clips', task='detection', clip={'rate': 10})
    refused('stages: does not go with clip', clip={'rate': 10}, stages={'a': {'model': 'b'}})
    refused('input.size: is for images.*the encoder', clip={'rate': 10, 'encoder': 'e.yaml'},
            input={'size': [8, 8]})
    refused("state: names the input 'a' twice", state=[*state, {'input': 'a', 'output': 'c'}])
    refused('state.*output is missing', state=[{'input': 'a'}])
    refused('state: is an empty list', state=[])
    refused('unknown key .rates.*did you mean .rate', clip={'rates': 10})


def test_a_descriptor_is_written_as_it_was(tmp_path):
    for save in (save_window, save_streaming, save_mlp, save_rnn, save_votes):
        descriptor = load_descriptor(save(tmp_path))
        again = ModelDescriptor.from_mapping(mapping_of(descriptor))
        assert (again.clip, again.state) == (descriptor.clip, descriptor.state)


def with_text(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_the_model_file_and_the_descriptor_must_agree(tmp_path):
    def loading(path, match):
        with pytest.raises(DescriptorError, match=match):
            Pipeline.load(path)

    loading(save_window(tmp_path, 'rate: 10, frames: 5'),
            'clip.frames is 5, but the model takes .*, 4 frames')
    loading(save_window(tmp_path, frames='t'), 'any number of frames; set clip.frames')
    loading(with_text(save_window(tmp_path), 'nthwc', 'nhwc'), 'allowed are nthwc, ntchw, ncthw')
    loading(with_text(save_window(tmp_path), 'output: {decoder: classification, '
                      'activation: softmax}\n', ''), 'output.decoder is missing')
    loading(with_text(save_streaming(tmp_path), 'memory_out', 'no_such'),
            r"state\[0\].output is 'no_such', but the model has")
    loading(with_text(save_streaming(tmp_path), 'output: memory_out', 'output: logits'),
            r'state\[0\]: the output .* cannot be the next input')
    loading(with_text(save_votes(tmp_path), ', vote: mean', ', rate: 10'),
            'a single image, but clip says that it sees time; write clip.vote: mean')
    loading(with_text(save_window(tmp_path), 'clip: {rate: 10}',
                      'clip: {frames: 4, vote: mean}').rename(tmp_path / 'v.yaml'), 'vote')
    path = save_mlp(tmp_path)
    with_text(path, 'encoder.yaml', 'no_such_encoder')
    with pytest.raises(Exception, match='clip.encoder: .*no_such_encoder'):
        Pipeline.load(path)
    path = save_streaming(tmp_path)
    path.write_text(path.read_text().partition('state:')[0])
    loading(path, 'layout: nthwc is for clips')


def test_the_layout_is_inferred_only_if_nothing_else_fits(tmp_path):
    with Pipeline.load(save_window(tmp_path, declared=False)) as pipeline:
        assert pipeline.descriptor.input.layout == 'nthwc'
        assert any('nthwc' in each for each in pipeline.descriptor.inferred)
    ambiguous = save_graph(
        tmp_path / 'three.onnx',
        [helper.make_node('ReduceMean', ['clip'], ['m'], axes=[1, 2, 3, 4], keepdims=0)],
        [('clip', np.float32, [1, 3, 3, 8, 8])], [('m', np.float32, [1])])
    with pytest.raises(DescriptorError, match='layout: ntchw/ncthw'):
        Pipeline.load(ModelDescriptor.from_mapping({
            'source': {'path': str(ambiguous)}, 'clip': {'rate': 10},
            'output': {'decoder': 'classification'}}))


def test_a_bare_file_that_takes_clips_is_a_question(tmp_path):
    # The descriptor beside it would be used.
    file = save_window(tmp_path).rename(tmp_path / 'w.txt').with_name('window.onnx')
    with pytest.raises(DescriptorError, match=r'rate.*layout: nthwc.*clip: {rate: 10}'):
        Pipeline.load(file)
    file = save_streaming(tmp_path).rename(tmp_path / 's.txt').with_name('streaming.onnx')
    with pytest.raises(DescriptorError, match=r'state: \[{input: NAME, output: NAME}\]'):
        Pipeline.load(file)


@pytest.mark.parametrize('save, said', [
    (save_window, '4 frames at 10 Hz (0.4 s), a result every 0.1 s'),
    (save_streaming, '2 states, from frame to frame'), (save_rnn, 'frames through encoder.yaml'),
    (save_mlp, 'frames through encoder.yaml'), (save_votes, 'scores of single images are')])
def test_check_and_describe_say_what_the_model_is(tmp_path, save, said):
    report = check_model(str(save(tmp_path)), np.zeros((8, 8, 3), np.uint8))
    assert any(said in note for note in report.notes), report.notes
    # The image of a single-image model counts.
    assert any('infer --video' in note for note in report.notes) == (save is not save_votes)
    text, described = describe_model(str(tmp_path / report.file.with_suffix('.yaml').name))
    assert '\nclip:' in text or '\nstate:' in text
    assert not report.problems and not described.problems
    (tmp_path / 'again.yaml').write_text(text)
    with Pipeline.load(tmp_path / 'again.yaml') as pipeline:
        assert pipeline.clip == report.descriptor.clip


def test_check_finds_wrong_numbers_of_clips(tmp_path):
    path = with_text(save_window(tmp_path), 'activation: softmax', 'activation: none')
    report = check_model(str(path))
    assert any('activation' in each for each in report.problems), report.problems


def test_an_encoder_comes_with_its_model(tmp_path):
    found = with_stages([load_descriptor(save_mlp(tmp_path))])
    assert [each.name for each in found] == ['mlp', 'encoder']
