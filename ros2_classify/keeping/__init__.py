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

"""
Keep images that are worth labelling, in a directory with a bound, while a model runs.

`keeper` chooses, in a thread of its own; `stores` writes PNG files or recordings; `mcap` is the
format of the latter.
"""

from ros2_classify.keeping.keeper import doubt, perceptual_hash

__all__ = ['doubt', 'perceptual_hash']
