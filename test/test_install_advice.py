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

"""What messages and pages tell to install can be installed: from an index, or from a checkout."""

import re

from ros2_classify.errors import REQUIREMENTS
from shared_data import ROOT

SETUPS = ['setup.py', *sorted(
    str(path.relative_to(ROOT)) for path in ROOT.glob('packages/*/setup.py'))]
# Of no extra: tools of a reader, model servers, and what only an NVIDIA GPU needs.
MORE = {'jupyterlab', 'tensorrt', 'rosbags', 'onnxruntime-gpu', 'uv',
        'kserve', 'mlserver', 'nvidia-pytriton'}
PLACES = [path for pattern in (
    'ros2_classify/**/*.py', 'packages/*/ros2_classify_*/**/*.py', 'docs/**/*.md', '*.md',
    'examples/*.md', 'training/*.md', 'docker/*.md') for path in sorted(ROOT.glob(pattern))]


def bare(requirement):
    """Return the name in a requirement, in the form that indexes compare."""
    return re.match(r'[A-Za-z0-9_.-]*', requirement)[0].lower().replace('_', '-')


def known():
    """Return the names of all that the extras have."""
    found = set(MORE)
    for name in SETUPS:
        text = (ROOT / name).read_text()
        listed = text[text.index('install_requires'):text.index('zip_safe')]
        found |= {bare(each) for each in re.findall(r"'([A-Za-z][\w.-]*(?:\[.*?\])?[<>=].*?)'",
                                                    listed)}
        found |= {bare(each) for each in re.findall(r"\['([\w-]+)', '", listed)}
    # On no index yet.
    return found - {'ros2-classify'}


def advice(path):
    """Return what is to be installed by each `pip install` of a file."""
    text = path.read_text()
    # One text of a program is written in several literals.
    text = re.sub(r"'\s*\n\s*f?r?'", '', text) if path.suffix == '.py' else text
    for found in re.findall(r'pip install ((?:--?[\w-]+ )*)("[^"\n]*"|[^\s"`),;:\']+)', text):
        # Without a name: a directory for what another line names.
        if found[1] not in ('--target', 'DIRECTORY', 'wheels'):
            yield found[1].strip('"')


def test_what_is_to_be_installed_is_on_an_index_or_in_the_checkout():
    names = known()
    assert {'onnxruntime', 'onnxruntime-openvino', 'pyyaml', 'ray', 'tensorflow-cpu'} <= names
    # A path in the checkout or in the reader's files, or what a program fills in.
    wrong = {(path.name, word) for path in PLACES for word in advice(path)
             if '/' not in word and not word.startswith(('{', '$')) and bare(word) not in names}
    # The page says that this one finds nothing.
    assert wrong == {('installation.md', 'ros2_classify')}


def test_advice_is_found_and_no_extra_of_this_package_is_taken_from_an_index():
    found = [word for path in PLACES for word in advice(path)]
    assert len(found) > 30
    assert {'onnxruntime', 'onnx', 'rosbags'} <= set(found)
    assert '/path/to/ros2_classify[cpu]' in found


def test_modules_have_the_requirements_of_the_extra():
    text = (ROOT / 'setup.py').read_text()
    for requirement in REQUIREMENTS.values():
        name = bare(requirement.strip('"'))
        assert re.search(rf"'{name}[<>=]", text, re.IGNORECASE), name
        assert '<5' not in requirement or f"'{name}>=4.5,<5'" in text
