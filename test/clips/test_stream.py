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

"""Models that see time, each against a plain loop."""

from clip_models import (
    CLASSES, IN_RNN, RNN, save_mlp, save_rnn, save_streaming, save_votes, save_window, SIZE,
    softmax, WEIGHTS)
import numpy as np
import onnxruntime
import pytest
from ros2_classify import InputError, Pipeline

random = np.random.default_rng(1)
FRAMES = [random.integers(0, 256, (SIZE, SIZE, 3), np.uint8) // (1 + number % 5)
          for number in range(12)]
TEN_HERTZ = [100 + number / 10 for number in range(len(FRAMES))]
SAVE = {'votes': save_votes, 'rnn': save_rnn, 'window': save_window, 'mlp': save_mlp,
        'streaming': save_streaming}


def by_class(result):
    """Return the scores in the order of the classes."""
    return result.scores[np.argsort(result.class_ids)]


def plain(kind, frames):
    """Return what a plain loop gives: scores for each frame, None while there is no result."""
    found, hidden = [], np.zeros(3, np.float32)
    memory, count = np.zeros(2), 0
    pixels = [frame.astype(np.float32) / 255 for frame in frames]
    for number, frame in enumerate(pixels):
        last = pixels[max(0, number - 3):number + 1]
        means = frame.mean(axis=(0, 1))
        if kind == 'rnn':
            hidden = np.tanh(means @ IN_RNN + hidden @ RNN)
            found.append(softmax(hidden))
        elif kind == 'streaming':
            memory, count = memory / 2 + frame.mean() * np.array([1, -2]), count + 1
            found.append(softmax(np.array([*memory, np.sin(count)])))
        elif len(last) < 4:
            found.append(None)
        elif kind == 'votes':
            found.append(np.mean([softmax(each.mean(axis=(0, 1)) * 255 / 64) for each in last], 0))
        elif kind == 'window':
            found.append(softmax(np.array([each.mean() for each in last]) @ WEIGHTS[4]))
        elif kind == 'mlp':
            found.append(softmax(
                np.concatenate([each.mean(axis=(0, 1)) for each in last]) @ WEIGHTS[12]))
    return found


def same(results, expected):
    assert [each is None for each in results] == [each is None for each in expected]
    for one, other in zip(results, expected):
        if other is not None:
            np.testing.assert_allclose(by_class(one), other, atol=2e-6)


def offered(stream, stamps, frames):
    return [stream.offer(stamp, frame) for stamp, frame in zip(stamps, frames)]


@pytest.mark.parametrize('kind', SAVE)
def test_each_way_gives_what_a_plain_loop_gives(tmp_path, kind):
    with Pipeline.load(SAVE[kind](tmp_path), task='classification') as pipeline:
        found = offered(pipeline.stream(), TEN_HERTZ, FRAMES)
        same(found, plain(kind, FRAMES))
        # The generator gives the same, without what has no result.
        listed = list(pipeline.clips(zip(TEN_HERTZ, FRAMES)))
        assert [each.rows() for each in listed] == [each.rows() for each in found if each]
        assert {each.labels[0] for each in listed} <= set(CLASSES)
        last = found[-1]
        assert last.t1 == TEN_HERTZ[-1] and last.image_size == (SIZE, SIZE)
        assert last.t0 == (TEN_HERTZ[0] if pipeline.descriptor.state else TEN_HERTZ[-4])
        assert last.to_dict()['t0'] == last.t0


@pytest.mark.parametrize('layout', ['nthwc', 'ntchw', 'ncthw'])
@pytest.mark.parametrize('frames', [4, 't'])
def test_all_layouts_of_clips(tmp_path, layout, frames):
    path = save_window(tmp_path, 'rate: 10, frames: 4', layout=layout, frames=frames)
    with Pipeline.load(path) as pipeline:
        assert pipeline.clip.frames == 4
        same(offered(pipeline.stream(), TEN_HERTZ, FRAMES), plain('window', FRAMES))


