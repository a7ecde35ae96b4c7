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

"""Which model it is, beyond its name."""

from __future__ import annotations

from pathlib import Path

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.model.catalog import resolve
from ros2_classify.model.files import model_file


def model_sha256(model: str) -> str:
    """Return the sha256 of a model's file; nothing of a directory, as a SavedModel is."""
    file = Path(model_file(resolve(model), None))
    return sha256_of_file(file) if file.is_file() else ''
