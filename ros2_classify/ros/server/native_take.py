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
Messages as `rcl` takes them: their bytes stay where the middleware has written them.

rclpy takes a message into a C struct, copies its bytes twice to get an `array.array`, and holds
the interpreter's lock meanwhile. Here `rcl_take` fills the same struct without the lock, and the
bytes become a NumPy array that owns the struct. What a struct looks like follows from the fields
of the message's class (rosidl's mapping to C); before the first image, a sample that rclpy has
converted is read back, and if any field differs, rclpy takes the messages as usual.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
import ctypes
from functools import lru_cache
import importlib
from itertools import count
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.type_support import check_for_type_support

# rcl/types.h
_RCL_RET_OK, _RCL_RET_SUBSCRIPTION_TAKE_FAILED = 0, 401
# rmw/types.h: what a middleware without sequence numbers gives.
_UNSUPPORTED = 2**64 - 1
_TEXT, _BYTES = 'string', 'sequence<uint8>'
_KINDS = {'int32': ctypes.c_int32, 'uint32': ctypes.c_uint32, 'uint8': ctypes.c_uint8,
          _TEXT: _TEXT, _BYTES: _BYTES}
_NUMBERS = (ctypes.c_int32, ctypes.c_uint32, ctypes.c_uint8)


class TakenMessage(NamedTuple):
    """A message, its publisher's number, and when it was sent (ns); None where not known."""

    msg: Any
    number: int | None
    sent: int | None


class _Sequence(ctypes.Structure):
    """rosidl_runtime_c's strings and sequences: where it is, and how many elements."""

    _fields_ = [('data', ctypes.c_void_p), ('size', ctypes.c_size_t),
                ('capacity', ctypes.c_size_t)]


class _MessageInfo(ctypes.Structure):
    """The begin of rmw_message_info_s, and room for the rest."""

    _fields_ = [('source_timestamp', ctypes.c_int64), ('received_timestamp', ctypes.c_int64),
                ('publication_sequence_number', ctypes.c_uint64), ('rest', ctypes.c_uint8 * 232)]


class _ErrorString(ctypes.Structure):
    """rcutils_error_string_s."""

    _fields_ = [('text', ctypes.c_char * 1024)]


class _Struct:
    """A message's struct; it lives as long as an array on its bytes does."""

    def __init__(self, pointer: int, destroy: Callable[[int], Any]) -> None:
        self.pointer = pointer
        self._destroy = destroy

    def __del__(self) -> None:
        """Free it."""
        self._destroy(self.pointer)


class _Bytes:
    """A sequence of a struct for NumPy, read-only; keeps the struct."""

    def __init__(self, owner: _Struct, sequence: _Sequence) -> None:
        self._owner = owner
        self.__array_interface__ = {
            'version': 3, 'typestr': '|u1', 'shape': (sequence.size,),
            'data': (sequence.data, True)}


class NativeTake:
    """
    Takes messages of one type: such as have numbers, texts, bytes, and messages of these.

    What it returns has the attributes of the message; fields of bytes are read-only arrays.
    """

    def __init__(self, msg_type: Any) -> None:
        check_for_type_support(msg_type)
        self._msg_type = msg_type
        self._layout = _layout(msg_type)
        support = msg_type.__class__
        self._create = _function(support._CREATE_ROS_MESSAGE, ctypes.c_void_p)
        self._destroy = _function(support._DESTROY_ROS_MESSAGE, None, ctypes.c_void_p)
        self._fill = _function(
            support._CONVERT_FROM_PY, ctypes.c_bool, ctypes.py_object, ctypes.c_void_p)
        # Finds the symbols of the libraries that rclpy has loaded, wherever they are.
        libraries = ctypes.CDLL(rclpy_implementation.__file__)
        self._rcl_take = libraries.rcl_take
        self._rcl_take.argtypes = [ctypes.c_void_p] * 4
        self._error = libraries.rcutils_get_error_string
        self._error.restype = _ErrorString
        self._reset_error = libraries.rcutils_reset_error
        self._reset_error.restype = None

    def __call__(self, subscription: int) -> TakenMessage | None:
        """Take from an rcl subscription, given its pointer; return None if nothing waits."""
        struct = self._new()
        info = _MessageInfo()
        code = self._rcl_take(subscription, struct.pointer, ctypes.byref(info), None)
        if code != _RCL_RET_OK:
            text = self._error().text.decode('utf-8', 'replace')
            self._reset_error()
            if code == _RCL_RET_SUBSCRIPTION_TAKE_FAILED:
                return None
            raise rclpy_implementation.RCLError(text)
        number = info.publication_sequence_number
        return TakenMessage(self._message(struct), None if number == _UNSUPPORTED else number,
                            info.source_timestamp)

    def agrees(self, sample: Any) -> bool:
        """Return whether a message that rclpy converts is read back as it was."""
        struct = self._new()
        self._fill(sample, struct.pointer)
        # Pointers are followed only if all sizes are right.
        sizes = _sizes(_at(self._layout, struct.pointer))
        return sizes == _sizes_of(sample) and _same(self._message(struct), sample)

    def _new(self) -> _Struct:
        return _Struct(self._create(), self._destroy)

    def _message(self, struct: _Struct) -> Any:
        layout = _at(self._layout, struct.pointer)
        return SimpleNamespace(**_values(self._msg_type, layout, struct))


