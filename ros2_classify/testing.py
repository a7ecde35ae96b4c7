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
Fakes and tiny models for tests, yours and those of this package.

`FakeEngine` stands in for an engine. The ``save_...`` functions write real ONNX files
of a few hundred bytes; they need the package ``onnx`` (``pip install onnx``), which nothing else
in the package does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, cast, Literal, TypeVar, Union
import warnings

import numpy as np
from numpy.typing import NDArray

from ros2_classify.engines.base import Dim, Tensors, TensorSpec
from ros2_classify.errors import EngineError

Outputs = Union[Tensors, Callable[[Tensors], Tensors]]
Function = TypeVar('Function', bound=Callable[..., Any])

# Old enough for the ONNX Runtimes of robots, new enough for all that is used here.
_OPSET = 13
_IR_VERSION = 8

# Names of the release before; they go with the next one.
_OLD_NAMES = {'save_constant_network': 'save_constant_model'}  # words: old


def __getattr__(name: str) -> Any:
    """Return what has been renamed under its old name, with a warning."""
    if name not in _OLD_NAMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    _warn(name, _OLD_NAMES[name])
    return globals()[_OLD_NAMES[name]]


def _warn(old: str, new: str) -> None:
    warnings.warn(f'{old} is now {new}; the old name goes with the next release',
                  DeprecationWarning, stacklevel=3)


def _renamed(**new_names: str) -> Callable[[Function], Function]:
    """Accept keyword arguments under their old names, with a warning."""
    def decorate(function: Function) -> Function:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for old in kwargs.keys() & new_names.keys():
                _warn(old, new_names[old])
                kwargs[new_names[old]] = kwargs.pop(old)
            return function(*args, **kwargs)

        return cast(Function, call)

    return decorate


