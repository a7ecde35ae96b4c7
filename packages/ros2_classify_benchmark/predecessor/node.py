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
The predecessor's classification node, fed by a topic: for ``bench --against``.

``node.py CHECKOUT GRAPH.pb --ros-args -r image:=… -r result:=…`` runs the code of a checkout of
https://github.com/alsora/ros2-tensorflow, which is imported, not copied. That node has a service
only and was written for an older vision_msgs; so its service is left without its type, and what it
finds on each image of ``image`` is published on ``result``, with queues of ten as its detection
node has.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
from types import ModuleType
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vision_msgs.msg import Classification, ObjectHypothesis

_PACKAGES = ('ros2_tf_core', 'tf_classification_py')
_ROOT = Path(__file__).resolve().parents[3]
_TENSORFLOW = '.venv/tensorflow/lib/python3*/site-packages'


def import_from(checkout: Path, tensorflow: Path | None) -> tuple[Any, Any, Any]:
    """
    Import the predecessor.

    Parameters
    ----------
    checkout : Path
        A checkout of its repository.
    tensorflow : Path or None
        A directory of packages with TensorFlow in it; those of this Python come first.

    Returns
    -------
    node_type, models, img_conversion : class, module, module
        Its ``ClassificationNode``, and the two modules of its core.

    """
    for package in _PACKAGES:
        directory = checkout / 'ros2-tensorflow' / package
        if not (directory / package).is_dir():
            sys.exit(f'{directory} is not there; {checkout} must be a checkout of the '
                     'predecessor: git clone https://github.com/alsora/ros2-tensorflow')
        sys.path.insert(0, str(directory))
    if tensorflow is not None:
        sys.path.append(str(tensorflow))
    # Its services are not built: nobody calls them here, and any type will do.
    services: Any = ModuleType('tf_interfaces.srv')
    services.ImageClassification = Trigger
    sys.modules.update({'tf_interfaces': ModuleType('tf_interfaces'),
                        'tf_interfaces.srv': services})
    try:
        from ros2_tf_core import img_conversion, models
        from tf_classification_py.classification_node import ClassificationNode
    except ImportError as error:
        sys.exit(f'the predecessor cannot be imported: {error}; it needs TensorFlow: '
                 'scripts/setup --tensorflow makes an environment with it, or name one by '
                 '--tensorflow')
    return ClassificationNode, models, img_conversion


def subscribed(node_type: Any, img_conversion: Any) -> Any:
    """Return a node of the predecessor's type that processes the images of a topic."""
    class Subscribed(node_type):  # type: ignore[misc]

        def __init__(self, model: Any) -> None:
            super().__init__(model, 'predecessor')
            self._result = self.create_publisher(Classification, 'result', 10)
            self.create_subscription(Image, 'image', self._publish, 10)

        def _publish(self, msg: Any) -> None:
            found = self.classify(img_conversion.image_msg_to_image_np(msg))
            self._result.publish(Classification(header=msg.header, results=[
                ObjectHypothesis(class_id=str(class_id), score=float(score))
                for class_id, score in zip(
                    found['classification_classes'], found['classification_scores'])]))

    return Subscribed


def main() -> int:
    """Run the node until it is asked to end."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('checkout', type=Path, metavar='CHECKOUT', help='of ros2-tensorflow')
    parser.add_argument('graph', type=Path, metavar='GRAPH', help='a frozen graph; see graph.py')
    parser.add_argument('--tensorflow', type=Path, metavar='DIRECTORY', help='packages with '
                        f'TensorFlow (default: {_TENSORFLOW} of this repository, where it is)')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    tensorflow = arguments.tensorflow or next(_ROOT.glob(_TENSORFLOW), None)
    node_type, models, img_conversion = import_from(arguments.checkout, tensorflow)
    rclpy.init()
    model = models.ModelDescriptor().from_path(str(arguments.graph), '')
    try:
        rclpy.spin(subscribed(node_type, img_conversion)(model))
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
