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
What the server's numbers mean: good, worth a warning, or wrong, and in which words.

Facts go in, a `Status` comes out; nothing here knows a node, so each judgement has its test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ros2_classify.ros.diagnostics import Level, Status

# Of so many pictures in a row that could not be read, the camera is at fault and not the cable.
_ALL_BAD = 1.0
_MS = 1000.0


@dataclass(frozen=True)
class Quantiles:
    """Times in seconds: half, 95 of 100, and 99 of 100 took no longer."""

    p50: float
    p95: float
    p99: float

    def values(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return rows for a status, in milliseconds."""
        return tuple((f'{name} {part} [ms]', f'{getattr(self, part) * _MS:.2f}')
                     for part in ('p50', 'p95', 'p99'))


@dataclass(frozen=True)
class InputFacts:
    """
    What is known of one camera's pictures.

    Parameters
    ----------
    topic : str
        Where they come from.
    active : bool
        Whether the node is active.
    subscribed : bool
        Whether the server subscribes at the moment.
    wanted : bool
        Whether anybody subscribes to the answers.
    rate : float
        Pictures in the last second.
    counts : mapping of str to int
        ``received``, ``answered``, ``replaced``, ``unwanted``, ``malformed``, ``failed``, ``lost``.
    age : float or None
        Seconds since the last picture; None where none came yet.
    silence : str
        Why none comes, where none comes; else empty.
    unusable : str
        Why the last picture could not be read; empty where it could.
    jumped_back : int
        How often the pictures' stamps went back in time.
    latency : Quantiles or None
        From the picture's stamp to its answer's publication; None before the first.

    """

    topic: str
    active: bool
    subscribed: bool
    wanted: bool
    rate: float
    counts: Mapping[str, int]
    age: float | None
    silence: str = ''
    unusable: str = ''
    lost: str = ''
    jumped_back: int = 0
    latency: Quantiles | None = None


def input_status(facts: InputFacts) -> Status:
    """
    Judge one camera's pictures.

    Parameters
    ----------
    facts : InputFacts
        What is known of them.

    Returns
    -------
    Status
        The worst of what is the matter comes first.

    """
    values = (
        ('topic', facts.topic),
        ('rate [Hz]', f'{facts.rate:.1f}'),
        ('age of the last picture [s]', 'none came' if facts.age is None else f'{facts.age:.2f}'),
        *((name, str(count)) for name, count in facts.counts.items()),
        ('stamps that went back in time', str(facts.jumped_back)),
        *(facts.latency.values('stamp to answer') if facts.latency else ()))
    return Status(*_judge_input(facts), values)


def _judge_input(facts: InputFacts) -> tuple[Level, str]:
    if not facts.active:
        return Level.OK, 'the node is not active'
    if facts.silence:
        return Level.ERROR, facts.silence
    if facts.unusable:
        return Level.ERROR, f'unusable pictures on {facts.topic}: {facts.unusable}'
    if facts.lost:
        return Level.WARN, facts.lost
    if not facts.wanted:
        return Level.OK, (
            f'idle: nobody subscribes to the answers for {facts.topic}, so its pictures are not '
            'taken')
    if facts.age is None:
        return Level.OK, f'waiting for the first picture on {facts.topic}'
    return Level.OK, f'{facts.rate:.1f} pictures a second on {facts.topic}'


@dataclass(frozen=True)
class WorkFacts:
    """
    What is known of the network at work.

    Parameters
    ----------
    state : str
        The node's lifecycle state.
    rate : float
        Answers in the last second.
    answered, failed, requests : int
        Pictures answered, pictures failed on, requests of services answered.
    failed_lately : int
        Failures in the last second.
    inference : Quantiles or None
        The network alone; None before the first answer.
    running_for : float
        Seconds the inference under way has taken so far; 0 if there is none.
    patience : float
        From so many seconds on it counts as stuck.
    last_error : str
        The newest failure; empty where there was none.
    retry_in : float or None
        Seconds until the network is tried again after a fault; None where it works.

    """

    state: str
    rate: float = 0.0
    answered: int = 0
    failed: int = 0
    requests: int = 0
    failed_lately: int = 0
    inference: Quantiles | None = None
    running_for: float = 0.0
    patience: float = 0.0
    last_error: str = ''
    retry_in: float | None = None


def work_status(facts: WorkFacts) -> Status:
    """
    Judge the network at work.

    Parameters
    ----------
    facts : WorkFacts
        What is known of it.

    Returns
    -------
    Status
        The judgement.

    """
    values = (
        ('lifecycle state', facts.state),
        ('rate of answers [Hz]', f'{facts.rate:.1f}'),
        ('answered', str(facts.answered)),
        ('failed', str(facts.failed)),
        ('requests answered', str(facts.requests)),
        *(facts.inference.values('inference') if facts.inference else ()),
        ('last error', facts.last_error or 'none'))
    return Status(*_judge_work(facts), values)


def _judge_work(facts: WorkFacts) -> tuple[Level, str]:
    if facts.patience and facts.running_for > facts.patience:
        return Level.ERROR, (
            f'the network has not come back for {facts.running_for:.0f} s: it hangs, or the '
            'machine is overloaded; the process has to be started anew')
    if facts.retry_in is not None:
        return Level.ERROR, (
            f'the network fails and is tried again in {facts.retry_in:.0f} s: {facts.last_error}')
    if facts.failed_lately:
        return Level.ERROR, (
            f'{facts.failed_lately} pictures of the last second got no answer: '
            f'{facts.last_error}')
    if facts.state != 'active':
        return Level.OK, f'the node is {facts.state}'
    return Level.OK, f'{facts.rate:.1f} answers a second'


@dataclass(frozen=True)
class ModelFacts:
    """
    What is known of the model.

    Parameters
    ----------
    name, task, sha256 : str
        Which one it is; empty where none is loaded. The hash is that of the network's file.
    asked, provider : str
        The provider asked for, and the one that runs.
    version : int
        How many models have been loaded so far.
    load_time, warm_up_time : float
        Seconds; the building of an engine is part of the first.
    refused : str
        Why the last change of the model was refused; empty where it was not.

    """

    name: str = ''
    task: str = ''
    sha256: str = ''
    asked: str = ''
    provider: str = ''
    version: int = 0
    load_time: float = 0.0
    warm_up_time: float = 0.0
    fell_back: bool = False
    refused: str = ''


def model_status(facts: ModelFacts) -> Status:
    """
    Judge the model.

    Parameters
    ----------
    facts : ModelFacts
        What is known of it.

    Returns
    -------
    Status
        The judgement.

    """
    values = (
        ('model', facts.name or 'none'), ('task', facts.task), ('sha256', facts.sha256),
        ('provider asked for', facts.asked), ('provider', facts.provider),
        ('models loaded so far', str(facts.version)),
        ('loaded in [s]', f'{facts.load_time:.2f}'),
        ('warmed up in [s]', f'{facts.warm_up_time:.2f}'))
    return Status(*_judge_model(facts), values)


def _judge_model(facts: ModelFacts) -> tuple[Level, str]:
    if not facts.name:
        return Level.OK, 'no model is loaded'
    if facts.fell_back:
        return Level.WARN, (
            f'{facts.name} runs on {facts.provider}, as {facts.asked} could not be had; the log '
            'says why, and python -m ros2_classify doctor what to do')
    if facts.refused:
        return Level.WARN, f'{facts.name} serves on: {facts.refused}'
    return Level.OK, f'{facts.name} on {facts.provider}'
