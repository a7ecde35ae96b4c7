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

"""Settings of Sphinx and of rosdoc2 for the pages in this directory."""

from importlib.util import find_spec
from pathlib import Path
import xml.etree.ElementTree as ElementTree

_MANIFEST = Path(__file__).resolve().parent.parent / 'package.xml'

project = 'ros2_classify'
author = 'the ros2_classify authors'
copyright = '2026, the ros2_classify authors'  # noqa: A001 - the name that Sphinx reads
# rosdoc2 copies this directory elsewhere, and sets the version by itself there.
if _MANIFEST.is_file():
    version = release = ElementTree.parse(_MANIFEST).getroot().findtext('version')

# Docstrings are in numpydoc's form; they are read where rosdoc2 makes pages of the API.
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
source_suffix = {'.md': 'markdown'}
root_doc = 'index'
# Links to headings, as GitHub names them.
myst_heading_anchors = 4
# What rosdoc2 brings may lack these two.
if find_spec('sphinx_copybutton'):
    extensions.append('sphinx_copybutton')
html_theme = 'furo' if find_spec('furo') else 'alabaster'
html_title = f'ros2_classify {globals().get("release", "")}'.strip()
