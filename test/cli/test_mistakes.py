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

"""The mistakes of `docs/mistakes.md`, typed: each is told as the page says, with its exit code."""

import re
import shlex

import cv2
import numpy as np
import onnx
import pytest
from ros2_classify.cli import main
from ros2_classify.testing import save_color_classifier
from shared_data import ROOT
from web_server import web_server, whole

PAGE = (ROOT / 'docs/mistakes.md').read_text()
ROWS = re.findall(r'^\| (.*?) \| `(.*?)` \| (.*) \| (\d) \|$', PAGE, re.MULTILINE)
DESCRIPTOR = """
source: {path: colors.onnx}
labels: [red, green, blue]
input: {scale: 1/255}
output: {decoder: classification}
"""


@pytest.fixture(scope='module')
def web():
    with web_server() as server:
        server.serve('/other.onnx', whole(b'another file'))
        yield server


@pytest.fixture
def place(tmp_path, monkeypatch, web):
    """Return a directory with what the mistakes need."""
    save_color_classifier(tmp_path / 'colors.onnx')
    (tmp_path / 'photos').mkdir()
    files = {
        'colors.yaml': DESCRIPTOR, 'short.yaml': DESCRIPTOR.replace(', blue', ''),
        'tab.yaml': 'source:\n\tpath: colors.onnx\n',
        'size.yaml': DESCRIPTOR.replace('input: {', 'input: {size: [99, 99], '),
        'windows.yaml': 'source: {path: "C:\\models\\colors.onnx"}\n', 'text.mp4': 'not a video',
        'lfs.onnx': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n',
        'typo.yaml': 'sorce: {path: colors.onnx}\n', 'page.onnx': '<html>log in</html>',
        'wrong_sha.yaml': f'source: {{url: "{web.url}/other.onnx", sha256: "{"ab" * 32}"}}\n'}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    parted = onnx.load(tmp_path / 'colors.onnx')
    parted.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.float32), 'one'))
    last = parted.graph.output[0].name
    parted.graph.node.append(onnx.helper.make_node('Mul', [last, 'one'], ['scaled']))
    parted.graph.output[0].name = 'scaled'
    onnx.save(parted, tmp_path / 'parted.onnx', save_as_external_data=True, size_threshold=0,
              location='parted.onnx.data')
    (tmp_path / 'parted.onnx.data').unlink()
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'red.png'), image)
    whole_jpeg = cv2.imencode('.jpg', image)[1].tobytes()
    for name, data in {
            'zero.onnx': b'', 'utf16.yaml': DESCRIPTOR.strip().encode('utf-16'),
            'model.tflite': b' \0\0\0TFL3' + b'0' * 99,
            'cut.jpg': whole_jpeg[:len(whole_jpeg) // 2], 'empty.jpg': b'',
            'best.pt': b'PK\x03\x04' + b'0' * 99, 'model.h5': b'\x89HDF\r\n\x1a\n' + b'0' * 99,
            'photo.onnx': whole_jpeg, 'broken.onnx': b'\x08\x07junkjunk'}.items():
        (tmp_path / name).write_bytes(data)
    writer = cv2.VideoWriter(
        str(tmp_path / 'video.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (80, 60))
    writer.write(image)
    writer.release()
    (tmp_path / 'clip.jpg').write_bytes((tmp_path / 'video.avi').read_bytes())
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('mistake, typed, says, code', ROWS, ids=[row[0] for row in ROWS])
def test_a_mistake_is_told_as_the_page_says(place, web, capfd, mistake, typed, says, code):
    try:
        found = main(shlex.split(typed.replace('SERVER', web.url)))
    except SystemExit as error:
        found = error.code
    out, err = capfd.readouterr()
    assert found == int(code), err
    assert 'Traceback' not in err
    told = [line.removeprefix('error: ') for line in
            err.replace(f'{place}/', '').replace(web.url, 'SERVER').splitlines()
            if line.startswith('error: ')]
    assert len(told) == 1 and out == '', err
    wanted = says.replace('\\*', '*').replace('&lt;', '<')
    pattern = '.*'.join(re.escape(part) for part in wanted.split('…'))
    assert re.fullmatch(pattern, told[0].strip()), told[0]


def test_there_are_enough():
    assert len(ROWS) >= 25
    assert len({row[1] for row in ROWS}) == len(ROWS)
