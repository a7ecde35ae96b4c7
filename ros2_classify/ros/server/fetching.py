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

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
import logging
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


@contextmanager
def core_log_shown(log: Any) -> Iterator[None]:
    """Show in a node's log what the core, which knows no ROS, logs meanwhile."""
    logger = logging.getLogger('ros2_classify')
    if any(isinstance(each, _Bridge) and each.leads_to(log) for each in logger.handlers):
        # A load that never came back shows it still; each line once is enough.
        yield
        return
    bridge = _Bridge(log)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(bridge)
    try:
        yield
    finally:
        logger.removeHandler(bridge)
        logger.propagate = propagate
        logger.setLevel(level)


class _Bridge(logging.Handler):
    """Hands log records over to a node's logger."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def leads_to(self, log: Any) -> bool:
        """Tell whether this is the way to a node's logger."""
        return bool(self._log is log)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; rclpy wants a line of code for each severity."""
        if record.levelno >= logging.ERROR:
            self._log.error(record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._log.warning(record.getMessage())
        else:
            self._log.info(record.getMessage())
