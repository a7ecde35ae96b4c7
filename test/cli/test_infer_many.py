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

"""``infer`` on directories, videos and several sources, and what it writes."""

import csv
import json
import os
import re
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from ros2_classify.cli import main
from ros2_classify.cli.infer_many import ImageMeter
from ros2_classify.testing import save_color_classifier, save_constant_model
import shared_data

CLASSIFIER = """
source: {path: colors.onnx}
labels: [red, green, blue]
input: {scale: 1/255}
output: {decoder: classification}
license: MIT
"""
DETECTOR = """
source: {path: boxes.onnx}
labels: {1: cat, 2: dog}
output: {decoder: tf_detection}
defaults: {score_threshold: 0.4}
"""
COLORS = {'red': (10, 50, 200), 'green': (10, 200, 50), 'blue': (200, 10, 50)}


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Return a directory with two models, three images, and a video of the same."""
    save_color_classifier(tmp_path / 'colors.onnx')
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]], np.float32)
    save_constant_model(tmp_path / 'boxes.onnx', {
        'detection_boxes': boxes, 'detection_classes': np.array([[2, 1]], np.float32),
        'detection_scores': np.array([[0.5, 0.9]], np.float32),
        'num_detections': np.array([2], np.float32)})
    (tmp_path / 'colors.yaml').write_text(CLASSIFIER)
    (tmp_path / 'boxes.yaml').write_text(DETECTOR)
    (tmp_path / 'photos').mkdir()
    video = cv2.VideoWriter(
        str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (64, 48))
    for number, color in enumerate(COLORS.values()):
        image = np.full((48, 64, 3), color, np.uint8)
        cv2.imwrite(str(tmp_path / 'photos' / f'{number}.png'), image)
        video.write(image)
    video.release()
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def infer(*words, model='colors'):
    return main(['infer', '--model', model, '--provider', 'cpu', *words])


def frames_of(path):
    """Return the frames of a video."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        good, frame = capture.read()
        if not good:
            return frames
        frames.append(frame)


@pytest.mark.parametrize(('words', 'stamps', 'name'), [
    (['photos'], [0.0, 0.1, 0.2], 'photos/0.png'),
    (['photos/*.png'], [0.0, 0.1, 0.2], 'photos/0.png'),
    (['v.avi'], [0.0, 0.1, 0.2], 'v.avi frame 0'),
    (['photos/0.png', 'photos/1.png', 'photos/2.png'], [0.0, 0.1, 0.2], 'photos/0.png'),
])
def test_a_line_of_json_for_each_image(models, capfd, words, stamps, name):
    assert infer('--source', *words, '--json') == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row['results'][0]['label'] for row in rows] == list(COLORS)
    assert [row['stamp'] for row in rows] == pytest.approx(stamps)
    assert rows[0]['source'] == name and rows[0]['image'] == {'width': 64, 'height': 48}
    assert rows[0]['provider'] == 'CPUExecutionProvider' and rows[0]['unverified'] == []


def test_a_line_of_text_for_each_image(models, capfd):
    assert infer('--image', 'photos', '--top-k', '1') == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split(':')[0] for line in lines[:3]] == [f'photos/{n}.png' for n in range(3)]
    assert lines[1].startswith('photos/1.png: green 0.') and lines[3].startswith('3 images in ')


def test_json_lines_csv_and_coco(models, capfd):
    for name in ('r.jsonl', 'r.csv', 'r.json'):
        assert infer('--source', 'photos', '--results', name, model='boxes') == 0
    rows = [json.loads(line) for line in (models / 'r.jsonl').read_text().splitlines()]
    assert len(rows) == 3 and rows[2]['results'][0]['label'] == 'cat'
    with (models / 'r.csv').open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 6 and table[1]['source'] == 'photos/0.png'
    assert [table[1][key] for key in ('label', 'score', 'x1', 'y1', 'x2', 'y2')] == [
        'dog', '0.5', '12.8', '4.8', '38.4', '24.0']
    found = json.loads((models / 'r.json').read_text())
    assert [each['image_id'] for each in found] == [1, 1, 2, 2, 3, 3]
    assert found[1]['bbox'] == [12.8, 4.8, 25.6, 19.2] and found[1]['category_id'] == 2
    assert not list(models.glob('.*part*'))


def test_coco_results_of_nothing_are_an_empty_list(models):
    assert infer('--source', 'photos', '--results', 'r.json', '--threshold', '1.0',
                 model='boxes') == 0
    assert json.loads((models / 'r.json').read_text()) == []


def test_coco_is_for_detections(models, capfd):
    assert infer('--source', 'photos', '--results', 'r.json') == 2
    assert 'COCO results are of detections, but this is classification' in capfd.readouterr().err


