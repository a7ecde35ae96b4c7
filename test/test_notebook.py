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

"""The notebook of examples/ runs from its first cell to its last, and shows what it promises."""

from __future__ import annotations

import os
from typing import Any

import nbformat
import pytest
from shared_data import ROOT

NOTEBOOK = ROOT / 'examples/first_steps.ipynb'


def read() -> Any:
    """Return the notebook."""
    return nbformat.read(NOTEBOOK, 4)


def test_it_is_stored_without_results() -> None:
    notebook = read()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == 'code']
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from nbclient import NotebookClient

    paths = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(paths))
    for name in ('IPYTHONDIR', 'JUPYTER_RUNTIME_DIR', 'JUPYTER_DATA_DIR'):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = read()
    # Raises at the first cell that fails.
    NotebookClient(notebook, timeout=120, kernel_name='python3',
                   resources={'metadata': {'path': str(NOTEBOOK.parent)}}).execute()
    shown = [output['data'].get('text/html', '') for cell in notebook.cells
             for output in cell.get('outputs', ()) if 'data' in output]
    assert len(shown) == 6
    assert [html.count('data:image/jpeg;base64,') for html in shown] == [0, 1, 0, 1, 0, 1]
    assert 'cards_detector' in shown[2]
    for html in shown:
        assert '<table>' in html and 'Traceback' not in html
