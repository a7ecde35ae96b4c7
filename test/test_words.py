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

"""Words of test/words.txt don't come back, anywhere in the repository."""

import words

LIST = words.Words("""
# A comment.
pictures? -> image
serves on -> keeps serving
networks? -> model
+ (no|local) network
(?-i:Findings?) -> Issue
- *.json
""")


def found(text):
    return [(line, word) for line, word, _ in LIST.find(text)]


def test_words_are_found_in_names_and_sentences():
    assert found('a Picture\nmax_pictures PictureSource PICTURE pictures2') == [
        (1, 'Picture'), (2, 'pictures'), (2, 'Picture'), (2, 'PICTURE')]
    assert found('depicture') == []
    assert list(LIST.find('pictures')) == [(1, 'pictures', 'image')]


def test_phrases_are_found_across_lines_of_comments_and_strings():
    assert [line for line, _ in found('# it serves\n    # on')] == [1]
    assert [line for line, _ in found("'it serves '\n    'on'")] == [1]
    assert found('servesOn')[0][0] == 1


def test_exceptions_are_skipped():
    assert found('no network, no_network, local network') == []
    assert found('no network; the network; finding; a Finding') == [
        (1, 'network'), (1, 'Finding')]
    assert found(f"'max_pictures': 'max_images',  # {words.MARK} name") == []
    assert LIST.ignores('docs/a.json') and not LIST.ignores('docs/a.md')


def test_names_of_files_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(words, 'ROOT', tmp_path)
    (tmp_path / 'picture.py').write_text('network\n')
    (tmp_path / 'binary').write_bytes(b'\xff picture')
    assert words.problems(['picture.py', 'binary'], LIST) == [
        'picture.py: the name: picture -> image', 'picture.py:1: network -> model']


def test_old_words_do_not_come_back():
    problems = words.problems(words.files())
    assert not problems, '\n' + '\n'.join(problems)
