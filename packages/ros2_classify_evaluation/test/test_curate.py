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


"""Choosing images: duplicates, distance, doubt, rare classes; and what is written."""

import json
import shutil
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from ros2_classify import Classification, cli, Detections, InputError, Timing
from ros2_classify.keeping import doubt, perceptual_hash
from ros2_classify_evaluation.curate import run as curating
from ros2_classify_evaluation.curate.choose import choose, distances, Seen, without_duplicates
from ros2_classify_evaluation.curate.run import disagreement
from ros2_classify_evaluation.datasets import open_dataset

TIMING = Timing(0.0, 0.0, 0.0)


def test_the_hash_of_a_small_or_brighter_image_is_nearly_the_same(samples):
    image = samples[0].image
    small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    brighter = cv2.convertScaleAbs(image, alpha=1.1, beta=5)
    others = np.array([perceptual_hash(small), perceptual_hash(brighter),
                       perceptual_hash(samples[1].image)], np.uint64)
    near, bright, far = distances(perceptual_hash(image), others)
    assert near <= 2 and bright <= 4 and far > 16


def test_distances_are_those_of_the_bits():
    assert distances(0b1011, np.array([0b1011, 0b0010, 2**63], np.uint64)).tolist() == [0, 2, 4]


def test_near_duplicates_go_and_those_of_known_images_too():
    hashes = np.array([0, 1, 0xFF, 0xFF00], np.uint64)
    assert without_duplicates(hashes, 1) == [0, 2, 3]
    assert without_duplicates(hashes, 1, np.array([0xFF01], np.uint64)) == [0, 2]


