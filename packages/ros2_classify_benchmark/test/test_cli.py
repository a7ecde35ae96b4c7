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


"""The verb ``bench``: what its words mean, and what is said before anything is measured."""

from dataclasses import asdict, replace
import json
import os
import shlex
import signal
import sys

import pytest
from ros2_classify.cli import EXIT_NO_ROS, EXIT_USAGE, main
from ros2_classify_benchmark import cli as bench, modes, targets
from ros2_classify_benchmark.modes import Outcome
from ros2_classify_benchmark.settings import Plan, QUICK, Settings


@pytest.fixture
def asked(monkeypatch):
    """Have the modes do nothing but note what they were asked for."""
    calls = []

    def run(arguments, settings, plan, directory, say):
        assert directory.is_dir()
        calls.append((arguments, settings, plan))
        return Outcome('test', settings, {'latency_ratio': 1.0, 'more': [1]}, 'a table',
                       plan=Plan(repetitions=9), passed=not arguments.regression)

    monkeypatch.setattr(modes, 'run', run)
    monkeypatch.setattr(bench, 'find_spec', lambda name: object())
    return calls


def test_words_become_settings(asked, capsys):
    assert main(['bench', '--model', 'm', '--images', 'p.mp4', '--threads', '0', '--cameras',
                 '4', '--rate', '15', '--size', '1280x720', '--encoding', 'rgb8', '--transport',
                 'compressed', '-p', 'top_k:=3', '-p', 'x:=1', '--rounds', '7']) == 0
    _, settings, plan = asked[0]
    assert settings == Settings(
        model='m', source='p.mp4', threads=0, cameras=4, rate=15.0, width=1280, height=720,
        encoding='rgb8', transport='compressed', parameters=('top_k:=3', 'x:=1'))
    assert plan.repetitions == 7
    assert capsys.readouterr().out == 'a table\n'


def test_the_defaults_of_the_command_line_are_those_of_the_settings(asked):
    assert main(['bench', '--quick']) == 0
    assert asked[0][1:] == (Settings(), QUICK)


@pytest.mark.parametrize(('rounds', 'budget'), [(2, 34.0), (5, 34.0), (10, 68.0)])
def test_quick_runs_the_rounds_it_is_told(asked, rounds, budget):
    assert main(['bench', '--quick', '--rounds', str(rounds)]) == 0
    assert asked[0][2] == replace(QUICK, repetitions=rounds, budget=budget)


def test_the_command_is_noted_so_that_it_can_be_given_again(asked, monkeypatch, capsys):
    words = ['bench', '--json', '--against', 'node i:={image} r:={result}']
    monkeypatch.setattr(sys, 'argv', ['ros2_classify', *words])
    assert main(words) == 0
    command = json.loads(capsys.readouterr().out.splitlines()[-1])['command']
    assert shlex.split(command)[3:] == words


