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


"""The verb: reports, comparisons and exit codes, on the shipped models."""

import csv
import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from ros2_classify import Pipeline
from ros2_classify.model.catalog import resolve
from ros2_classify_evaluation.datasets import open_dataset
from ros2_classify_evaluation.metrics.detection import confusion, operating
from ros2_classify_evaluation.page import to_html
from ros2_classify_evaluation.predict import predict
from ros2_classify_evaluation.report import make_report
import yaml


@pytest.fixture(scope='session')
def report(sets):
    dataset = open_dataset(str(sets['coco']))
    with Pipeline.load('cards_detector') as pipeline:
        return make_report(predict(pipeline, dataset), dataset)


def test_the_same_set_in_five_formats_gives_the_same_numbers(evaluate, sets):
    found = []
    for path in sets.values():
        code, out, _ = evaluate('cards_detector', path, '--json', '-')
        data = json.loads(out)
        assert code == 0
        for key in ('source', 'format', 'classes'):
            data['dataset'].pop(key)
        # The order of the classes is that of the dataset.
        data['per_class'].sort(key=lambda row: row['class'])
        for key in ('latency_ms', 'confusion', 'warnings', 'curves'):
            data.pop(key)
        found.append(data)
    assert found[0]['measures']['map']['value'] > 0.6
    assert all(each == found[0] for each in found)


def test_the_text_has_the_measures_and_the_classes(evaluate, sets):
    code, out, _ = evaluate('cards_detector', sets['coco'])
    assert code == 0
    assert out.startswith('cards_detector (detection) on ')
    assert '\nmap50 ' in out and '\nspeed_60 ' in out


def test_tables_for_other_programs(evaluate, sets, tmp_path):
    evaluate('cards_detector', sets['coco'], '--csv', tmp_path / 'a.csv',
             '--latex', tmp_path / 'a.tex')
    rows = list(csv.DictReader(io.StringIO((tmp_path / 'a.csv').read_text().split('\n\n')[0])))
    assert {'class', 'objects', 'ap', 'ap50'} <= set(rows[0]) and len(rows) == 12
    latex = (tmp_path / 'a.tex').read_text()
    assert r'speed\_30' in latex and latex.count(r'\\') == 14


def test_a_dominant_class_is_said(evaluate, crops, tmp_path):
    for name, most in (('stop', 19), ('go', 1)):
        images = sorted((crops / name).iterdir())
        (tmp_path / name).mkdir()
        for number in range(most):
            shutil.copy(images[number % len(images)], tmp_path / name / f'{name}{number}.png')
    code, out, err = evaluate('cards_classifier', tmp_path)
    assert code == 0
    assert 'accuracy deceives: 95.0% of the images are stop' in err
    assert 'balanced_accuracy' in out and 'always_largest_accuracy  ' in out.replace('    ', '  ')


def test_several_labels_need_a_threshold(evaluate, crops):
    rows = [f'{path.relative_to(crops)},{path.parent.name}' for path in sorted(
        crops.glob('*/*.png'))[:12]]
    table = crops / 'several.csv'
    table.write_text('\n'.join(['image,labels', *rows]) + '\n')
    try:
        code, _, err = evaluate('cards_classifier', table, '--threshold', '0')
        assert code == 0 and 'every label counts as said: give --threshold' in err
        code, out, err = evaluate('cards_classifier', table, '--threshold', '0.5', '--json', '-')
        assert code == 0 and 'give --threshold' not in err
        assert json.loads(out)['measures']['subset_accuracy']['value'] > 0.8
    finally:
        table.unlink()


@pytest.fixture
def wrong_colours(tmp_path):
    """Return a variant of the detector that gets its colours in the wrong order."""
    descriptor = resolve('cards_detector')
    file = descriptor.directory / 'cards_detector.yaml'
    data = yaml.safe_load(file.read_text())
    data['source']['path'] = str(descriptor.directory / data['source']['path'])
    data['input']['color'] = 'bgr'
    path = tmp_path / 'wrong.yaml'
    path.write_text(yaml.safe_dump(data))
    return path


