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

"""The layout of RViz2's window, read as Qt reads it."""

from pathlib import Path
import struct

import pytest
from ros2_classify.ros.rviz_layout import layout
import yaml

CONFIG = Path(__file__).parents[2] / 'rviz' / 'annotated_image.rviz'


class Reader:
    """Qt's QMainWindow::restoreState, as far as it is about docks."""

    def __init__(self, state):
        self._bytes, self._at = bytes.fromhex(state), 0

    def take(self, form):
        """Take one number."""
        value, = struct.unpack_from(f'>{form}', self._bytes, self._at)
        self._at += struct.calcsize(form)
        return value

    def text(self):
        """Take a text."""
        size = self.take('i')
        self._at += size
        return self._bytes[self._at - size:self._at].decode('utf-16-be')

    def span(self):
        """Take a place: start and size."""
        start, size, least, most = (self.take('i') for _ in range(4))
        assert 0 <= least <= size <= most
        return start, size

    def sequence(self):
        """Take docks in a row or column, as (name or sequence, start, size)."""
        assert self.take('B') == 0xfc
        orientation, parts = self.take('B'), []
        for _ in range(self.take('i')):
            mark = self.take('B')
            if mark == 0xfb:
                name, visible = self.text(), self.take('B')
                assert visible == 1
                parts.append((name, *self.span()))
            else:
                assert mark == 0xfc
                place = self.span()
                parts.append((self.sequence(), *place))
        return {1: 'row', 2: 'column'}[orientation], parts

    def state(self):
        """Return the size of the area on the left, and what is in it."""
        assert (self.take('i'), self.take('i')) == (255, 0)
        assert self.take('B') == 0xfd
        # One area, and that is the one on the left.
        assert (self.take('i'), self.take('i')) == (1, 0)
        size = self.take('i'), self.take('i')
        found = self.sequence()
        middle = self.take('i'), self.take('i')
        assert middle[1] == size[1]
        # Corners and toolbars.
        assert [self.take('i') for _ in range(4)] == [4, 4, 8, 8]
        assert self.take('B') == 0xfc
        return size, middle[0], found


@pytest.mark.parametrize(('count', 'rows'), [
    (1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [3, 2]), (9, [3, 3, 3])])
def test_images_fill_the_window(count, rows):
    names = [f'Annotated image /caméra{number}' for number in range(count)]
    (across, down), middle, (kind, parts) = Reader(layout(names, 1280, 800)).state()
    assert across + middle <= 1280 and down < 800 and across > 1200
    assert kind == 'column' and parts[-1][0] == 'Displays'
    found, end = [], 0
    for (inner, docks), start, size in parts[:-1]:
        assert inner == 'row' and start == end
        end += size
        right = 0
        for name, left, wide in docks:
            assert left == right
            right += wide
            found.append(name)
        assert across - len(docks) < right <= across
    assert [len(docks) for (_, docks), _, _ in parts[:-1]] == rows
    assert found == names
    # The images take most of it, and nothing is left.
    assert end > 0.7 * down and parts[-1][1] == end and end + parts[-1][2] == down


def test_the_reader_reads_what_rviz_has_saved():
    state = yaml.safe_load(CONFIG.read_text())['Window Geometry']['QMainWindow State']
    (across, _), _, (kind, parts) = Reader(state).state()
    assert across > 1200 and kind == 'column'
    assert [name for name, _, _ in parts] == ['Annotated image', 'Displays']


def test_without_transforms_nothing_is_missing():
    # RViz2's own words for "none": TF would warn as long as nobody publishes transforms.
    manager = yaml.safe_load(CONFIG.read_text())['Visualization Manager']
    assert manager['Transformation']['Current']['Class'] == 'rviz_common/Identity'
    assert {each['Class'] for each in manager['Displays']} == {'rviz_default_plugins/Image'}
