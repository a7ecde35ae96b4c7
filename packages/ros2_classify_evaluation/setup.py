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

"""Installs the evaluation; `python -m ros2_classify` finds its verbs by the entry points below."""

from setuptools import find_packages, setup

NAME = 'ros2_classify_evaluation'

setup(
    name=NAME,
    version='0.1.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed', 'report.js', 'report.css']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
    ],
    python_requires='>=3.10',
    install_requires=['ros2_classify', 'numpy>=1.21'],
    extras_require={'label': ['pyarrow>=14'], 'dask': ['distributed', 'pyarrow>=14'],
                    'ray': ['ray', 'pyarrow>=14'],
                    'test': ['pycocotools>=2.0.8', 'scikit-learn>=1.3', 'rosbags']},
    zip_safe=True,
    maintainer='the ros2_classify authors',
    maintainer_email='ros2_classify@users.noreply.github.com',
    description='Measure a model of ros2_classify on labelled images of your own',
    license='Apache-2.0',
    entry_points={
        'ros2_classify.verbs': [
            f'curate = {NAME}.cli_curate', f'evaluate = {NAME}.cli',
            f'label = {NAME}.cli_label'],
        'ros2_classify.comparisons': [f'labelled = {NAME}.variants:labelled'],
        'ros2_classify.models_verbs': [f'threshold = {NAME}.cli_threshold'],
    },
)
