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

"""What is noted of the machine and the versions."""

import subprocess

from ros2_classify_benchmark import system as machine


def git(directory, *words):
    return subprocess.run(
        ['git', '-c', 'user.name=n', '-c', 'user.email=e@example.com', '-C', str(directory),
         *words],
        check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_and_whether_files_differ_from_it(tmp_path):
    git(tmp_path, 'init', '--quiet')
    (tmp_path / 'a.py').write_text('a')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '--quiet', '-m', 'first')
    git(tmp_path, 'tag', 'v1')
    head = git(tmp_path, 'rev-parse', 'HEAD')
    assert machine.commit(tmp_path) == head
    (tmp_path / 'a.py').write_text('b')
    assert machine.commit(tmp_path) == f'{head}-dirty'
    (tmp_path / 'site-packages').mkdir()
    (tmp_path / 'site-packages' / 'b.py').write_text('b')
    assert machine.commit(tmp_path / 'site-packages') == ''


def test_no_repository_and_no_git_are_no_failure(tmp_path, monkeypatch):
    assert machine.commit(tmp_path) == ''
    monkeypatch.setenv('PATH', str(tmp_path))
    assert machine.commit() == ''
    assert machine.versions()['commit'] == ''


def test_engines_that_are_installed_are_noted(monkeypatch):
    installed = {'onnxruntime-gpu': '1.2', 'onnxruntime-openvino': '3.4'}

    def version(name):
        if name in installed:
            return installed[name]
        raise machine.PackageNotFoundError(name)

    monkeypatch.setattr(machine, 'version', version)
    for tensorrt in ('10.9', 'unknown'):
        monkeypatch.setattr(machine, 'tensorrt_version', lambda tensorrt=tensorrt: tensorrt)
        found = machine.versions()
        assert installed.items() <= found.items()
        assert found.get('tensorrt', 'unknown') == tensorrt
    assert 'onnxruntime' not in found
