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

from __future__ import annotations

from pathlib import Path
import threading

from ros2_classify.convert.options import ConvertOptions
from ros2_classify.download.options import FetchOptions


def test_options_follow_those_of_downloads(tmp_path: Path) -> None:
    assert ConvertOptions.like(None) == ConvertOptions()
    cancel = threading.Event()
    options = ConvertOptions.like(FetchOptions(cache=tmp_path, cancel=cancel))
    assert (options.cache, options.cancel, options.progress) == (tmp_path, cancel, None)
    assert ConvertOptions.like(FetchOptions(progress=print)).progress is not None