@pytest.mark.parametrize('suffix', ['mp4', 'mov', 'avi', 'mkv'])
def test_an_annotated_video(models, suffix):
    assert infer('--source', 'v.avi', '--output', f'out.{suffix}', model='boxes') == 0
    frames = frames_of(models / f'out.{suffix}')
    assert len(frames) == 3 and frames[0].shape == (48, 64, 3)
    for frame, color in zip(frames, COLORS.values()):
        off = abs(frame.astype(int) - np.array(color)).max(axis=2)
        # Boxes and labels are drawn; the rest is the image.
        assert (off > 60).mean() > 0.05 and (off < 40).mean() > 0.3
    assert cv2.VideoCapture(str(models / f'out.{suffix}')).get(
        cv2.CAP_PROP_FPS) == pytest.approx(10.0)


def test_images_of_other_sizes_are_fitted_into_the_video(models):
    cv2.imwrite(str(models / 'photos' / '3.png'), np.full((100, 50, 3), 255, np.uint8))
    assert infer('--source', 'photos', '--output', 'out.avi', '--threshold', '1.0',
                 model='boxes') == 0
    last = frames_of(models / 'out.avi')[3]
    assert last.shape == (48, 64, 3)
    assert last[24, 32].min() > 240 and last[24, 5].max() < 15 and last[24, 60].max() < 15


def test_a_directory_of_annotated_images(models):
    (models / 'more').mkdir()
    cv2.imwrite(str(models / 'more' / '0.png'), np.zeros((10, 10, 3), np.uint8))
    assert infer('--source', 'photos', 'more', 'v.avi', '--output', 'drawn', model='boxes') == 0
    assert sorted(path.name for path in (models / 'drawn').iterdir()) == [
        '0.png', '0_2.png', '1.png', '2.png', 'v.avi_frame_0.jpg', 'v.avi_frame_1.jpg',
        'v.avi_frame_2.jpg']
    drawn = cv2.imread(str(models / 'drawn' / '0.png'))
    assert drawn.shape == (48, 64, 3)
    assert (drawn != cv2.imread(str(models / 'photos' / '0.png'))).any()


