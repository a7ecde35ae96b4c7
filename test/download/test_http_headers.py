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

"""Private headers: bound to one server, read from the environment alone, never shown."""

from __future__ import annotations

import pytest
from ros2_classify.download.http import private_headers
from ros2_classify.errors import FetchError

URL = 'https://models.example.com/m.onnx'


@pytest.mark.parametrize('server', [
    'https://models.example.com', 'models.example.com', 'https://MODELS.example.com:443',
    'https://models.example.com/any/path'])
def test_a_token_is_for_its_server(server: str) -> None:
    environ = {'ROS2_CLASSIFY_HTTP_TOKEN': f'{server} abc'}
    assert private_headers(URL, environ) == {'Authorization': 'Bearer abc'}
    for other in ('https://example.com/m.onnx', 'https://models.example.com.evil.org/m.onnx',
                  'https://models.example.com:444/m.onnx', 'http://models.example.com/m.onnx',
                  'http://models.example.com:443/m.onnx', 'https://evil.org/models.example.com'):
        assert private_headers(other, environ) == {}, other


def test_any_header_and_several_of_them() -> None:
    environ = {'ROS2_CLASSIFY_HTTP_HEADER': 'models.example.com PRIVATE-TOKEN: a: b',
               'ROS2_CLASSIFY_HTTP_HEADER_2': 'https://models.example.com Cookie:x=1;y=2',
               'ROS2_CLASSIFY_HTTP_TOKEN_LAB': 'http://lab:8080 t',
               'ROS2_CLASSIFY_HTTP_TOKENS': 'models.example.com not ours',
               'ROS2_CLASSIFY_HTTP_TOKEN_OFF': ' '}
    assert private_headers(URL, environ) == {'PRIVATE-TOKEN': 'a: b', 'Cookie': 'x=1;y=2'}
    assert private_headers('http://lab:8080/m', environ) == {'Authorization': 'Bearer t'}


@pytest.mark.parametrize('name, value', [
    ('TOKEN', 's3cret'), ('TOKEN', 'https:// s3cret'), ('TOKEN', 'models.example.com  '),
    ('TOKEN', 'ftp://models.example.com s3cret'), ('TOKEN', 'file:///x s3cret'),
    ('TOKEN', 'models.example.com s3cret\r\nX: y'), ('TOKEN', 'models.example.com s3crét'),
    ('TOKEN', 'https://me:s3cret@models.example.com abc'),
    ('HEADER', 'models.example.com s3cret'), ('HEADER', 'models.example.com X:'),
    ('HEADER', 'models.example.com X Y: s3cret'), ('HEADER', 'models.example.com Host: s3cret'),
    ('HEADER', 'models.example.com range: s3cret')])
def test_what_cannot_be_read_is_named_and_not_shown(name: str, value: str) -> None:
    variable = f'ROS2_CLASSIFY_HTTP_{name}_MINE'
    with pytest.raises(FetchError, match=f'{variable} .*https://HOST') as error:
        private_headers(URL, {variable: value})
    assert 's3cr' not in str(error.value)
