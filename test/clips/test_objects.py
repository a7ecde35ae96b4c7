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

"""What each object that is followed does: its own crops, as if nothing else were there."""

from dataclasses import replace

from cascade_models import save_cascade
from clip_models import save_streaming, save_window, SIZE
import numpy as np
import pytest
from ros2_classify import Detections, InputError, ObjectClips, Pipeline, Timing
from ros2_classify.results.results import Classification


def found(boxes, ids, labels=None):
    """Return objects in an image of 40x30."""
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4), np.zeros(count), np.full(count, 0.9),
        np.array(labels or ['cup'] * count, object), (40, 30), Timing(0.0, 0.0, 0.0),
        track_ids=np.array(ids, object))


def scores(result):
    """Return a result's scores in the order of the classes; None as it is."""
    return None if result is None else result.scores[np.argsort(result.class_ids)].tolist()


@pytest.mark.parametrize('save', [save_window, save_streaming])
def test_each_object_has_the_clip_of_its_own_crops(tmp_path, save):
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (12, 30, 40, 3), np.uint8)
    with Pipeline.load(save(tmp_path)) as pipeline:
        clips = ObjectClips(pipeline, name='motion', padding=0.0)
        alone = {name: pipeline.stream() for name in 'ab'}
        for number, image in enumerate(images):
            # One walks to the right, the other one is away for a while; rows change places.
            boxes = {'a': (number, 2, number + SIZE, 2 + SIZE), 'b': (25, 10, 35, 29)}
            present = [name for name in ('ab' if number % 2 else 'ba')
                       if name == 'a' or number not in (4, 5)]
            result = clips(number / 10, found([boxes[name] for name in present], present), image)
            for name, said in zip(present, result.attributes['motion']):
                left, top, right, bottom = boxes[name]
                wanted = alone[name].offer(number / 10, image[top:bottom, left:right])
                assert scores(said) == scores(wanted)
                assert wanted is None or (said.t0, said.t1) == (wanted.t0, wanted.t1)
        assert said is not None


def test_objects_that_are_gone_are_forgotten_and_some_have_no_clip(tmp_path):
    image = np.zeros((30, 40, 3), np.uint8)
    with Pipeline.load(save_streaming(tmp_path)) as pipeline:
        clips = ObjectClips(pipeline, classes=['cup'], max_crops=2)
        many = found([(0, 0, 9, 9)] * 5, ['1', '2', '', '4', '5'],
                     ['cup', 'ball', 'cup', 'cup', 'cup'])
        said = clips(0.0, many, image).attributes['clip']
        assert [each is not None for each in said] == [True, False, False, True, False]
        assert clips(0.1, replace(many, track_ids=None), image).attributes['clip'] == (None,) * 5
        for second in range(1, 100):
            clips(float(second), found([(0, 0, 9, 9)], [f'new {second}']), image)
        assert len(clips._streams) <= 3
        clips.reset()
        assert not clips._streams


def test_a_result_stands_until_the_next_one_is_due(tmp_path):
    image = np.zeros((30, 40, 3), np.uint8)
    one = found([(0, 0, 9, 9)], ['1'])
    with Pipeline.load(save_window(tmp_path, 'rate: 10, stride: 3')) as pipeline:
        clips = ObjectClips(pipeline)
        ends = []
        for number in range(10):
            said, = clips(number / 10, one, image).attributes['clip']
            ends.append(None if said is None else round(said.t1, 3))
        assert ends == [None, None, None, 0.3, 0.3, 0.3, 0.6, 0.6, 0.6, 0.9]
        # A pause: what was said is the past.
        assert clips(3.0, one, image).attributes['clip'] == (None,)


def test_a_stage_that_sees_clips_says_nothing_of_single_images(tmp_path):
    save_window(tmp_path)
    cascade = save_cascade(tmp_path, '{motion: {model: window.yaml}}')
    with Pipeline.load(cascade) as pipeline:
        result = pipeline(np.zeros((30, 40, 3), np.uint8))
        assert len(result) and result.attributes == {'motion': (None,) * len(result)}
        stage, = pipeline.stages.over_time
        with pytest.raises(InputError, match='single images'):
            ObjectClips(Pipeline.load('cards_classifier'))
        clips = ObjectClips(stage.model)
        assert isinstance(
            [clips(number / 10, replace(result, track_ids=np.array(
                [str(row) for row in range(len(result))], object)), np.zeros(
                    (30, 40, 3), np.uint8)) for number in range(4)][-1].attributes['clip'][0],
            Classification)