def seen(features, doubts=None, classes=()):
    features = np.array(features, np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    count = len(features)
    # Far from each other.
    hashes = np.random.default_rng(0).integers(0, 2**63, count).astype(np.uint64)
    return Seen(hashes, features, np.array(doubts if doubts is not None else np.ones(count)),
                list(classes))


def test_farthest_first():
    found = seen([[1, 0], [1, 0.01], [0, 1], [-1, 0]])
    rows = choose(found, 3, by='diverse', seed=1)
    assert len({0, 1} & set(rows)) == 1 and {2, 3} <= set(rows)


def test_the_same_seed_gives_the_same_choice():
    random = np.random.default_rng(3)
    found = seen(random.normal(size=(60, 8)), random.random(60))
    assert choose(found, 20, seed=4) == choose(found, 20, seed=4)


def test_the_unsure_come_first():
    assert choose(seen(np.eye(4), [0.1, 0.9, 0.5, 0.7]), 2, by='uncertain') == [1, 3]


def test_known_images_are_not_chosen_again():
    found = seen([[1, 0], [0, 1]])
    assert choose(found, 1, by='diverse', known=Seen(
        np.array([7], np.uint64), found.features[:1], np.zeros(1))) == [1]


def test_rare_classes_come_first():
    found = seen(np.eye(5), classes=[('car',), ('car',), ('car',), ('dog',), ()])
    assert set(choose(found, 2, by='uncertain', balance=True)) & {3}


def detections(*rows):
    boxes = np.array([row[2:] for row in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.zeros(len(rows), int), np.array([row[1] for row in rows]),
                      np.array([row[0] for row in rows], object), (100, 100), TIMING)


def test_doubt_is_the_margin():
    def classes(*scores):
        count = len(scores)
        return Classification(np.arange(count), np.array(scores), np.array(
            [str(each) for each in range(count)], object), (4, 4), TIMING)
    assert doubt(classes(0.9, 0.05)) == pytest.approx(0.15)
    assert doubt(classes(0.5, 0.49)) == pytest.approx(0.99)
    assert doubt(detections(('a', 0.95, 0, 0, 9, 9), ('a', 0.6, 0, 0, 9, 9))) == pytest.approx(0.8)
    assert doubt(detections()) == 0.0


def test_disagreement_is_what_does_not_match():
    one = detections(('a', 0.9, 0, 0, 10, 10), ('b', 0.8, 50, 50, 60, 60))
    two = detections(('a', 0.9, 0, 0, 10, 11), ('c', 0.8, 50, 50, 60, 60))
    assert disagreement(one, one, 0.5) == 0.0
    assert disagreement(one, two, 0.5) == pytest.approx(0.5)
    assert disagreement(one, detections(), 0.5) == 1.0


@pytest.fixture
def recording(tmp_path, samples):
    """Return a directory of images, each three times in a row."""
    directory = tmp_path / 'drive'
    directory.mkdir()
    for number, sample in enumerate(samples[:8]):
        for again in range(3):
            image = cv2.convertScaleAbs(sample.image[..., ::-1], alpha=1 + 0.01 * again)
            cv2.imwrite(str(directory / f'{number:02d}_{again}.png'), image)
    return directory


def run(capsys, *words):
    code = cli.main(['curate', 'cards_detector', *map(str, words)])
    return code, *capsys.readouterr()


def test_a_second_run_adds_only_what_is_new(capsys, recording, tmp_path):
    out = tmp_path / 'out'
    code, text, err = run(capsys, recording, '-o', out, '-n', 5)
    assert (code, err) == (0, '')
    assert text.startswith('24 images, 8 different, 5 added')
    first = {path.name: path.read_bytes() for path in (out / 'images').iterdir()}
    assert len(first) == 5
    assert run(capsys, recording, '-o', out, '-n', 5)[1].startswith('24 images, 8 different, 3 ad')
    assert run(capsys, recording, '-o', out, '-n', 5)[1].startswith('24 images, 8 different, 0 ad')
    later = {path.name: path.read_bytes() for path in (out / 'images').iterdir()}
    assert len(later) == 8 and first.items() <= later.items()
    page = (out / 'index.html').read_text()
    assert page.count('<img') == 8 and 'http' not in page


def test_datumaro_reads_as_many_images_and_boxes(recording, tmp_path):
    """COCO and VOC in the directories that it expects, the others as they are."""
    datumaro = pytest.importorskip(
        'datumaro.components.dataset', reason='reads the labels back with datumaro')
    out = tmp_path / 'out'
    curating.curate('cards_detector', [str(recording)], out, curating.Plan(
        count=5, formats=('coco', 'yolo', 'voc', 'cvat')))
    mine = json.loads((out / 'instances.json').read_text())
    names = [each['name'] for each in mine['categories']]
    coco, voc = tmp_path / 'coco', tmp_path / 'voc'
    shutil.copytree(out / 'images', coco / 'images/default')
    (coco / 'annotations').mkdir()
    shutil.copy(out / 'instances.json', coco / 'annotations/instances_default.json')
    shutil.copytree(out / 'images', voc / 'JPEGImages')
    shutil.copytree(out / 'Annotations', voc / 'Annotations')
    (voc / 'ImageSets/Main').mkdir(parents=True)
    (voc / 'ImageSets/Main/default.txt').write_text(''.join(
        f'{path.stem}\n' for path in (out / 'images').iterdir()))
    (voc / 'labelmap.txt').write_text(''.join(f'{name}:::\n' for name in names))
    for kind, place in (('coco_instances', coco), ('voc_detection', voc), ('yolo', out),
                        ('cvat', out / 'annotations.xml')):
        items = list(datumaro.Dataset.import_from(str(place), kind))
        boxes = [each for item in items for each in item.annotations if each.type.name == 'bbox']
        assert (len(items), len(boxes)) == (5, len(mine['annotations'])), kind


def test_labels_are_marked_as_those_of_a_model(capsys, recording, tmp_path):
    out = tmp_path / 'out'
    assert run(capsys, recording, '-o', out, '--to', 'coco,yolo,voc,cvat,label-studio')[0] == 0
    coco = json.loads((out / 'instances.json').read_text())
    boxes = len(coco['annotations'])
    assert boxes and all(each['prelabel'] and each['score'] >= 0.3
                         for each in coco['annotations'])
    assert coco['info']['model'] == 'cards_detector' and len(coco['info']['sha256']) == 64
    cvat = ElementTree.parse(out / 'annotations.xml').getroot()
    assert [box.get('source') for box in cvat.iter('box')] == ['auto'] * boxes
    tasks = json.loads((out / 'tasks.json').read_text())
    assert sum(len(each['predictions'][0]['result']) for each in tasks) == boxes
    for kind, place in (('coco', out / 'instances.json'), ('yolo', out / 'data.yaml')):
        found = open_dataset(str(place), kind)
        assert sum(len(sample.truth) for sample in found.samples) == boxes
    assert len(list((out / 'Annotations').iterdir())) == len(coco['images'])


def test_the_same_seed_writes_the_same_directory(capsys, recording, tmp_path):
    for name in 'ab':
        run(capsys, recording, '-o', tmp_path / name, '-n', 4, '--seed', 3)
    assert (tmp_path / 'a' / 'curated.json').read_bytes() == (
        tmp_path / 'b' / 'curated.json').read_bytes()


def test_another_model_tells_where_it_differs(capsys, recording, tmp_path):
    out = tmp_path / 'out'
    code, _, _ = run(capsys, recording, '-o', out, '-n', 2, '--by', 'disagree=cards_detector')
    assert code == 0
    record = json.loads((out / 'curated.json').read_text())
    assert [each['doubt'] for each in record['images']] == [0.0, 0.0]


@pytest.mark.parametrize('words, text', [
    (['--by', 'chance'], "--by is 'chance' but must be uncertain, diverse, both or disagree"),
    (['--to', 'pdf'], "--to is 'pdf'"),
    (['-n', '0'], '--count is 0 but must be 1 to'),
    (['--prelabel', '2'], '--prelabel is 2'),
])
def test_wrong_words_are_refused(capsys, recording, tmp_path, words, text):
    code, _, err = run(capsys, recording, '-o', tmp_path / 'out', *words)
    assert code == 2 and text in err


def test_other_directories_are_left_alone(capsys, recording, tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('mine')
    code, _, err = run(capsys, recording, '-o', tmp_path / 'mine')
    assert code == 2 and 'is not empty and not of an earlier run' in err


def test_a_directory_of_another_model_is_refused(capsys, recording, tmp_path):
    run(capsys, recording, '-o', tmp_path / 'out', '-n', 2)
    code = cli.main(['curate', 'cards_classifier', str(recording), '-o', str(tmp_path / 'out')])
    assert code == 2 and 'was made with another model' in capsys.readouterr().err


def test_a_live_source_cannot_be_read_twice(monkeypatch):
    class Live:
        name, live = 'webcam 0', True

        def close(self):
            pass
    monkeypatch.setattr(curating, 'open_source', lambda *_, **__: Live())
    with pytest.raises(InputError, match='is live and cannot be read twice'):
        next(curating.frames_of(['0']))
