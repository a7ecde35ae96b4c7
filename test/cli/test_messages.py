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

"""Messages on standard error, and the old names of options and keys."""

import argparse
import logging
import os
import sys

import pytest
from ros2_classify.cli import add_old_name, main, Parser, say, show, show_log, with_old_keys

LONG = 'a: no such file; ' + 'words ' * 30 + '/a/path-that/is-not/broken'


def test_messages_wrap_at_the_width_of_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    monkeypatch.setenv('NO_COLOR', '1')
    monkeypatch.setattr('shutil.get_terminal_size', lambda: os.terminal_size((60, 20)))
    say('error', LONG)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith('error: a: no such file;')
    assert all(line.startswith('  ') for line in lines[1:])
    assert lines[-1].endswith('/a/path-that/is-not/broken')


def test_messages_are_one_line_without_a_terminal(capsys):
    say('warning', LONG)
    assert capsys.readouterr().err == f'warning: {LONG}\n'


def test_errors_of_the_parser_look_like_others(capsys):
    with pytest.raises(SystemExit) as caught:
        Parser(prog='p').parse_args(['--nonsense'])
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        'error: there is no option --nonsense; p --help lists all')


def test_an_old_option_works_with_one_warning(capsys):
    parser = argparse.ArgumentParser(prog='p')
    parser.add_argument('--new')
    add_old_name(parser, '--old', '--new', 'new')
    assert parser.parse_args(['--old', 'x']).new == 'x'
    assert capsys.readouterr().err.count('warning: --old is now --new') == 1
    assert '--old' not in parser.format_help()
    assert vars(parser.parse_args([])) == {'new': None}


def test_renamed_keys_have_their_old_names_too():
    assert with_old_keys({'model_file': 'a', 'state': 'here'}) == {
        'model_file': 'a', 'network': 'a', 'state': 'here'}  # words: old


def test_the_log_shows_its_level(capsys):
    log = logging.getLogger('ros2_classify')
    before = log.level, log.handlers[:]
    try:
        show_log()
        log.info('downloading')
        log.warning('damaged')
        log.error('lost')
        assert capsys.readouterr().err.splitlines() == [
            'downloading', 'warning: damaged', 'error: lost']
    finally:
        log.level, log.handlers[:] = before


def test_nothing_controls_the_terminal(capsys, tmp_path, monkeypatch):
    """Labels, licences, operators and replies of servers are printed by these two only."""
    say('error', 'the server replied 404 \x1b]52;c;cm0=\x07Not Found')
    show('label \x9b2J\u202e\nsecond line')
    out, err = capsys.readouterr()
    assert err == 'error: the server replied 404 \\x1b]52;c;cm0=\\x07Not Found\n'
    assert out == 'label \\x9b2J\\u202e\nsecond line\n'
    say('error', 'x' * 1_000_000)
    assert len(capsys.readouterr().err) < 8200


def test_a_license_with_escapes(capsys, tmp_path, monkeypatch):
    (tmp_path / 'evil.yaml').write_text(
        'source: {path: m.onnx}\nlicense: "MIT \\e[2J"\nlabels: ["\\e[31mcat", dog]\n')
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    assert main(['models', 'list']) == 0
    assert main(['models', 'show', 'evil']) == 0
    out = capsys.readouterr().out
    assert '\x1b' not in out and r'MIT \x1b[2J' in out
