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


"""The main measurement: node and bare loop alternately, in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
import time
from typing import Any

from ros2_classify_benchmark import plain_cpp
from ros2_classify_benchmark.agreement import Agreement, compare
from ros2_classify_benchmark.runs import MIB, Run
from ros2_classify_benchmark.session import Session, Started
from ros2_classify_benchmark.settings import Plan, Settings
from ros2_classify_benchmark.statistics import (
    Found, highest_rate, MAX_LOSS, median, ratio, rounded, summary)
from ros2_classify_benchmark.systems import echo, other, server, System

Say = Callable[[str], None]

# A pace is one where the model rests for some of the time.
_PACED = 0.9

# The least alternations that a median means something of.
_FEWEST = 3


@dataclass
class Round:
    """One round: the bare loop and every node, paced and saturated."""

    bare_paced: dict[str, Any]
    bare_saturated: dict[str, Any]
    paced: dict[str, Run] = field(default_factory=dict)
    saturated: dict[str, Run] = field(default_factory=dict)


@dataclass
class Measured:
    """
    All that a measurement found.

    Parameters
    ----------
    settings : Settings
        What was measured.
    facts : dict
        The model's name, task and provider.
    frames : dict
        What the images were.
    profile : str or None
        The DDS profile of the camera's process.
    rounds : list of Round
        The alternations.
    nodes : dict
        For each node: seconds to active and to the first result.
    transport : Run or None
        The echo node's paced run.
    bare_memory : float
        MiB of the bare loop.
    searched : dict
        For each node, the search of its highest rate.
    agreement : Agreement or None
        How close the results of both nodes are, where that was compared.

    """

    settings: Settings
    facts: dict[str, Any]
    frames: dict[str, Any]
    profile: str | None
    rounds: list[Round] = field(default_factory=list)
    nodes: dict[str, Started] = field(default_factory=dict)
    transport: Run | None = None
    bare_memory: float = float('nan')
    searched: dict[str, Found] = field(default_factory=dict)
    agreement: Agreement | None = None

    def over_rounds(self, value: Callable[[Round], float]) -> float:
        """Return the median over the rounds of a value that each one gives."""
        return median([value(round_) for round_ in self.rounds])

    @property
    def latency_ratio(self) -> float:
        """Time in our node over the paced bare loop, medians."""
        return self.over_rounds(
            lambda each: ratio(each.paced['node'].in_node_ms, bare_ms(each.bare_paced)))

    def throughput_ratio(self, name: str = 'node') -> float:
        """Return the output rate of a saturated node over that of the saturated bare loop."""
        return self.over_rounds(
            lambda each: ratio(each.saturated[name].rate_out, each.bare_saturated['rate']))


def bare_ms(run: dict[str, Any]) -> float:
    """Return the median of a run of the bare loop, in ms."""
    return median(run['latencies'])


def measure(
        settings: Settings, plan: Plan, directory: Path, say: Say, against: str = '') -> Measured:
    """Measure our server, and another node beside it, against the bare loop."""
    begun = time.monotonic()
    with Session(settings, directory) as session:
        found = Measured(settings, session.facts, session.frames, None)
        systems = [server(settings, session.task, directory)]
        if against:
            systems.append(other(settings, session.facts, against))
        transport = echo(settings)
        session.open_source([*systems, transport])
        found.profile = session.profile
        found.nodes = {system.name: _start(session, system, say) for system in systems}
        if against == plain_cpp.NAME:
            found.agreement = compare(*(
                session.detections(node) for node in found.nodes.values()))
            say(str(found.agreement))
        for number in range(plan.repetitions):
            if number >= _FEWEST and time.monotonic() - begun > plan.budget:
                say(f'no more than {number} of {plan.repetitions} rounds: they have taken more '
                    f'than {plan.budget:.0f} s')
                break
            say(f'round {number + 1} of {plan.repetitions}')
            found.rounds.append(_round(session, plan, found.nodes, found.rounds))
        found.bare_memory = session.bare_memory() / MIB
        if plan.search:
            for name, node in found.nodes.items():
                say(f'searching the highest rate of the {name}')
                found.searched[name] = _search(session, node, plan, found.rounds)
        say('transport alone')
        found.transport = session.run(
            session.start(transport), settings.rate, plan.paced, plan.warm)
    return found


def _start(session: Session, system: System, say: Say) -> Started:
    say(f'starting the {system.name}')
    return session.start(system)


def _round(
        session: Session, plan: Plan, nodes: dict[str, Started], before: Sequence[Round]) -> Round:
    """Run the bare loop and all nodes once; who is first changes from round to round."""
    rate = session.settings.rate
    round_ = Round({}, {})

    def run_bare_paced() -> None:
        round_.bare_paced = session.run_bare(rate, plan.paced, plan.warm)

    def run_bare_saturated() -> None:
        round_.bare_saturated = session.run_bare(0.0, plan.saturated, plan.warm)

    def run_paced(node: Started) -> None:
        round_.paced[node.system.name] = session.run(node, rate, plan.paced, plan.warm)

    def run_saturated(node: Started) -> None:
        # Where the nodes come first, what the bare loop managed in the previous round has to do.
        bare = round_.bare_saturated or before[-1].bare_saturated
        overload = session.settings.overload * bare['rate'] / session.settings.cameras
        round_.saturated[node.system.name] = session.run(
            node, overload, plan.saturated, plan.warm)

    for bare_step, node_step in (
            (run_bare_paced, run_paced), (run_bare_saturated, run_saturated)):
        steps: list[Callable[[], None]] = [
            bare_step, *(partial(node_step, node) for node in nodes.values())]
        for step in steps if len(before) % 2 == 0 else reversed(steps):
            step()
    return round_


def _search(session: Session, node: Started, plan: Plan, rounds: list[Round]) -> Found:
    """Search between half of what came out under overload and a little more than that."""
    name = node.system.name
    reached = median([round_.saturated[name].rate_out for round_ in rounds])
    return highest_rate(
        lambda rate: _loss(session.run(node, rate, plan.saturated, plan.warm)),
        max(1.0, reached / 2), max(2.0, reached * 1.1), max_loss=MAX_LOSS)


def _loss(run: Run) -> float:
    """Return the part without a result of the images asked for: also of those never sent."""
    asked = run.offered * run.seconds
    return max(0.0, 1.0 - float(run.matched.has_result.sum()) / asked)


def report(found: Measured) -> dict[str, Any]:
    """Return a measurement's values for JSON."""
    result: dict[str, Any] = {
        'latency_ratio': rounded(found.latency_ratio, 4),
        'throughput_ratio': rounded(found.throughput_ratio(), 4),
        'model': found.facts['name'], 'model_sha256': found.facts['sha256'],
        'task': found.facts['task'],
        'provider': found.facts['provider'], 'dds_profile': found.profile,
        'input': found.frames, 'repetitions': len(found.rounds), 'bare': _bare(found),
        'nodes': {name: _node(found, name) for name in found.nodes},
        'transport': found.transport.to_dict() if found.transport else None,
    }
    if 'other' in found.nodes:
        result['against'] = _against(found)
    if found.agreement is not None:
        result['agreement'] = asdict(found.agreement)
    result['notes'] = _notes(found)
    result['rounds'] = [{
        'bare_paced_ms': rounded(bare_ms(round_.bare_paced)),
        'bare_saturated_per_s': rounded(round_.bare_saturated['rate']),
        'paced': {name: run.to_dict() for name, run in round_.paced.items()},
        'saturated': {name: run.to_dict() for name, run in round_.saturated.items()},
    } for round_ in found.rounds]
    return result


