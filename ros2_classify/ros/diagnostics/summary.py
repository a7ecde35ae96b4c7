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
What a node's numbers mean: good, worth a warning, or wrong, and in which words.

Facts go in, a `Status` comes out; nothing here knows a node, so each judgement has its test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ros2_classify.ros.diagnostics.issues import find, Finding
from ros2_classify.ros.diagnostics.statistics import Ring
from ros2_classify.ros.diagnostics.status import Level, Status

_PARTS = {'p50': 0.5, 'p95': 0.95, 'p99': 0.99}
_MS = 1000.0


def judge(findings: Sequence[Finding], fine: str) -> tuple[Level, str]:
    """
    Return the worst level, and what is said.

    Parameters
    ----------
    findings : sequence of Finding
        What is wrong.
    fine : str
        What is said where nothing is.

    Returns
    -------
    level, message
        The message holds every warning and error, the worst first.

    """
    if not findings:
        return Level.OK, fine
    # The order of equals stays.
    worst_first = sorted(findings, key=lambda finding: -finding.level)
    said = [each.text for each in worst_first if each.level] or [worst_first[0].text]
    return worst_first[0].level, '; '.join(said)


def quantile_values(name: str, ring: Ring | None) -> tuple[tuple[str, str], ...]:
    """Return rows for a status: half, 95 of 100 and 99 of 100 took no longer."""
    if ring is None or not len(ring):
        return ()
    values = ring.quantiles(tuple(_PARTS.values()))
    return tuple((f'{name} {part} [ms]', f'{value * _MS:.2f}')
                 for part, value in zip(_PARTS, values))


@dataclass(frozen=True)
class InputFacts:
    """
    What is known of one camera's images.

    Parameters
    ----------
    topic : str
        Where they come from.
    active : bool
        Whether the node is active.
    findings : sequence of Finding
        What is wrong with them.
    rate, result_rate : float
        Images and answers in the last second.
    counts : mapping of str to int
        What happened to them, and how often.
    age : float or None
        Seconds since the last image; None where none came yet.
    form : str
        Size and encoding of the last one.
    publishers, listeners : int
        Who publishes images, and who subscribes to answers.
    latency, node_latency : Ring, optional
        From the image's stamp, and from its arrival, to its answer's publication.
    last_error : str
        The newest failure on one of them.

    """

    topic: str
    active: bool
    findings: Sequence[Finding] = ()
    rate: float = 0.0
    result_rate: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    age: float | None = None
    form: str = ''
    publishers: int = 0
    listeners: int = 0
    latency: Ring | None = None
    node_latency: Ring | None = None
    last_error: str = ''


def input_status(facts: InputFacts) -> Status:
    """
    Judge one camera's images.

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
        ('publishers', str(facts.publishers)),
        ('subscribers of the answers', str(facts.listeners)),
        ('rate received [Hz]', f'{facts.rate:.1f}'),
        ('rate answered [Hz]', f'{facts.result_rate:.1f}'),
        ('age of the last image [s]', 'none came' if facts.age is None else f'{facts.age:.2f}'),
        ('form', facts.form or 'unknown'),
        *((name, str(count)) for name, count in facts.counts.items()),
        *quantile_values('stamp to answer', facts.latency),
        *quantile_values('arrival to answer', facts.node_latency),
        ('last error', facts.last_error or 'none'))
    if not facts.active:
        return Status(Level.OK, 'the node is not active', values)
    fine = f'waiting for the first image on {facts.topic}' if facts.age is None else (
        f'{facts.rate:.1f} images and {facts.result_rate:.1f} answers a second')
    return Status(*judge(facts.findings, fine), values)


@dataclass(frozen=True)
class WorkFacts:
    """
    What is known of the model at work.

    Parameters
    ----------
    state : str
        The node's lifecycle state.
    doing : str
        What goes on that takes long, such as loading a model; empty for nothing.
    findings : sequence of Finding
        What is wrong.
    rate : float
        Answers in the last second.
    answered, failed, requests, faults, reloads, hangs : int
        Images answered and failed on, requests of services answered, failures of the model
        itself, how often its model was loaded anew after one, and the threads that never came
        back from a model, since the process began.
    failed_lately : int
        Images failed on in the last second.
    inference : Ring, optional
        How long the model took.
    running_for : float
        Seconds the inference under way has taken so far; 0 if there is none.
    timeout : float
        From so many seconds on it counts as stuck.
    last_error : str
        The newest failure; empty where there was none.
    clock_jumps : int
        How often simulated time went back.

    """

    state: str
    doing: str = ''
    findings: Sequence[Finding] = ()
    rate: float = 0.0
    answered: int = 0
    failed: int = 0
    requests: int = 0
    faults: int = 0
    reloads: int = 0
    hangs: int = 0
    failed_lately: int = 0
    inference: Ring | None = None
    running_for: float = 0.0
    timeout: float = 0.0
    last_error: str = ''
    clock_jumps: int = 0


def work_status(facts: WorkFacts) -> Status:
    """
    Judge the model at work.

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
        ('faults of the model', str(facts.faults)),
        ('loaded anew after a fault', str(facts.reloads)),
        ('threads left behind', str(facts.hangs)),
        ('inference under way for [s]', f'{facts.running_for:.2f}'),
        ('inference timeout [s]', f'{facts.timeout:.1f}'),
        *quantile_values('inference', facts.inference),
        ('simulated time went back', str(facts.clock_jumps)),
        ('last error', facts.last_error or 'none'))
    findings = list(facts.findings)
    if facts.failed_lately and not any(each.level == Level.ERROR for each in findings):
        findings.append(find(
            'some_failed', count=facts.failed_lately, reason=facts.last_error))
    fine = facts.doing or (
        f'{facts.rate:.1f} answers a second' if facts.state == 'active'
        else f'the node is {facts.state}')
    return Status(*judge(findings, fine), values)


