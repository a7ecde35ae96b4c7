#!/usr/bin/env python3
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
Replace the model of a running server, without a gap in its results.

    python examples/change_model.py cards_classifier
    python examples/change_model.py /path/to/model.onnx --server /front/server

The server loads the new model beside the old one, and keeps serving. If the new one does not
load, the old one stays, and the server says why. By default it takes models of the catalogue and
files below its model_roots; its parameter model_changes says which.
"""

import argparse
import sys

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
import rclpy


def main() -> int:
    parser = argparse.ArgumentParser(description='Replace the model of a running server.')
    parser.add_argument('model')
    parser.add_argument('--server', default='/server')
    parser.add_argument('--timeout', type=float, default=60.0, help='seconds')
    arguments = parser.parse_args()

    rclpy.init()
    node = rclpy.create_node('change_model')
    client = node.create_client(SetParameters, f'{arguments.server}/set_parameters')
    if not client.wait_for_service(arguments.timeout):
        print(f'error: there is no server {arguments.server}', file=sys.stderr)
        return 1
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=arguments.model)
    future = client.call_async(
        SetParameters.Request(parameters=[Parameter(name='model', value=value)]))
    rclpy.spin_until_future_complete(node, future, timeout_sec=arguments.timeout)
    if not future.done():
        print(f'error: no response within {arguments.timeout:g} s', file=sys.stderr)
        return 1
    result = future.result().results[0]
    if not result.successful:
        print(f'error: {result.reason}', file=sys.stderr)
        return 1
    print(f'{arguments.server} runs {arguments.model}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
