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

"""The size of an image; formats with normalized boxes need it before the image itself."""

from __future__ import annotations

from pathlib import Path

from ros2_classify import read_image


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height as the image is shown, its orientation applied."""
    height, width = read_image(str(path)).shape[:2]
    return int(width), int(height)
