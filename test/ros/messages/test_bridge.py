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

"""cv_bridge, or what stands for it here, is used only as far as a child process has tried it."""

from array import array
from importlib.util import find_spec
import signal
import sys
import textwrap

import numpy as np
import pytest
from ros2_classify.errors import OptionsError
from ros2_classify.ros.messages import bridge as bridges
from ros2_classify.ros.messages.bridge import Bridge, probe_in_child
from ros2_classify.sources.image_messages import ENCODINGS, ImageError, to_array
from sensor_msgs.msg import Image

BOTH_KNOW = [name for name, each in ENCODINGS.items() if each.bridge]

# What cv_bridge 3 and 4 do: reading after core.py, converting after cv_bridge.cpp.
FAKE = """
import cv2
import numpy as np


class CvBridge:
    _CODES = {
        ('gray', 'bgr8'): cv2.COLOR_GRAY2BGR,
        ('mono16', 'mono8'): None, ('rgb16', 'rgb8'): None, ('bgr16', 'bgr8'): None,
        ('rgba16', 'rgba8'): None, ('bgra16', 'bgra8'): None,
        ('yuv422', 'bgr8'): cv2.COLOR_YUV2BGR_UYVY,
        ('yuv422_yuy2', 'bgr8'): cv2.COLOR_YUV2BGR_YUY2,
        **{(f'bayer_rggb{n}', 'bgr8'): cv2.COLOR_BayerBG2BGR for n in (8, 16)},
        **{(f'bayer_bggr{n}', 'bgr8'): cv2.COLOR_BayerRG2BGR for n in (8, 16)},
        **{(f'bayer_gbrg{n}', 'bgr8'): cv2.COLOR_BayerGR2BGR for n in (8, 16)},
        **{(f'bayer_grbg{n}', 'bgr8'): cv2.COLOR_BayerGB2BGR for n in (8, 16)},
    }

    def imgmsg_to_cv2(self, msg, desired_encoding='passthrough'):
        FAULT
        dtype = np.dtype('<u2' if msg.encoding.endswith('16') else 'u1')
        channels = {'rgb16': 3, 'bgr16': 3, 'rgba16': 4, 'bgra16': 4}.get(
            msg.encoding, 2 if msg.encoding.startswith('yuv') else 1)
        columns = msg.step // dtype.itemsize // channels
        shape = (msg.height, columns) if channels == 1 else (msg.height, columns, channels)
        pixels = np.ascontiguousarray(np.ndarray(shape, dtype, msg.data)[:, :msg.width])
        code = self._CODES[msg.encoding, desired_encoding]
        if code is not None:
            pixels = cv2.cvtColor(pixels, code)
        if dtype.itemsize == 2:
            pixels = np.clip(np.rint(pixels * (255. / 65535.)), 0, 255).astype(np.uint8)
        return pixels
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a cv_bridge; ``fault`` runs at every conversion."""
    def install(fault='pass', on_import='', boost=''):
        package = tmp_path / 'cv_bridge'
        (package / 'boost').mkdir(parents=True)
        (package / '__init__.py').write_text(
            textwrap.dedent(on_import) + FAKE.replace('FAULT', fault))
        (package / 'boost' / '__init__.py').write_text('')
        (package / 'boost' / 'cv_bridge_boost.py').write_text(boost)
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split('.')[0] == 'cv_bridge']:
        monkeypatch.delitem(sys.modules, name)
    forget()
    yield install
    forget()
    for name in [name for name in sys.modules if name.split('.')[0] == 'cv_bridge']:
        del sys.modules[name]


def forget():
    """Forget what was found out about the cv_bridge of another test."""
    probe_in_child.cache_clear()
    bridges._imgmsg_to_cv2.cache_clear()


def message(encoding, pixel_bytes, width=24, height=10):
    """Return a message with random bytes."""
    data = np.random.default_rng(1).integers(0, 256, width * height * pixel_bytes, np.uint8)
    return Image(width=width, height=height, step=width * pixel_bytes, encoding=encoding,
                 data=array('B', data.tobytes()))


SEGFAULT = "if msg.encoding.startswith('yuv422'): import os; os.kill(os.getpid(), 11)"
CLASH = """
import sys
print('A module that was compiled using NumPy 1.x cannot be run in NumPy 2', file=sys.stderr)
"""


def test_a_sound_one_is_used_if_asked_for_and_gives_the_same_pixels(install):
    install()
    bridge = Bridge('cv_bridge')
    assert 'tried in a child process' in str(bridge)
    convert = bridges._imgmsg_to_cv2()
    used = []
    bridge.convert = lambda msg, encoding: used.append(msg.encoding) or convert(msg, encoding)
    for name in BOTH_KNOW:
        msg = message(name, ENCODINGS[name].pixel_bytes)
        pixels, color = to_array(msg, bridge=bridge)
        expected, expected_color = to_array(msg)
        np.testing.assert_array_equal(pixels, expected)
        assert color == expected_color
    assert used == BOTH_KNOW
    # A crop without its last padding, which the real one can't read.
    msg = message('mono16', 2)
    msg.data = msg.data[:-1]
    msg.width -= 1
    to_array(msg, bridge=bridge)
    assert used == BOTH_KNOW


UNRECOGNIZED = """
        if msg.encoding.startswith({!r}):
            raise RuntimeError(f'Unrecognized image encoding [{{msg.encoding}}]')
"""