def test_a_worse_variant_is_found(evaluate, sets, wrong_colours):
    code, out, err = evaluate('cards_detector', sets['coco'], '--against', wrong_colours,
                              '--max-drop', '0.01', '--json', '-')
    assert code == 1 and 'map falls by 0.' in err
    drop = json.loads(out)['against']['differences']['map']
    assert drop['high'] < 0


def test_the_same_model_does_not_differ(evaluate, sets):
    code, out, _ = evaluate('cards_detector', sets['coco'], '--provider', 'cpu',
                            '--provider', 'cpu', '--max-drop', '0')
    assert code == 0 and 'map: +0.0000 (+0.0000 to +0.0000, may be chance)' in out


@pytest.mark.parametrize('words, code, text', [
    (['--fail-under', 'map=0.999'], 1, 'map is 0.'),
    (['--fail-under', 'map=0.3'], 0, ''),
    (['--fail-under', 'recall=1'], 2, 'the measures are map, map50'),
    (['--fail-under', 'map'], 2, 'must be MEASURE=VALUE'),
    (['--max-drop', '0.1'], 2, 'needs something to compare with'),
    (['--map', 'stop'], 2, 'must be NAME=NAME'),
    (['--map', 'halt=stop'], 2, "names 'halt', which is no class of the dataset"),
    (['--map', 'stop=halt'], 2, "--map 'stop="),
    (['--html', '/gone/a.html'], 2, 'its directory does not exist'),
])
def test_exit_codes_and_sentences(evaluate, sets, words, code, text):
    found, _, err = evaluate('cards_detector', sets['csv'], *words)
    assert found == code and text in err


def test_a_dataset_of_another_task_is_refused(evaluate, crops):
    code, _, err = evaluate('cards_detector', crops)
    assert code == 2 and 'has labels for classification, but the task' in err


def test_a_dropped_class_counts_nowhere(evaluate, sets, report):
    _, out, _ = evaluate('cards_detector', sets['coco'], '--map', 'stop=', '--json', '-')
    data = json.loads(out)
    assert 'stop' not in data['dataset']['classes']
    mine = {row['class']: row['ap'] for row in report.to_dict()['per_class']}
    assert {row['class']: row['ap'] for row in data['per_class']} == {
        name: value for name, value in mine.items() if name != 'stop'}


def chromium():
    return shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which(
        'google-chrome')


@pytest.mark.skipif(chromium() is None, reason='no Chromium to show the page in')
def test_the_slider_of_the_page_counts_again(report, tmp_path):
    """A real browser moves the slider; the confusion is that of the same threshold here."""
    html = to_html(report)
    moved = ("<script>const slider = document.getElementById('threshold');slider.value = 0.9;"
             "slider.dispatchEvent(new Event('input'));</script>")
    path = tmp_path / 'page.html'
    path.write_text(html.replace('</html>', f'{moved}</html>'))
    dom = subprocess.run(
        [chromium(), '--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={tmp_path}',
         '--dump-dom', path.as_uri()], capture_output=True, text=True, timeout=120).stdout
    found = report.predictions
    table = confusion(operating(found.objects, found.boxes), found.objects, 0.9, 12)
    body = dom.partition('<table id="confusion">')[2].partition('</table>')[0]
    rows = [[cell.partition('>')[2].partition('<')[0] for cell in row.split('<td')[1:]]
            for row in body.split('<tr>')[2:]]
    shown = np.array([[int(cell or 0) for cell in row] for row in rows])
    assert shown.tolist() == table.tolist()
    assert '>0.900<' in dom
    # Nothing is fetched from elsewhere.
    assert 'http://' not in html and 'https://' not in html and ' src="data:image/jpeg' in html


def test_names_in_the_page_are_text(report):
    report.warnings.append('<script>alert(1)</script>')
    try:
        assert '<script>alert' not in to_html(report)
    finally:
        report.warnings.pop()
