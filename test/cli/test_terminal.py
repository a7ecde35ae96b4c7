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

"""Colours on terminals only, and tables."""

import io

import pytest
from ros2_classify.cli import main, paint, say, show, show_table
from ros2_classify.cli.terminal import has_colour


class Terminal(io.StringIO):
    """A stream that a user looks at."""

    def isatty(self):
        """Return True."""
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ('NO_COLOR', 'FORCE_COLOR'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('TERM', 'xterm')


@pytest.mark.parametrize('variables, on_terminal, elsewhere', [
    ({}, True, False), ({'NO_COLOR': '1'}, False, False), ({'NO_COLOR': ''}, True, False),
    ({'FORCE_COLOR': '1'}, True, True), ({'FORCE_COLOR': '0'}, True, False),
    ({'FORCE_COLOR': '1', 'NO_COLOR': '1'}, False, False), ({'TERM': 'dumb'}, False, False)])
def test_who_gets_colours(monkeypatch, variables, on_terminal, elsewhere):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_colour(Terminal()) == on_terminal
    assert has_colour(io.StringIO()) == elsewhere
    assert has_colour(None) == elsewhere


@pytest.mark.parametrize('kind, code', [('error', '1;31'), ('warning', '33'), ('hint', '36')])
def test_the_kind_of_a_message_is_coloured(monkeypatch, kind, code):
    stream = Terminal()
    monkeypatch.setattr('sys.stderr', stream)
    say(kind, 'what it is')
    assert stream.getvalue() == f'\x1b[{code}m{kind}:\x1b[0m what it is\n'


def test_no_escape_sequence_gets_into_files_and_pipes(capsys):
    say('error', 'text')
    show('warning  x', style='warning')
    assert capsys.readouterr() == ('warning  x\n', 'error: text\n')
    assert paint('x', 'unknown', Terminal()) == 'x'


def test_a_message_without_a_kind_has_no_colour(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr('sys.stderr', stream)
    say('', 'downloading')
    assert stream.getvalue() == 'downloading\n'


def test_columns_are_aligned_and_numbers_go_right(capsys):
    show_table([('name', 'size', 'why'), ('a', '10 MB', 'x'), ('long', '9 MB', 'a long text')])
    assert capsys.readouterr().out == (
        'name  size   why\na     10 MB  x\nlong   9 MB  a long text\n')


def test_the_list_of_models_has_colours_only_where_they_are_wanted(monkeypatch, capsys):
    assert main(['models', 'list']) == 0
    plain = capsys.readouterr().out
    assert '\x1b' not in plain
    monkeypatch.setenv('FORCE_COLOR', '1')
    assert main(['models', 'list']) == 0
    coloured = capsys.readouterr().out
    assert coloured.startswith('\x1b[1mmodel')
    assert coloured.replace('\x1b[1m', '').replace('\x1b[0m', '') == plain
