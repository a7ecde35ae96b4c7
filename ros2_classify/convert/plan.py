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

"""What is to be converted, decided without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
import hashlib
import json
from pathlib import Path

from ros2_classify.convert.graph import Graph, read_frozen_graph, read_saved_model
from ros2_classify.convert.interface import frozen_interface, Interface, saved_interface
from ros2_classify.download.hashing import sha256_of_file, sha256_of_directory
from ros2_classify.errors import ConversionError
from ros2_classify.model.descriptor import ModelDescriptor, SAVED_MODEL_FILE

OPSET = 15

# Goes up when this program turns the same source into another file than before.
_RECIPE = 1
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Plan:
    """
    What is to be converted: everything that decides the result.

    Parameters
    ----------
    source : Path
        The frozen graph's file or the SavedModel's directory.
    sha256 : str
        Its content's.
    interface : Interface
        What goes in and comes out.
    tolerance : float
        What ONNX Runtime and TensorFlow may differ by.
    graph : Graph
        What it holds.
    descriptor : ModelDescriptor
        What the model declares.

    """

    source: Path
    sha256: str
    interface: Interface
    tolerance: float
    graph: Graph = field(repr=False)
    descriptor: ModelDescriptor = field(repr=False)

    @property
    def key(self) -> str:
        """The directory's name in the cache: 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps({
            'recipe': _RECIPE, 'opset': OPSET, 'sha256': self.sha256,
            'format': self.descriptor.format, 'tolerance': self.tolerance,
            'inputs': [str(tensor) for tensor in self.interface.inputs],
            'outputs': self.interface.outputs, 'signature': self.interface.signature,
            'tag': self.interface.tag}, sort_keys=True).encode()).hexdigest()


def make_plan(descriptor: ModelDescriptor, source: Path) -> Plan:
    """
    Decide what is to be converted, without TensorFlow.

    Parameters
    ----------
    descriptor : ModelDescriptor
        What the model declares.
    source : Path
        The frozen graph's file or the SavedModel's directory.

    Returns
    -------
    Plan
        With all names checked.

    Raises
    ------
    ConversionError
        If the source is no such model, or a tensor's name is wrong.

    """
    declared = descriptor.conversion
    if descriptor.format == 'saved_model':
        # People name the directory or the file in it.
        source = source.parent if source.name == SAVED_MODEL_FILE else source
        saved = read_saved_model(source)
        graph, sha256 = saved.graph, sha256_of_directory(source)
        interface = saved_interface(saved, declared.signature or '', str(source))
    elif descriptor.format == 'frozen_graph':
        graph, sha256 = read_frozen_graph(source), sha256_of_file(source)
        named = (descriptor.input.name,) if descriptor.input.name else ()
        interface = frozen_interface(
            graph, declared.inputs or named, declared.outputs, str(source))
    else:
        raise ConversionError(
            f'{source}: the format is {descriptor.format}; what can be converted to ONNX is a '
            'frozen_graph or a saved_model')
    return Plan(source, sha256, interface, declared.tolerance or _TOLERANCE, graph, descriptor)
