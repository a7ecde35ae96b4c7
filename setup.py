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

"""Installs the package: by colcon on a robot, by pip for the Python library alone."""

from pathlib import Path
import sys

from setuptools import find_packages, setup

NAME = 'ros2_classify'
HERE = Path(__file__).resolve().parent

# What ends up in share/ros2_classify, directory by directory.
SHARED_DIRECTORIES = ('config', 'launch', 'models', 'rviz')

# `ros2 run` finds the nodes in lib/ros2_classify, where colcon (told by setup.cfg) puts console
# scripts. A wheel puts console scripts into bin/, where names like `server` belong to nobody:
# there the nodes start as `python -m ros2_classify server`.
NODES = ('camera', 'client_test', 'composed', 'server')
MAKES_WHEEL = not {'bdist_wheel', 'dist_info', 'editable_wheel'}.isdisjoint(sys.argv)


# What an index shows; the README's images and links are paths of the repository.
DESCRIPTION = """\
Run any vision model on any camera in ROS 2: classification, detection and segmentation with ONNX
Runtime. This is the Python library with its command line; the nodes need ROS 2 beside it.

```
pip install "ros2_classify[cpu]"
ros2_classify infer cards_detector photo.jpg
ros2_classify watch best.onnx 0
```

The documentation is in the repository.
"""


def shared_files() -> list[tuple[str, list[str]]]:
    """List the data files as setuptools wants them, by the directory they are installed to."""
    share = Path('share') / NAME
    files = [
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (str(share), ['package.xml']),
    ]
    for top in SHARED_DIRECTORIES:
        for directory in sorted(
                {path.parent for path in (HERE / top).rglob('*') if path.is_file()}):
            relative = directory.relative_to(HERE)
            if '__pycache__' in relative.parts:
                continue
            names = sorted(str(relative / path.name) for path in directory.iterdir()
                           if path.is_file() and not path.name.startswith('.'))
            if names:
                files.append((str(share / relative), names))
    return files


setup(
    name=NAME,
    version='0.1.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed', 'web/page/*']},
    data_files=shared_files(),
    python_requires='>=3.10',
    install_requires=['numpy>=1.21', 'PyYAML>=5.4'],
    extras_require={
        # One of these: they share one Python module and break each other.
        # Before 1.24, a model's local functions may name files anywhere; for Python 3.10 there is
        # nothing newer than 1.23.2. `doctor` warns below it.
        'cpu': ['onnxruntime>=1.24; python_version >= "3.11"',
                'onnxruntime>=1.23.2; python_version < "3.11"',
                'opencv-python-headless>=4.5,<5'],
        'gpu': ['onnxruntime-gpu[cuda,cudnn]>=1.24; python_version >= "3.11"',
                'onnxruntime-gpu[cuda,cudnn]>=1.23.2; python_version < "3.11"',
                'opencv-python-headless>=4.5,<5'],
        # In place of [cpu]: the same module with Intel's provider, faster on many CPUs.
        'openvino': ['onnxruntime-openvino>=1.24; python_version >= "3.11"',
                     'onnxruntime-openvino>=1.23; python_version < "3.11"',
                     'opencv-python-headless>=4.5,<5'],
        'test': ['hypothesis>=6', 'jsonschema>=4', 'matplotlib>=3.5', 'onnx>=1.15',
                 'pytest>=7,<9', 'rosbags>=0.10'],
        # Only for labels on images that are not ASCII.
        'fonts': ['pillow>=9.2'],
        # Only for recordings that Foxglove opens.
        'mcap': ['foxglove-sdk>=0.20'],
        # Only for reading bags as sources of images.
        'bag': ['rosbags>=0.10'],
        # Only for model servers by gRPC; see docs/remote.md.
        'remote': ['grpcio>=1.51'],
        # Only for completing what is typed in a shell.
        'completion': ['argcomplete>=1.12'],
        # Only for changing models: a batch dimension, int8.
        'tools': ['onnx>=1.15'],
        # Only for converting TensorFlow models, on any machine; see docs/tensorflow.md.
        'tensorflow': [
            'tensorflow-cpu>=2.16; platform_machine == "x86_64"',
            'tensorflow>=2.16; platform_machine != "x86_64"',
            'tf2onnx>=1.17',
        ],
        # Only for `evaluate`, `curate` and `label`, which the package ros2_classify_evaluation in
        # packages/ has.
        'eval': ['onnx>=1.15', 'pillow>=9.2', 'pyarrow>=14', 'rosbags>=0.10'],
        'training': ['onnx>=1.15', 'torch>=2.2'],
    },
    long_description=DESCRIPTION,
    long_description_content_type='text/markdown',
    classifiers=[
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    zip_safe=True,
    maintainer='the ros2_classify authors',
    maintainer_email='ros2_classify@users.noreply.github.com',
    description='Image classification and object detection for ROS 2, with any ONNX model',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            f'{NAME} = {NAME}.cli:main',
            *(() if MAKES_WHEEL else (f'{node} = {NAME}.ros.main:{node}' for node in NODES)),
        ],
        # `ros2 doctor` runs the checks of this package's doctor, too.
        **({} if MAKES_WHEEL else {
            'ros2doctor.checks': [
                'ClassifyCheck = ros2_classify.ros.diagnostics.ros2_doctor:ClassifyCheck'],
            'ros2doctor.report': [
                'ClassifyReport = ros2_classify.ros.diagnostics.ros2_doctor:ClassifyReport'],
        }),
    },
)