class FakeEngine:
    """
    An engine without a model: it returns given outputs.

    Parameters
    ----------
    inputs, outputs : sequence of TensorSpec
        The inputs and outputs that it claims to have.
    returns : dict of str to ndarray, or callable
        The outputs, or a function from inputs to outputs.
    provider : str
        The execution provider that it claims to run on.
    metadata : mapping of str to str
        The metadata that it claims the file has.

    Attributes
    ----------
    calls : list of dict of str to ndarray
        Copies of all inputs that `infer` was given.
    closed : bool
        Whether `close` was called.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import ModelDescriptor, Pipeline
    >>> from ros2_classify.testing import FakeEngine, tensor
    >>> descriptor = ModelDescriptor.from_mapping({
    ...     'source': {'path': 'fake.onnx'},
    ...     'labels': ['cat', 'dog'],
    ...     'input': {'name': 'in', 'size': [8, 8], 'layout': 'nchw', 'dtype': 'float32'},
    ...     'output': {'decoder': 'classification'},
    ... })
    >>> engine = FakeEngine([tensor('in', [1, 3, 8, 8])], [tensor('out', [1, 2])],
    ...                     {'out': np.array([[0.25, 0.75]], np.float32)})
    >>> pipeline = Pipeline(descriptor, engine, descriptor.load_labels())
    >>> pipeline(np.zeros((10, 10, 3), np.uint8)).labels[0]
    'dog'

    """

    @_renamed(answer='returns')  # words: old
    def __init__(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec],
                 returns: Outputs, *, provider: str = 'Fake',
                 metadata: Mapping[str, str] | None = None) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.provider = provider
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.calls: list[Tensors] = []
        self.closed = False
        self._returns = returns

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs; EngineError if an input is missing, or after `close`."""
        if self.closed:
            raise EngineError('the engine is closed')
        expected = {tensor.name for tensor in self.inputs}
        if set(inputs) != expected:
            raise EngineError(f'the inputs are {sorted(inputs)} but must be {sorted(expected)}')
        self.calls.append({name: array.copy() for name, array in inputs.items()})
        return self._returns(inputs) if callable(self._returns) else dict(self._returns)

    def close(self) -> None:
        """Close the engine; closing twice does nothing."""
        self.closed = True


def tensor(name: str, shape: Sequence[Dim], dtype: Any = np.float32) -> TensorSpec:
    """
    Return a TensorSpec, written shorter.

    Examples
    --------
    >>> from ros2_classify.testing import tensor
    >>> str(tensor('images', ['batch', 3, 8, 8]))
    "'images' float32 [batch, 3, 8, 8]"

    """
    return TensorSpec(name, tuple(shape), np.dtype(dtype))


def save_color_classifier(
    path: str | Path, *, size: tuple[int, int] = (8, 8), layout: Literal['nchw', 'nhwc'] = 'nchw',
    dtype: Any = np.float32, metadata: Mapping[str, str] | None = None,
) -> Path:
    """
    Write an ONNX model that returns the mean of each colour channel.

    Parameters
    ----------
    path : str or Path
        The file to write.
    size : tuple of int
        Width and height of its input ``image``.
    layout : 'nchw' or 'nhwc'
        The order of the input's dimensions.
    dtype : dtype
        float32, float16 or uint8; the type of the input.
    metadata : mapping of str to str
        Free text to put into the file.

    Returns
    -------
    Path
        The file. Its output ``scores``, float32 [1, 3], holds the means of channel 0, 1 and 2
        as they are fed: class 0 wins on a red image that is fed as RGB.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from ros2_classify import Pipeline
    >>> from ros2_classify.testing import save_color_classifier
    >>> image = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    >>> with TemporaryDirectory() as directory:
    ...     path = save_color_classifier(Path(directory) / 'colors.onnx')
    ...     with Pipeline.load(path, provider='cpu') as pipeline:
    ...         found = pipeline(image, 'rgb')
    >>> int(found.class_ids[0])
    0

    """
    from onnx import helper, TensorProto

    width, height = size
    shape = [1, 3, height, width] if layout == 'nchw' else [1, height, width, 3]
    axes = [2, 3] if layout == 'nchw' else [1, 2]
    nodes = [
        helper.make_node('Cast', ['image'], ['pixels'], to=TensorProto.FLOAT),
        helper.make_node('ReduceMean', ['pixels'], ['scores'], axes=axes, keepdims=0),
    ]
    return _save(path, nodes, ('image', shape, dtype), [('scores', [1, 3], np.float32)], [],
                 metadata)


def save_constant_model(
    path: str | Path, outputs: Mapping[str, NDArray[Any]], *, input_name: str = 'image',
    input_shape: Sequence[Dim] = (1, 3, 8, 8), dtype: Any = np.float32,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """
    Write an ONNX model that always returns the same outputs.

    Parameters
    ----------
    path : str or Path
        The file to write.
    outputs : mapping of str to ndarray
        The outputs, in order.
    input_name : str
        The name of its one input.
    input_shape : sequence of int, str or None
        The input's shape; texts and None are free dimensions.
    dtype : dtype
        The input's type.
    metadata : mapping of str to str
        Free text to put into the file.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from ros2_classify import Pipeline
    >>> from ros2_classify.testing import save_constant_model
    >>> image = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    >>> with TemporaryDirectory() as directory:
    ...     path = save_constant_model(
    ...         Path(directory) / 'model.onnx', {'prob': np.array([[0.25, 0.75]], np.float32)})
    ...     with Pipeline.load(path, provider='cpu') as pipeline:
    ...         found = pipeline(image, 'rgb')
    >>> found.scores.tolist()
    [0.75, 0.25]

    """
    from onnx import helper, numpy_helper

    nodes = [helper.make_node('Identity', [f'{name}_value'], [name]) for name in outputs]
    constants = [numpy_helper.from_array(np.ascontiguousarray(value), f'{name}_value')
                 for name, value in outputs.items()]
    listed = [(name, list(value.shape), value.dtype) for name, value in outputs.items()]
    return _save(path, nodes, (input_name, list(input_shape), dtype), listed, constants, metadata)


@_renamed(folder='directory')  # words: old
def save_known_classifier(
    directory: str | Path, name: str, scores: Sequence[float], *, size: tuple[int, int] = (8, 8),
    defaults: str = '', work: int = 0, turns: int = 0,
) -> Path:
    """
    Write a classifier, model and descriptor, whose result is the same for every image.

    Parameters
    ----------
    directory : str or Path
        Where to write ``NAME.onnx`` and ``NAME.yaml``.
    name : str
        Its name. The labels are ``NAME 0``, ``NAME 1`` and so on, so that they tell which
        model a result is from.
    scores : sequence of float
        The score of each class.
    size : tuple of int
        Width and height of its input.
    defaults : str
        Its own thresholds and limits, as in ``score_threshold: 0.1, top_k: 2``.
    work : int
        The number of image features that it computes first: at 224×224, 16 of them take a core
        about a millisecond.
    turns : int
        For a model that is slow and small: the number of loop iterations, instead of ``work``;
        a thousand take a core a few milliseconds.

    Returns
    -------
    Path
        The descriptor, which declares the model's sha256.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from ros2_classify import Pipeline
    >>> from ros2_classify.testing import save_known_classifier
    >>> image = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    >>> with TemporaryDirectory() as directory:
    ...     path = save_known_classifier(directory, 'known', [0.25, 0.75])
    ...     with Pipeline.load(path, provider='cpu') as pipeline:
    ...         found = pipeline(image, 'rgb')
    >>> found.labels.tolist()
    ['known 1', 'known 0']

    """
    import hashlib

    directory = Path(directory)
    result = np.array([scores], np.float32)
    shape = (1, 3, size[1], size[0])
    model = directory / f'{name}.onnx'
    if turns:
        _save_turning_model(model, result, shape, turns)
    elif work:
        _save_busy_model(model, result, shape, work)
    else:
        save_constant_model(model, {'scores': result}, input_shape=shape)
    labels = ', '.join(f'{name} {number}' for number in range(len(scores)))
    path = directory / f'{name}.yaml'
    path.write_text(
        f'name: {name}\ntask: classification\n'
        f'source: {{path: {model.name}, '
        f'sha256: {hashlib.sha256(model.read_bytes()).hexdigest()}}}\n'
        f'labels: [{labels}]\ninput: {{resize: stretch}}\n'
        'output: {decoder: classification, activation: none}\n'
        f'defaults: {{{defaults}}}\n')
    return path


def _save_busy_model(
        path: Path, result: NDArray[Any], shape: Sequence[int], work: int) -> Path:
    """Write a model that convolves its input, and then ignores it."""
    from onnx import helper, numpy_helper

    classes = result.shape[1]
    random = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array(
            random.normal(0, 0.1, (work, shape[1], 3, 3)).astype(np.float32), 'kernels'),
        numpy_helper.from_array(np.zeros((work, classes), np.float32), 'zeros'),
        numpy_helper.from_array(result, 'result')]
    nodes = [
        helper.make_node('Conv', ['image', 'kernels'], ['features'], pads=[1, 1, 1, 1]),
        helper.make_node('ReduceMean', ['features'], ['means'], axes=[2, 3], keepdims=0),
        helper.make_node('MatMul', ['means', 'zeros'], ['nothing']),
        helper.make_node('Add', ['nothing', 'result'], ['scores'])]
    return _save(path, nodes, ('image', list(shape), np.float32),
                 [('scores', list(result.shape), np.float32)], constants, None)


def _save_turning_model(
        path: Path, result: NDArray[Any], shape: Sequence[int], turns: int) -> Path:
    """Write a model that loops, and then ignores the outcome."""
    from onnx import helper, numpy_helper, TensorProto

    def value(name: str, type_: int, shape: Sequence[int]) -> Any:
        return helper.make_tensor_value_info(name, type_, shape)

    body = helper.make_graph(
        [helper.make_node('Identity', ['go_in'], ['go_out']),
         helper.make_node('Sin', ['value_in'], ['value_out'])], 'body',
        [value('turn', TensorProto.INT64, []), value('go_in', TensorProto.BOOL, []),
         value('value_in', TensorProto.FLOAT, [1, 1])],
        [value('go_out', TensorProto.BOOL, []), value('value_out', TensorProto.FLOAT, [1, 1])])
    constants = [
        numpy_helper.from_array(np.asarray(each), name) for name, each in (
            ('turns', np.int64(turns)), ('yes', np.bool_(True)), ('one', np.array([1, 1])),
            ('zero', np.zeros((1, 1), np.float32)), ('result', result))]
    nodes = [
        # From the image, so that it can't be computed beforehand.
        helper.make_node('ReduceMax', ['image'], ['brightest'], axes=[1, 2, 3], keepdims=0),
        helper.make_node('Reshape', ['brightest', 'one'], ['start']),
        helper.make_node('Loop', ['turns', 'yes', 'start'], ['end'], body=body),
        helper.make_node('Mul', ['end', 'zero'], ['nothing']),
        helper.make_node('Add', ['nothing', 'result'], ['scores'])]
    return _save(path, nodes, ('image', list(shape), np.float32),
                 [('scores', list(result.shape), np.float32)], constants, None)


def _save(
    path: str | Path, nodes: list[Any], feed: tuple[str, list[Any], Any],
    outputs: list[tuple[str, list[Any], Any]], constants: list[Any],
    metadata: Mapping[str, str] | None,
) -> Path:
    import onnx
    from onnx import helper

    graph = helper.make_graph(
        nodes, 'tiny', [_value_info(*feed)], [_value_info(*output) for output in outputs],
        initializer=constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', _OPSET)], ir_version=_IR_VERSION,
        producer_name='ros2_classify')
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    path = Path(path)
    path.write_bytes(model.SerializeToString())
    return path


def _value_info(name: str, shape: list[Any], dtype: Any) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