@pytest.mark.parametrize('initial', [0, 0.75])
def test_states_are_exactly_those_of_a_plain_loop(tmp_path, initial):
    path = save_streaming(tmp_path, initial=initial)
    session = onnxruntime.InferenceSession(str(path.with_suffix('.onnx')))
    states = {'memory': np.full((1, 2), initial, np.float32), 'count': np.zeros((1, 1), np.int64)}
    with Pipeline.load(path, threads=1) as pipeline:
        memory = pipeline._clip_model().memory()
        for stamp, frame in zip(TEN_HERTZ, FRAMES):
            memory.take(stamp, 1, frame, 'rgb', None)
            # As the package scales pixels: in one multiplication.
            given = (frame * np.float32(1 / 255))[None, None]
            count, logits, kept = session.run(None, {'frame': given, **states})
            states = {'memory': kept, 'count': count}
            assert {*memory.infer()} == {'logits'}
            np.testing.assert_array_equal(memory.infer()['logits'], logits)


@pytest.mark.parametrize('kind', SAVE)
def test_two_streams_interleaved_are_each_as_alone(tmp_path, kind):
    with Pipeline.load(SAVE[kind](tmp_path)) as pipeline:
        one, other = pipeline.stream(), pipeline.stream()
        found = [(one.offer(stamp, frame), other.offer(stamp + 7.03, frame[::-1] // 2))
                 for stamp, frame in zip(TEN_HERTZ, FRAMES)]
        same([each for each, _ in found], plain(kind, FRAMES))
        same([each for _, each in found], plain(kind, [frame // 2 for frame in FRAMES]))


@pytest.mark.parametrize('kind', SAVE)
@pytest.mark.parametrize('why', ['gap', 'time', 'reset'])
def test_after_a_reset_it_is_as_at_first(tmp_path, kind, why):
    clip = {} if kind != 'streaming' else {'clip': 'rate: 10'}
    with Pipeline.load(SAVE[kind](tmp_path, **clip)) as pipeline:
        stream = pipeline.stream()
        offered(stream, TEN_HERTZ[:7], FRAMES[:7])
        assert stream.counts.resets == 0
        if why == 'reset':
            stream.reset()
        later = {'gap': 1.7, 'time': -20.0, 'reset': 0.7}[why]
        found = offered(stream, [stamp + later for stamp in TEN_HERTZ], FRAMES[::-1])
        same(found, plain(kind, FRAMES[::-1]))
        counts = stream.counts
        assert (counts.resets, counts.resets_gap, counts.resets_time) == (
            1, why == 'gap', why == 'time')
        assert found[-1].t0 >= TEN_HERTZ[0] + later


def test_a_dropped_frame_is_a_hole_and_no_clip_spans_it(tmp_path):
    with Pipeline.load(save_window(tmp_path)) as pipeline:
        stream = pipeline.stream()
        stamps, frames = TEN_HERTZ[:5] + TEN_HERTZ[6:], FRAMES[:5] + FRAMES[6:]
        found = offered(stream, stamps, frames)
        assert [each is not None for each in found] == 3 * [False] + 2 * [True] + 3 * [
            False] + 3 * [True]
        same(found[5:], plain('window', FRAMES[6:]))
        assert stream.counts.holes == 1 and stream.counts.filling == 6


def test_a_hole_costs_a_streaming_model_one_result(tmp_path):
    with Pipeline.load(save_streaming(tmp_path, 'rate: 10')) as pipeline:
        stream = pipeline.stream()
        stamps, frames = TEN_HERTZ[:5] + TEN_HERTZ[6:], FRAMES[:5] + FRAMES[6:]
        found = offered(stream, stamps, frames)
        assert [number for number, each in enumerate(found) if each is None] == [5]
        # The model has seen the frame all the same.
        same([found[-1]], plain('streaming', frames)[-1:])


@pytest.mark.parametrize('kind', ['window', 'streaming'])
def test_frames_at_half_the_rate_give_no_result(tmp_path, kind):
    with Pipeline.load(SAVE[kind](tmp_path, 'rate: 10')) as pipeline:
        stream = pipeline.stream()
        found = offered(stream, [number / 5 for number in range(12)], FRAMES)
        # A streaming model may speak of the very first frame, before the rate is known.
        assert not any(found[1:])
        assert stream.counts.holes == 11 and stream.reason == 'hole'
        assert '5 Hz' in stream.problem and '10 Hz' in stream.problem
        offered(stream, [20 + number / 10 for number in range(12)], FRAMES)
        assert stream.problem == ''


@pytest.mark.parametrize('kind', SAVE)
def test_frames_at_three_times_the_rate_are_thinned(tmp_path, kind):
    clip = {'votes': 'frames: 4, vote: mean, rate: 10'}.get(kind, 'rate: 10')
    with Pipeline.load(SAVE[kind](tmp_path, clip)) as pipeline:
        stream = pipeline.stream()
        read = []

        def frame(number):
            read.append(number)
            return FRAMES[number // 3]

        found = [stream.offer(number / 30, lambda: frame(number)) for number in range(36)]
        same(found[::3], plain(kind, FRAMES))
        # The others are not even read.
        assert read == [*range(0, 36, 3)] and stream.counts.skipped == 24


def test_stride_and_repeated_stamps(tmp_path):
    with Pipeline.load(save_window(tmp_path, 'rate: 10, stride: 3')) as pipeline:
        stream = pipeline.stream()
        found = []
        for stamp, frame in zip(TEN_HERTZ, FRAMES):
            found.append(stream.offer(stamp, frame))
            assert stream.offer(stamp, 255 - frame) is None and 'repeated' in stream.reason
        expected = [each if number in (3, 6, 9) else None
                    for number, each in enumerate(plain('window', FRAMES))]
        same(found, expected)
        assert (stream.counts.stride, stream.counts.repeated, stream.counts.results) == (6, 12, 3)
        assert stream.counts.frames == 24


def test_a_frame_that_fails_is_a_hole(tmp_path):
    with Pipeline.load(save_window(tmp_path)) as pipeline:
        stream = pipeline.stream()
        offered(stream, TEN_HERTZ[:4], FRAMES[:4])
        with pytest.raises(InputError, match='uint8'):
            stream.offer(TEN_HERTZ[4], FRAMES[4].astype(np.float32))
        found = offered(stream, TEN_HERTZ[5:], FRAMES[5:])
        same(found, plain('window', FRAMES[5:]))
        assert stream.counts.failed == 1
        with pytest.raises(InputError, match='finite'):
            stream.offer(float('nan'), FRAMES[0])


def test_single_images_and_clips_are_not_mixed_up(tmp_path):
    with Pipeline.load(save_window(tmp_path)) as pipeline:
        for call in (lambda: pipeline(FRAMES[0]), lambda: pipeline.many(FRAMES),
                     lambda: pipeline.infer(pipeline.new_batch())):
            with pytest.raises(InputError, match='4 frames at 10 Hz.*pipeline.stream.*infer'):
                call()
        assert pipeline.warm_up().t0 == 0.0
    path = save_votes(tmp_path)
    path.write_text(path.read_text().replace('clip:', '# clip:'))
    with Pipeline.load(path) as pipeline:
        with pytest.raises(InputError, match='single images'):
            pipeline.stream()


@pytest.mark.parametrize('kind', SAVE)
def test_warming_up_leaves_no_trace(tmp_path, kind):
    with Pipeline.load(SAVE[kind](tmp_path), max_batch=4) as pipeline:
        assert len(pipeline.warm_up()) and pipeline.max_batch == 1
        same(offered(pipeline.stream(), TEN_HERTZ, FRAMES), plain(kind, FRAMES))


def test_a_region_of_interest_counts_for_clips_too(tmp_path):
    with Pipeline.load(save_window(tmp_path)) as pipeline:
        stream = pipeline.stream()
        options = pipeline.options.replace(roi=(0.5, 0.0, 1.0, 1.0))
        large = [np.hstack((np.zeros_like(frame), frame)) for frame in FRAMES]
        found = [stream.offer(stamp, frame, options=options)
                 for stamp, frame in zip(TEN_HERTZ, large)]
        same(found, plain('window', FRAMES))