def _notes(found: Measured) -> list[str]:
    """Say what the ratios can't be trusted for, in a sentence each."""
    manages = found.over_rounds(lambda each: each.bare_saturated['rate'])
    if found.settings.rate <= _PACED * manages:
        return []
    return [f'the bare loop manages {manages:.1f} images a second: a camera of '
            f'{found.settings.rate:g} leaves the node no time to rest, and what is called paced '
            f'here is overload; give --rate {max(1, int(_PACED * manages / 1.25))} or less']


def _bare(found: Measured) -> dict[str, Any]:
    latencies = [each for round_ in found.rounds for each in round_.bare_paced['latencies']]
    saturated = [each for round_ in found.rounds for each in round_.bare_saturated['latencies']]
    inferences = [each for round_ in found.rounds for each in round_.bare_paced['inferences']]
    return {
        'paced_ms': summary(latencies).to_dict(), 'inference_ms': summary(inferences).to_dict(),
        'saturated_ms': summary(saturated).to_dict(),
        'saturated_per_s': rounded(found.over_rounds(lambda each: each.bare_saturated['rate'])),
        'paced_cpu_percent': rounded(
            100 * found.over_rounds(lambda each: each.bare_paced['cpu'])),
        'pss_mib': rounded(found.bare_memory)}