@lru_cache(maxsize=None)
def native_take(msg_type: Any) -> NativeTake | None:
    """Return what takes messages of a type; None if rclpy's structs are not as expected."""
    try:
        take = NativeTake(msg_type)
        return take if take.agrees(_sample(msg_type, count(101))) else None
    except (AttributeError, ImportError, LookupError, OSError, TypeError, ValueError):
        return None


def _function(capsule: Any, result: Any, *arguments: Any) -> Any:
    api = ctypes.pythonapi
    name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(('PyCapsule_GetName', api))
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ('PyCapsule_GetPointer', api))
    return ctypes.PYFUNCTYPE(result, *arguments)(pointer(capsule, name(capsule)))


# ---- a message's fields


def _at(layout: Any, pointer: int) -> Any:
    return ctypes.cast(pointer, ctypes.POINTER(layout)).contents


@lru_cache(maxsize=None)
def _fields(msg_type: Any) -> tuple[tuple[str, Any], ...]:
    """Return names and kinds: a C type, _TEXT, _BYTES, or the class of a nested message."""
    fields = []
    for name, kind in msg_type.get_fields_and_field_types().items():
        known = _KINDS.get(kind)
        if known is None:
            package, _, nested = kind.partition('/')
            known = getattr(importlib.import_module(f'{package}.msg'), nested)
        fields.append((name, known))
    return tuple(fields)


@lru_cache(maxsize=None)
def _layout(msg_type: Any) -> Any:
    """Return the message's struct for ctypes."""
    return type(msg_type.__name__, (ctypes.Structure,), {'_fields_': [
        (name, _Sequence if kind in (_TEXT, _BYTES) else
         kind if kind in _NUMBERS else _layout(kind)) for name, kind in _fields(msg_type)]})


def _values(msg_type: Any, layout: Any, struct: _Struct) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, kind in _fields(msg_type):
        value = getattr(layout, name)
        if kind is _TEXT:
            value = ctypes.string_at(value.data, value.size).decode('utf-8', 'replace')
        elif kind is _BYTES:
            value = np.asarray(_Bytes(struct, value)) if value.size else np.empty(0, np.uint8)
        elif kind not in _NUMBERS:
            value = kind(**_values(kind, value, struct))
        values[name] = value
    return values


# ---- the sample that tells whether the structs are as expected


def _sample(msg_type: Any, numbers: Iterator[int]) -> Any:
    """Return a message whose fields all differ."""
    msg = msg_type()
    for name, kind in _fields(msg_type):
        number = next(numbers)
        value: Any = number
        if kind is _TEXT:
            value = 'é' * number
        elif kind is _BYTES:
            value = array('B', range(number))
        elif kind not in _NUMBERS:
            value = _sample(kind, numbers)
        setattr(msg, name, value)
    return msg


def _sizes(layout: Any) -> list[int]:
    """Return the sizes of all sequences in a struct."""
    sizes = []
    for name, _ in layout._fields_:
        value = getattr(layout, name)
        if isinstance(value, _Sequence):
            sizes.append(value.size if value.capacity >= value.size else -1)
        elif isinstance(value, ctypes.Structure):
            sizes += _sizes(value)
    return sizes


def _sizes_of(msg: Any) -> list[int]:
    """Return the same of a message."""
    sizes = []
    for name, kind in _fields(msg.__class__):
        value = getattr(msg, name)
        if kind is _TEXT:
            sizes.append(len(value.encode()))
        elif kind is _BYTES:
            sizes.append(len(value))
        elif kind not in _NUMBERS:
            sizes += _sizes_of(value)
    return sizes


def _same(msg: Any, sample: Any) -> bool:
    return all(np.array_equal(getattr(msg, name), getattr(sample, name))
               for name, _ in _fields(sample.__class__))
