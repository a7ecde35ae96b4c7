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
TensorFlow Object Detection label maps (``.pbtxt``), read with protobuf's own text format.

The message is ``StringIntLabelMap`` of the TensorFlow Object Detection API
(``object_detection/protos/string_int_label_map.proto``); its other fields are skipped.
"""

from __future__ import annotations

from functools import lru_cache
import re
from typing import Any

from ros2_classify.errors import LabelsError

_ITEM = re.compile(r'(?:\s|#[^\n]*\n)*item\s*(?::\s*)?[{<]')


def looks_like_label_map(text: str) -> bool:
    """Tell whether a text begins, after comments, with ``item {``."""
    return _ITEM.match(text) is not None


def parse_label_map(text: str) -> dict[int, str]:
    """Return names by id, in the file's order; ``display_name`` counts before ``name``."""
    names: dict[int, str] = {}
    for number, item in enumerate(_parse(text), start=1):
        if not item.HasField('id'):
            raise LabelsError(f'item {number} has no id')
        name = item.display_name or item.name
        if not name:
            raise LabelsError(
                f'item {number}, with id {item.id}, has neither display_name nor name')
        if item.id in names:
            raise LabelsError(f'item {number}: the id {item.id} is used twice')
        names[item.id] = name
    return names


def _parse(text: str) -> Any:
    try:
        from google.protobuf import text_format
    except ImportError:
        raise LabelsError(
            'a label map (.pbtxt) needs the Python package protobuf, which comes with onnxruntime; '
            'install it, or write one name a line') from None
    try:
        return text_format.Parse(text, _label_map()(), allow_unknown_field=True).item
    except text_format.ParseError as error:
        line = error.GetLine()
        # Its message begins with line:column.
        reason = str(error).partition(' : ')[2] or str(error)
        raise LabelsError(f'line {line}: {reason}' if line else reason) from None
    except UnicodeDecodeError:
        raise LabelsError('a name is not UTF-8 text') from None
    except RecursionError:
        raise LabelsError('the items are nested too deeply; is it a label map?') from None


@lru_cache(maxsize=1)
def _label_map() -> Any:
    """Return the message class; numbers and types are those of the published .proto file."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name='ros2_classify/label_map.proto', package='ros2_classify', syntax='proto2')
    field = descriptor_pb2.FieldDescriptorProto
    item = file.message_type.add(name='Item')
    for number, (name, kind) in enumerate(
            (('name', field.TYPE_STRING), ('id', field.TYPE_INT32),
             ('display_name', field.TYPE_STRING)), start=1):
        item.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    file.message_type.add(name='LabelMap').field.add(
        name='item', number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED,
        type_name='.ros2_classify.Item')
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('ros2_classify.LabelMap'))
