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

"""Test the URLs of remote model servers."""

import pytest
from ros2_classify.errors import DescriptorError, OptionsError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.remote_url import RemoteUrl


@pytest.mark.parametrize('text, server, model, here', [
    ('grpc://gpu:8001/yolox_nano', 'grpc://gpu:8001', 'yolox_nano', False),
    ('http://127.0.0.1:8000', 'http://127.0.0.1:8000', '', True),
    ('https://[::1]:443/a/', 'https://[::1]:443', 'a', True),
    ('grpcs://localhost:1/a?version=3', 'grpcs://localhost:1', 'a', True)])
def test_parts(text, server, model, here):
    url = RemoteUrl.parse(text)
    assert (url.server, url.model, url.is_here) == (server, model, here)
    assert RemoteUrl.parse(str(url)) == url
    assert url.of('other').model == (model or 'other')


@pytest.mark.parametrize('text, problem', [
    ('gpu:8001/yolox', 'begins with'), ('ftp://gpu:1/a', "begins with 'ftp'"),
    ('http://gpu/a', 'has no port'), ('http://gpu:0/a', 'has no port'),
    ('http://gpu:99999/a', 'no valid URL'), ('http://:8000/a', 'has no host'),
    ('http://me:pass@gpu:8000/a', 'a user name or a password'),
    ('http://gpu:8000/a/b', "'a/b' is no name"), ('http://gpu:8000/..', "'..' is no name"),
    ('http://gpu:8000/a?x=1', 'unknown options'), ('http://gpu:8000/a#b', 'unknown options'),
    ('http://gpu:8000/a?version=x', 'unknown options'), ('http://gpu:8000/a b', 'no URL'),
    ('http://gpu:8000/a\r\nX: y', 'no URL')])
def test_problems(text, problem):
    with pytest.raises(OptionsError, match=problem) as caught:
        RemoteUrl.parse(text)
    assert 'pass@' not in str(caught.value)


def test_in_a_descriptor():
    found = ModelDescriptor.from_mapping({'source': {'remote': 'grpc://gpu:8001/yolox'}})
    assert found.name == 'yolox' and not found.source.has_file
    with pytest.raises(DescriptorError, match='source.sha256: is about a model file'):
        ModelDescriptor.from_mapping({'source': {'remote': 'grpc://gpu:1/a', 'sha256': 64 * 'a'}})
    with pytest.raises(DescriptorError, match='source.remote: has no port'):
        ModelDescriptor.from_mapping({'source': {'remote': 'grpc://gpu/a'}})
    both = ModelDescriptor.from_mapping(
        {'source': {'remote': 'grpc://gpu:8001/a', 'path': 'b.onnx'}})
    assert both.name == 'b' and both.source.has_file
