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

import json

import cv2
import numpy as np
from ros2_classify.testing import save_constant_model
from ros2_classify_benchmark import equality


def test_equal_records_have_no_differences(capsys, tmp_path):
    models, images = tmp_path / 'models', tmp_path / 'images'
    models.mkdir()
    images.mkdir()
    cv2.imwrite(str(images / 'grey.png'), np.full((8, 8, 3), 99, np.uint8))
    save_constant_model(models / 'three.onnx', {'scores': np.array([[0.2, 0.7, 0.1]], np.float32)})
    (models / 'broken.onnx').write_bytes(b'no model')
    paths = [tmp_path / name for name in ('before.json', 'after.json')]
    for path in paths:
        assert equality.main(
            ['record', str(path), '--models', str(models), '--images', str(images)]) == 0
    assert equality.main(['compare', *map(str, paths)]) == 0
    assert capsys.readouterr().out.endswith('1 results of 2 models, 0 differ\n')

    found = json.loads(paths[1].read_text())
    found['models/three.onnx']['grey.png']['results'][0]['score'] += 1e-9
    found['models/broken.onnx'] = 'OutputError'
    paths[1].write_text(json.dumps(found))
    assert equality.main(['compare', *map(str, paths)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        'models/broken.onnx', 'models/three.onnx grey.png', '1 results of 2 models, 2 differ']
