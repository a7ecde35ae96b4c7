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

"""Sources of images behind one interface: files, videos, webcams, streams and bags."""

from ros2_classify.sources.bag import is_bag
from ros2_classify.sources.base import Frame, KINDS, Pixels, Size, Source, SourceError, Warn
from ros2_classify.sources.open import is_one_image, open_source

__all__ = ['Frame', 'is_bag', 'is_one_image', 'KINDS', 'open_source', 'Pixels', 'Size', 'Source',
           'SourceError', 'Warn']