def _node(found: Measured, name: str) -> dict[str, Any]:
    """Return a node's numbers: distributions over all rounds, ratios as medians of the rounds'."""
    node = found.nodes[name]
    paced = [round_.paced[name] for round_ in found.rounds]
    saturated = [round_.saturated[name] for round_ in found.rounds]
    searched = found.searched.get(name)
    values = {
        'stamp_to_result_minus_bare_ms': found.over_rounds(
            lambda each: each.paced[name].latency_ms - bare_ms(each.bare_paced)),
        'in_node_over_bare': found.over_rounds(
            lambda each: ratio(each.paced[name].in_node_ms, bare_ms(each.bare_paced))),
        'cpu_over_bare': found.over_rounds(
            lambda each: ratio(each.paced[name].cpu, each.bare_paced['cpu'])),
        'throughput_over_bare': found.throughput_ratio(name),
        'overload_latency_over_bare_paced': found.over_rounds(
            lambda each: ratio(each.saturated[name].latency_ms, bare_ms(each.bare_paced))),
        'overload_latency_over_bare_saturated': found.over_rounds(
            lambda each: ratio(each.saturated[name].latency_ms, bare_ms(each.bare_saturated))),
        'memory_over_bare_mib': median([run.pss_mib for run in paced]) - found.bare_memory,
        'first_result_s': node.first_result_s, 'active_s': node.active_s,
        'rate_below_5_percent_loss_per_s': searched.rate if searched else None,
    }
    return {
        **{key: rounded(value) for key, value in values.items()},
        'paced': together(paced), 'saturated': together(saturated)}


def together(runs: list[Run]) -> dict[str, Any]:
    """Return the runs of a node as one."""
    tables = [run.to_dict() for run in runs]

    def total(key: str) -> int | None:
        values = [table[key] for table in tables]
        return None if None in values else sum(values)

    def middle(key: str) -> Any:
        return rounded(median([table[key] for table in tables if table[key] is not None]))

    latencies = [value for run in runs for value in (run.matched.latencies * 1e3).tolist()]
    in_node = [value for run in runs for value in (run.in_node * 1e3).tolist()]
    return {
        'stamp_to_result_ms': summary(latencies).to_dict(),
        'in_node_ms': summary(in_node).to_dict(),
        **{key: total(key) for key in (
            'sent', 'received', 'processed', 'results', 'dropped_by_policy', 'lost_in_transport',
            'duplicates', 'unmatched', 'out_of_order')},
        **{key: middle(key) for key in (
            'offered_per_s', 'rate_out_per_s', 'lost_percent', 'jitter_ms', 'cpu_percent',
            'pss_mib')},
        'grows': any(table['grows'] for table in tables)}


def _against(found: Measured) -> dict[str, Any]:
    """Return our node over the other one, medians of the rounds' ratios."""
    def over(value: Callable[[Run], float], runs: str) -> float:
        return found.over_rounds(lambda each: ratio(
            value(getattr(each, runs)['node']), value(getattr(each, runs)['other'])))

    nodes = found.nodes
    values = {
        'stamp_to_result': over(lambda run: run.latency_ms, 'paced'),
        'throughput': over(lambda run: run.rate_out, 'saturated'),
        'latency_under_overload': over(lambda run: run.latency_ms, 'saturated'),
        'cpu': over(lambda run: run.cpu, 'paced'),
        'memory': over(lambda run: run.pss_mib, 'paced'),
        'start': ratio(nodes['node'].first_result_s, nodes['other'].first_result_s)}
    if 'other' in found.searched:
        values['highest_rate'] = ratio(
            found.searched['node'].rate, found.searched['other'].rate)
    return {key: rounded(value) for key, value in values.items()}