def test_an_older_one_is_used_for_what_it_knows(install):
    install(UNRECOGNIZED.format('yuv422_yuy2').strip())
    bridge = Bridge('cv_bridge')
    assert str(bridge).endswith('opencv for yuv422_yuy2, which it does not know')
    msg = message('yuv422_yuy2', 2)
    assert bridge.convert(msg, 'bgr8') is None
    np.testing.assert_array_equal(to_array(msg, bridge=bridge)[0], to_array(msg)[0])
    assert bridge.convert(message('yuv422', 2), 'bgr8') is not None


@pytest.mark.parametrize(('installed', 'words'), [
    ({'fault': UNRECOGNIZED.format('').strip()}, 'knows none of the encodings'),
    ({'fault': SEGFAULT}, 'SIGSEGV while it converted yuv422'),
    ({'fault': SEGFAULT, 'on_import': CLASH}, 'built for another NumPy.*SIGSEGV'),
    # It may crash at another image later.
    ({'on_import': CLASH}, 'built for another NumPy'),
    ({'on_import': "raise ImportError('numpy.core.multiarray failed to import')"},
     'built for another NumPy'),
    ({'boost': "raise ImportError('libboost_python312.so is missing')"}, 'libboost_python312'),
    ({'fault': 'msg.data[0] ^= 255'}, 'reads .* otherwise than OpenCV'),
    ({'fault': "raise RuntimeError('no')"}, 'cannot convert mono16: RuntimeError: no')])
def test_a_broken_one_is_found_out_in_a_child_process(install, installed, words):
    install(**installed)
    with pytest.raises(OptionsError, match=f'image_backend is cv_bridge, but .*{words}'):
        Bridge('cv_bridge')
    # It has not been loaded here.
    assert 'cv_bridge' not in sys.modules
    bridge = Bridge('auto')
    msg = message('yuv422', 2)
    np.testing.assert_array_equal(to_array(msg, bridge=bridge)[0], to_array(msg)[0])


def test_one_that_is_not_there_is_said_so(monkeypatch):
    forget()
    monkeypatch.setattr(sys, 'path', [path for path in sys.path if 'site-packages' not in path])
    monkeypatch.delitem(sys.modules, 'cv_bridge', raising=False)
    assert probe_in_child().problem == 'it is not installed'
    forget()


def test_one_that_hangs_is_given_up(install, monkeypatch):
    install('import time; time.sleep(60)')
    monkeypatch.setattr(bridges, '_PATIENCE', 3.0)
    assert 'timed out' in probe_in_child().problem


def test_auto_leaves_to_it_what_only_it_knows(install):
    install()
    bridge = Bridge('auto')
    msg = message('gray', 1)
    with pytest.raises(ImageError, match="unknown encoding 'gray'"):
        to_array(msg)
    pixels, color = to_array(msg, bridge=bridge)
    grey = np.frombuffer(msg.data, np.uint8).reshape(10, 24)
    np.testing.assert_array_equal(pixels, np.dstack([grey] * 3))
    assert color == 'bgr'
    assert str(bridge).endswith('gray: cv_bridge')
    with pytest.raises(ImageError, match="unknown encoding 'gray'"):
        to_array(msg, bridge=Bridge('opencv'))
    with pytest.raises(ImageError, match='more than the 9 pixels'):
        to_array(msg, 9, bridge=bridge)
    msg.data = msg.data[:-1]
    with pytest.raises(ImageError, match="unknown encoding 'gray'"):
        to_array(msg, bridge=bridge)


def test_an_unknown_encoding_that_would_crash_it_is_refused(install):
    install('import os; os.kill(os.getpid(), 11)')
    bridge = Bridge('auto')
    for _ in range(2):
        with pytest.raises(ImageError, match="unknown encoding 'gray'"):
            to_array(message('gray', 1), bridge=bridge)
    assert signal.SIGSEGV.name in str(bridge)


def test_a_sender_that_invents_encodings_gets_few_child_processes():
    tried = []
    bridge = Bridge('auto', lambda *key: tried.append(key) or bridges.Probe('no'))
    for number in range(9):
        with pytest.raises(ImageError, match='unknown encoding'):
            to_array(message(f'invented{number}', 1), bridge=bridge)
    with pytest.raises(ImageError):
        to_array(message("x'; import os", 1), bridge=bridge)
    assert len(tried) == 4


@pytest.mark.skipif(find_spec('cv_bridge') is None, reason='cv_bridge is not installed')
def test_the_installed_one_gives_the_same_pixels_or_is_refused():
    forget()
    found = probe_in_child()
    if found.problem:
        with pytest.raises(OptionsError, match='image_backend is cv_bridge, but'):
            Bridge('cv_bridge')
        assert 'cv_bridge' not in sys.modules
        return
    bridge = Bridge('cv_bridge')
    for name in BOTH_KNOW:
        for width, height in ((24, 10), (64, 48), (4, 4)):
            msg = message(name, ENCODINGS[name].pixel_bytes, width, height)
            expected, _ = to_array(msg)
            pixels = bridge.convert(msg, ENCODINGS[name].bridge)
            assert (pixels is None) == (name in found.lacks), name
            if pixels is not None:
                np.testing.assert_array_equal(pixels, expected, err_msg=name)
