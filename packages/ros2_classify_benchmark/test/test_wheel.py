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

"""The package builds with pip, and its wheel has the verb and all its modules."""

from pathlib import Path
import shutil
import subprocess
import sys
import zipfile

PACKAGE = Path(__file__).resolve().parents[1]


def test_the_wheel_has_the_verb_and_all_modules(tmp_path):
    source = shutil.copytree(
        PACKAGE, tmp_path / 'source', ignore=shutil.ignore_patterns('test', '__pycache__'))
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
         '--wheel-dir', str(tmp_path), str(source)], check=True, timeout=300)
    wheel, = tmp_path.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        points = next(name for name in names if name.endswith('entry_points.txt'))
        assert 'bench = ros2_classify_benchmark.cli' in archive.read(points).decode()
    modules = {path.relative_to(source).as_posix()
               for path in source.glob('ros2_classify_benchmark/**/*.py')}
    assert modules <= set(names)
