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

"""How a node fetches and converts a model: as its parameters say, with progress in its log."""

from __future__ import annotations

from dataclasses import replace
import threading
from typing import Any

from ros2_classify.convert.options import ConvertOptions
from ros2_classify.download.options import FetchOptions
from ros2_classify.progress import LogProgress
from ros2_classify.ros.node.parameters import Parameters, Spec

FETCH_PARAMETERS = (
    Spec('offline', False, 'Leave the model alone: models come from disk and cache only; also '
         'the environment variable ROS2_CLASSIFY_OFFLINE', read_only=True),
    Spec('allow_unverified', False, 'For a trial: run what an address without a sha256 serves',
         read_only=True),
    Spec('conversion_timeout', 1800.0, 'Seconds after which the conversion of a TensorFlow model '
         'is given up', minimum=1.0, maximum=86400.0, read_only=True),
)


def fetch_options(parameters: Parameters, log: Any,
                  cancel: threading.Event | None = None) -> FetchOptions:
    """
    Return how a model is fetched.

    Parameters
    ----------
    parameters : Parameters
        With those of FETCH_PARAMETERS.
    log : rclpy logger
        Gets progress, a line every few seconds.
    cancel : threading.Event, optional
        Ends the work when it is set.

    Returns
    -------
    FetchOptions
        The options.

    """
    return FetchOptions(
        # False leaves it to the environment.
        offline=parameters['offline'] or None,
        allow_unverified=parameters['allow_unverified'],
        progress=LogProgress(lambda line: log.info(line)), cancel=cancel)


def convert_options(parameters: Parameters, fetch: FetchOptions) -> ConvertOptions:
    """
    Return how a TensorFlow model is converted.

    Parameters
    ----------
    parameters : Parameters
        With those of FETCH_PARAMETERS.
    fetch : FetchOptions
        How it is fetched: the cache and the cancel are the same.

    Returns
    -------
    ConvertOptions
        The options.

    """
    return replace(ConvertOptions.like(fetch), timeout=parameters['conversion_timeout'])