def test_limit(models, capfd):
    assert infer('--source', 'v.avi', '--json', '--limit', '2') == 0
    assert len(capfd.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(('words', 'message'), [
    (['photos', '--output', 'a.png'], 'several images go into a directory, or into a video'),
    (['photos', '--results', 'a.txt'], 'results go to .jsonl .JSON lines., .csv, or .json'),
    (['photos', '--results', 'no/a.csv'], 'there is no directory no; create it'),
    (['photos', '--against', 'photos/0.png'], '--against compares two images'),
    (['photos', '--limit', '0'], '--limit is 0 but must be 1 or more'),
    (['photos', '--topic', '/a'], 'a topic belongs to a bag'),
    (['photos', 'missing'], "there is no 'missing'; a source is"),
])
def test_what_is_wrong_is_said_before_the_model_is_loaded(models, capfd, words, message):
    assert infer('--source', *words, model='there is no such model') == 2
    assert re.search(message, capfd.readouterr().err)
    assert not list(models.glob('*part*'))


def test_a_model_that_cannot_be_loaded_leaves_no_file(models):
    assert infer('--source', 'photos', '--results', 'r.csv', model='none') == 1
    assert not list(models.glob('.r*')) and not (models / 'r.csv').exists()


def test_a_16_bit_image_gives_what_it_gives_alone(models, capfd):
    (models / 'colors.yaml').write_text(
        CLASSIFIER.replace('input: {', 'input: {input_range: 12, '))
    image = np.full((20, 40, 3), (160, 800, 3200), np.uint16)
    cv2.imwrite(str(models / 'deep.png'), image)
    assert infer('--image', 'deep.png', '--json') == 0
    assert infer('--image', 'deep.png', 'photos/0.png', '--json') == 0
    alone, batch, _ = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert batch['results'] == alone['results']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_whole_files_and_says_where(models, number):
    image = np.full((600, 800, 3), (10, 50, 200), np.uint8)
    video = cv2.VideoWriter(
        str(models / 'long.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (800, 600))
    for _ in range(900):
        video.write(image)
    video.release()
    process = subprocess.Popen(
        [sys.executable, '-m', 'ros2_classify', 'infer', '--model', 'colors', '--source',
         'long.avi', '--json', '--results', 'r.csv', '--output', 'out.mp4'],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, 'PYTHONPATH': str(shared_data.ROOT)})
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    count = 5 + len(out.splitlines())
    assert count < 900
    # The signal may come between the outputs of one image.
    said = re.search(r'stopped after image (\d+) of 900 \(long.avi frame (\d+)\)', err)
    assert said, err
    assert int(said[1]) == int(said[2]) + 1 and int(said[1]) in (count - 1, count)
    assert len(frames_of(models / 'out.mp4')) in (count, count - 1, count + 1)
    with (models / 'r.csv').open() as file:
        assert len(list(csv.DictReader(file))) in range(3 * count - 3, 3 * count + 4)


def test_progress_in_images():
    clock = iter([0.0, 0.0, 1.0, 2.0])
    said = []
    meter = ImageMeter('', said.append, clock=lambda: next(clock))
    meter.start(0, 8)
    meter.add(1)
    meter.add(1)
    meter.finish()
    assert [str(status) for status in said] == [
        '1 of 8 images (12 %), 1.0 a second, 7 s left',
        '2 of 8 images (25 %), 1.0 a second, 6 s left', '2 of 8 images (25 %), 1.0 a second']


@pytest.fixture
def moving(models):
    """Return a video of a bright square that moves over a dark ground, and its detector."""
    video = cv2.VideoWriter(
        str(models / 'moving.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (64, 48))
    for _ in range(6):
        video.write(np.full((48, 64, 3), 60, np.uint8))
    video.release()
    (models / 'boxes.yaml').write_text(DETECTOR)
    return models / 'moving.avi'


def test_objects_have_ids_over_time(moving, capfd):
    assert infer('--source', str(moving), '--track', '--json', '--output', 'out.avi',
                 model='boxes') == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    ids = [[each['id'] for each in row['results']] for row in rows]
    # The second image confirms them; the order is that of the scores.
    assert ids == [['', '']] + [['1', '2']] * 5
    assert len(frames_of('out.avi')) == 6


def test_events_of_objects_with_ids(moving, capfd):
    words = ['--source', str(moving), '--track', '--event-zones', 'all=0,0,1,0,1,1,0,1@0.15',
             'upper=0,0,1,0,1,0.5,0,0.5', '--event-lines', 'door=0.5,0,0.5,1', '--output', 'drawn']
    assert infer(*words, '--json', model='boxes') == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    # Found in the second image; 0.15 seconds later they have been in the zone for that long.
    assert [[(each['kind'], each['id'], each.get('place')) for each in row['events']]
            for row in rows] == [
        [], [('appeared', '1', None), ('appeared', '2', None)], [],
        [('in_zone', '1', 'all'), ('in_zone', '2', 'all')], [], []]
    assert rows[1]['events'][1]['box'] == rows[1]['results'][1]['box']
    assert rows[3]['events'][0]['seconds'] == pytest.approx(0.2)
    assert infer(*words[:-2], model='boxes') == 0
    lines = capfd.readouterr().out.splitlines()
    assert '  1 cat appeared' in lines and '  2 dog in_zone all after 0.2 s' in lines
    assert lines[1].endswith(': 1 cat 0.90, 2 dog 0.50')


def test_regions_are_drawn(moving, capfd):
    def drawn(*words):
        assert infer('--source', str(moving), '--limit', '1', '--output', 'drawn', *words,
                     model='boxes') == 0
        return cv2.imread(str(next((moving.parent / 'drawn').iterdir())))

    plain = drawn('--track')
    for words, place in (
            (['--roi', '0.1', '0.8', '0.9', '0.95'], (38, 20)),
            (['--tiles', '2x2', '--tile-overlap', '0'], (12, 32)),
            (['--track', '--event-lines', 'a=0.9,0.3,0.9,0.9'], (24, 57)),
            (['--track', '--event-zones', 'a=0.9,0.3,0.9,0.9,0.6,0.5'], (24, 57))):
        changed = np.abs(drawn(*words).astype(int) - plain).max(axis=2)
        assert changed[place[0] - 1:place[0] + 2, place[1] - 1:place[1] + 2].max() > 60, words


def test_a_box_below_the_threshold_is_no_result_of_tracking(moving, capfd):
    assert infer('--source', str(moving), '--track', '--json', '--threshold', '0.8',
                 model='boxes') == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [len(row['results']) for row in rows] == [1] * 6


@pytest.mark.parametrize(('words', 'message'), [
    (['photos/0.png', '--track'], '--track follows objects through several images'),
    (['photos', '--event-lines', 'a=0,0,1,1'], '--event-lines and --event-zones are for objects'),
    (['photos', '--track', '--event-lines', 'a=0,0'], "event_lines has 'a=0,0' but each must be"),
    (['photos', '--track'], 'the task of colors is classification'),
])
def test_what_cannot_be_tracked_is_said(models, capfd, words, message):
    assert infer('--source', *words) == 2
    assert message in capfd.readouterr().err
