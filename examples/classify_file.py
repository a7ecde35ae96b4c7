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
Classify an image file; no ROS needed.

    python examples/classify_file.py photo.jpg
    python examples/classify_file.py photo.jpg --model my_model.onnx
"""

import argparse

from ros2_classify import Pipeline, read_image


def main() -> None:
    parser = argparse.ArgumentParser(description='Classify an image file.')
    parser.add_argument('image')
    parser.add_argument('--model', default='cards_classifier')
    arguments = parser.parse_args()

    with Pipeline.load(arguments.model, task='classification') as pipeline:
        found = pipeline(read_image(arguments.image), 'bgr')
    if not len(found):
        print('no class above the threshold')
    for label, score in zip(found.labels, found.scores):
        print(f'{label}: {score:.2f}')


if __name__ == '__main__':
    main()