@dataclass(frozen=True)
class ModelFacts:
    """
    What is known of the model.

    Parameters
    ----------
    name, task, sha256 : str
        Which one it is; empty where none is loaded. The hash is that of the file that runs.
    asked, provider : str
        The provider asked for, and the one that runs.
    fell_back : bool
        Whether another one was to run.
    version : int
        How many models have been loaded so far.
    load_time, engine_time, warm_up_time : float
        Seconds; the first is all from fetching to the engine's start, which is the second.
    refused : str
        Why the last change of the model was refused; empty where it was not.

    """

    name: str = ''
    task: str = ''
    sha256: str = ''
    asked: str = ''
    provider: str = ''
    fell_back: bool = False
    version: int = 0
    load_time: float = 0.0
    engine_time: float = 0.0
    warm_up_time: float = 0.0
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
        ('fetched, converted and loaded in [s]', f'{facts.load_time:.3f}'),
        ('engine built and started in [s]', f'{facts.engine_time:.3f}'),
        ('warmed up in [s]', f'{facts.warm_up_time:.3f}'),
        ('last change refused', facts.refused or 'no'))
    if not facts.name:
        return Status(*judge([find('no_model')], ''), values)
    findings = []
    if facts.fell_back:
        findings.append(find(
            'fell_back', model=facts.name, provider=facts.provider, asked=facts.asked))
    if facts.refused:
        findings.append(find('change_refused', model=facts.name, reason=facts.refused))
    return Status(*judge(findings, f'{facts.name} on {facts.provider}'), values)


@dataclass(frozen=True)
class CameraFacts:
    """
    What is known of a camera node.

    Parameters
    ----------
    source : str
        What it publishes.
    topics : sequence of str
        Where.
    listeners : int
        Who subscribes.
    published : int
        Images so far.
    rate, asked_rate : float
        In the last second, and what was asked for; 0 for as fast as they come.
    age : float or None
        Seconds since the last one; None before the first.
    form : str
        Size and encoding of the last one.
    errors : int
        How often the source failed.
    findings : sequence of Finding
        What is wrong.

    """

    source: str
    topics: Sequence[str]
    listeners: int = 0
    published: int = 0
    rate: float = 0.0
    asked_rate: float = 0.0
    age: float | None = None
    form: str = ''
    errors: int = 0
    findings: Sequence[Finding] = ()


def camera_status(facts: CameraFacts) -> Status:
    """
    Judge a camera.

    Parameters
    ----------
    facts : CameraFacts
        What is known of it.

    Returns
    -------
    Status
        The judgement.

    """
    values = (
        ('source', facts.source),
        ('topics', ', '.join(facts.topics)),
        ('subscribers', str(facts.listeners)),
        ('published', str(facts.published)),
        ('rate [Hz]', f'{facts.rate:.1f}'),
        ('rate asked for [Hz]', f'{facts.asked_rate:.1f}' if facts.asked_rate else 'any'),
        ('age of the last image [s]',
         'none published' if facts.age is None else f'{facts.age:.2f}'),
        ('form', facts.form or 'unknown'),
        ('errors of the source', str(facts.errors)))
    findings = list(facts.findings)
    if not facts.listeners:
        findings.append(find('camera_unheard', topics=' or '.join(facts.topics)))
    return Status(*judge(findings, f'{facts.rate:.1f} images a second'), values)