def test_json_is_the_last_line_and_the_file(asked, capsys, tmp_path):
    path = tmp_path / 'new' / 'result.json'
    assert main(['bench', '--json', '--output', str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'a table'
    document = json.loads(lines[-1])
    assert json.loads(path.read_text()) == document
    assert {'command', 'mode', 'date', 'seconds', 'machine', 'versions', 'settings', 'plan',
            'latency_ratio', 'more'} <= set(document)
    assert document['versions']['python'] == '.'.join(map(str, sys.version_info[:3]))
    assert document['machine']['cores'] > 0 and document['machine']['memory_mib'] > 0
    assert document['settings']['model'] == 'cards_detector'
    # What the mode has really done, not what was asked for.
    assert document['plan']['repetitions'] == 9


def test_a_worse_ratio_is_the_exit_code(asked):
    assert main(['bench', '--regression', 'record.json']) == 1


def test_an_interrupted_run_has_the_usual_exit_code(asked, monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(modes, 'run', interrupted)
    assert main(['bench']) == 130
    assert 'interrupted' in capsys.readouterr().err


@pytest.mark.parametrize('first', [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_break_off_the_tidying_up(asked, monkeypatch, first):
    tidied = []

    def interrupted(*args):
        try:
            os.kill(os.getpid(), first)
        finally:
            # As `scripts/bench` does when Ctrl-C has reached both.
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            tidied.append(True)

    monkeypatch.setattr(modes, 'run', interrupted)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main(['bench']) == 130
    assert tidied == [True]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize('words, said', [
    (['--size', '640'], "'640' is not a size"), (['--size', '0x480'], 'is not a size'),
    (['--rate', '0'], "'0' is not a number above 0"),
    (['--duration', 'x'], 'is not a number above 0'),
    (['--rate', 'inf'], "'inf' is not a number above 0"),
    (['--duration', '1'], "'1' is too short"),
    (['--cameras', '0'], "'0' is not a whole number of at least 1"),
    (['--threads', '-1'], "'-1' is not a whole number of at least 0"),
    (['--encoding', 'jpeg'], "'jpeg' is not allowed"),
    (['--quick', '--targets'], 'not allowed with')])
def test_wrong_words_are_said(words, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(['bench', *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_without_ros_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(bench, 'find_spec', lambda name: None)
    assert main(['bench', '--quick']) == EXIT_NO_ROS
    assert 'bench needs ROS 2' in capsys.readouterr().err


def test_a_document_without_marks_is_refused_before_anything_is_measured(
        asked, capsys, tmp_path):
    (tmp_path / 'page.md').write_text('no marks')
    assert main(['bench', '--targets', '--document', str(tmp_path / 'page.md')]) == 1
    assert 'has no lines <!-- targets: begin -->' in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize(('words', 'said'), [
    (['--duration', '9', '--against', 'plain'],
     '--against has no meaning for --duration; it is for the usual measurement'),
    (['--messages', '--model', 'yolox_nano'], '--model has no meaning for --messages'),
    (['--cameras', '2', '--plot', 'x.png'], '--plot has no meaning for --cameras'),
    (['--duration', '9', '--cameras', '2'], '--cameras has no meaning for --duration'),
    (['--regression', 'f.json', '--size', '64x48'], '--size has no meaning for --regression'),
    (['--regression', 'f.json', '-p', 'top_k:=1'], '-p has no meaning for --regression'),
    (['--targets', '--transport', 'compressed'], '--transport has no meaning for --targets'),
    (['--quick', '--document', 'page.md'],
     '--document has no meaning for the usual measurement; it is for --targets'),
    (['--endurance', '9'],
     '--endurance has no meaning for the usual measurement; it is for --targets')])
def test_what_a_mode_has_no_use_for_is_refused(words, said, asked, capsys):
    assert main(['bench', *words]) == EXIT_USAGE
    assert said in capsys.readouterr().err
    assert asked == []


def test_every_mode_takes_what_it_has_a_use_for(asked, tmp_path):
    for words in (['--cameras', '2', '--rate', '5', '--quick'],
                  ['--duration', '9', '--encoding', 'mono8', '--json'],
                  ['--regression', 'f.json', '--rounds', '3'], ['--targets', '--endurance', '9'],
                  ['--messages', '--output', str(tmp_path / 'x.json')],
                  ['--against', 'plain', '--rounds', '2', '--keep', str(tmp_path)]):
        assert main(['bench', *words]) in (0, 1)
    assert len(asked) == 6


@pytest.mark.parametrize(('option', 'place', 'said'), [
    ('--output', '', 'it is a directory; name a file'),
    ('--output', 'file/x.json', 'cannot be written'),
    ('--plot', '', 'has no ending that Matplotlib draws'),
    ('--plot', 'x.txt.zip', 'has no ending that Matplotlib draws; name it .png'),
    ('--plot', 'file/x.png', 'cannot be written'),
    ('--keep', 'file', 'cannot be made')])
def test_what_cannot_be_written_is_said_before_anything_is_measured(
        option, place, said, asked, capsys, tmp_path):
    pytest.importorskip('matplotlib')
    (tmp_path / 'file').write_text('')
    assert main(['bench', option, str(tmp_path / place)]) in (1, 2)
    assert said in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize(('words', 'measured_with'), [
    ([], Plan(repetitions=4)),
    (['--regression', 'record.json'], Plan(repetitions=4, search=False)),
    (['--targets'], targets.plan_of(Plan(repetitions=4))),
    (['--cameras', '2'], Plan(repetitions=4)), (['--duration', '9'], None),
    (['--messages'], None)])
def test_the_plan_of_the_json_is_the_one_that_was_measured_with(
        words, measured_with, monkeypatch, capsys):
    used = []

    def note(result):
        def measure(*given):
            used.extend(each for each in given if isinstance(each, Plan))
            return result
        return measure

    monkeypatch.setattr(bench, 'find_spec', lambda name: object())
    monkeypatch.setattr(modes.measure, 'measure', note({}))
    monkeypatch.setattr(modes.measure, 'report', lambda found: {})
    monkeypatch.setattr(modes.cameras, 'many_cameras', note({}))
    monkeypatch.setattr(modes.targets, 'measure_all', note(([], {})))
    monkeypatch.setattr(modes.endurance, 'run_test', note({}))
    monkeypatch.setattr(modes, 'messages', note({'results': {}}))
    for module in (modes.report, modes.cameras, modes.endurance):
        monkeypatch.setattr(module, 'table', lambda result: '')
    monkeypatch.setattr(modes.regression, 'read', lambda path: {})
    monkeypatch.setattr(modes.regression, 'settings_of', lambda recorded: Settings())
    monkeypatch.setattr(modes.regression, 'ratios', lambda recorded: {})
    rounds = ['--rounds', '4'] if measured_with else []
    assert main(['bench', '--json', *rounds, *words]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])['plan']
    assert plan == (asdict(measured_with) if measured_with else None)
    assert used == ([measured_with] if measured_with else [])


def test_messages_are_shown_as_a_table(monkeypatch, capsys):
    monkeypatch.setattr(bench, 'find_spec', lambda name: object())
    monkeypatch.setattr(modes, 'messages', lambda say: {
        'results': {'detections_100': {'object': 3.161, 'bytes': 0.087}}})
    assert main(['bench', '--messages']) == 0
    assert '| detections, 100        | 3.16       | 0.087    |' in capsys.readouterr().out


@pytest.mark.parametrize(('old', 'new', 'value', 'dest'), [
    ('--pictures', '--images', 'a.png', 'images'),  # words: old
    ('--turns', '--rounds', '3', 'rounds'),
    ('--pictures-topic', '--image-topic', '/a', 'image_topic'),  # words: old
    ('--guard', '--regression', 'f.json', 'regression'),
    ('--soak', '--endurance', '9', 'endurance')])  # words: old
def test_old_option_names_work_with_a_warning(capsys, old, new, value, dest):
    from ros2_classify import cli as core

    found = vars(core._parser().parse_args(['bench', old, value]))
    assert found[dest] == vars(core._parser().parse_args(['bench', new, value]))[dest]
    assert capsys.readouterr().err == (
        f'warning: {old} is now {new}; the old name goes with the next release\n')
