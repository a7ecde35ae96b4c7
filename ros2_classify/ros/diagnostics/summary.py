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
The statuses of all nodes: their rows, and whether they are good, worth a warning, or wrong.

Nothing here knows a node, so each judgement has its test. Keys that changed are published with
their old names as well, for one release; `DEPRECATED` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ros2_classify.ros.diagnostics.issues import find, Issue, Level, Status
from ros2_classify.ros.diagnostics.statistics import Ring


Rows = tuple[tuple[str, str], ...]

_QUANTILES = {'p50': 0.5, 'p95': 0.95, 'p99': 0.99}

# New keys and the old ones, which dashboards may read.
DEPRECATED = {  # words: old
    'result subscribers': 'subscribers of the answers',  # words: old
    'result rate [Hz]': 'rate answered [Hz]',  # words: old
    'last image age [s]': 'age of the last image [s]',
    'image format': 'form',
    **{f'stamp to result {each} [ms]': f'stamp to answer {each} [ms]'  # words: old
       for each in _QUANTILES},
    **{f'arrival to result {each} [ms]': f'arrival to answer {each} [ms]'  # words: old
       for each in _QUANTILES},
    'inference result rate [Hz]': 'rate of answers [Hz]',  # words: old
    'results published': 'answered',  # words: old
    'requests handled': 'requests answered',  # words: old
    'model faults': 'faults of the model',
    'reloads after faults': 'loaded anew after a fault',  # words: old
    'abandoned threads': 'threads left behind',
    'inference running for [s]': 'inference under way for [s]',
    'requested provider': 'provider asked for',
    'requested rate [Hz]': 'rate asked for [Hz]',
    'source errors': 'errors of the source',
    'dropped, no subscribers': 'dropped, not wanted by anybody',
}


def judge(issues: Sequence[Issue], fine: str) -> tuple[Level, str]:
    """Return the worst level, and all warnings and errors, worst first; ``fine`` if none."""
    if not issues:
        return Level.OK, fine
    # The order of equals stays.
    worst_first = sorted(issues, key=lambda issue: -issue.level)
    said = [each.text for each in worst_first if each.level] or [worst_first[0].text]
    return worst_first[0].level, '; '.join(said)


def with_deprecated(rows: Rows) -> Rows:
    """Append the rows' old keys, and one row that names them."""
    old = tuple((DEPRECATED[key], value) for key, value in rows if key in DEPRECATED)
    names = ', '.join(f'{DEPRECATED[key]} (now {key})' for key, _ in rows if key in DEPRECATED)
    return (*rows, *old, ('deprecated keys', names)) if old else rows


def quantile_values(name: str, ring: Ring | None) -> Rows:
    """Return rows of quantiles; none without values."""
    values = ring.quantiles(tuple(_QUANTILES.values())) if ring is not None else ()
    return tuple((f'{name} {part} [ms]', f'{1000 * value:.2f}')
                 for part, value in zip(_QUANTILES, values))


def input_status(
        topic: str, *, active: bool, issues: Sequence[Issue] = (), rate: float = 0.0,
        result_rate: float = 0.0, counts: Mapping[str, int] | None = None,
        age: float | None = None, image_format: str = '', publishers: int = 0,
        subscribers: int = 0, latency: Ring | None = None, node_latency: Ring | None = None,
        last_error: str = '', reliability: str = '',
        clip: Mapping[str, str] | None = None) -> Status:
    """Judge one camera's images; rates are those of the last second, latencies of results."""
    values = with_deprecated((
        ('topic', topic),
        ('publishers', str(publishers)),
        *((('subscription reliability', reliability),) if reliability else ()),
        ('result subscribers', str(subscribers)),
        ('rate received [Hz]', f'{rate:.1f}'),
        ('result rate [Hz]', f'{result_rate:.1f}'),
        ('last image age [s]', 'no image yet' if age is None else f'{age:.2f}'),
        ('image format', image_format or 'unknown'),
        *((name, str(count)) for name, count in (counts or {}).items()),
        *(clip or {}).items(),
        *quantile_values('stamp to result', latency),
        *quantile_values('arrival to result', node_latency),
        ('last error', last_error or 'none')))
    if not active:
        return Status(Level.OK, 'the node is not active', values)
    fine = f'waiting for the first image on {topic}' if age is None else (
        f'{rate:.1f} images and {result_rate:.1f} results per second')
    return Status(*judge(issues, fine), values)


def positions_status(
        *, active: bool, wanted: bool, sources: Mapping[str, str], located: int,
        missing: Mapping[str, int], issues: Sequence[Issue] = ()) -> Status:
    """Judge the positions of one camera's objects; `missing` counts those without, by issue."""
    values = (
        *sources.items(), ('objects with a position', str(located)),
        ('objects without a position', str(sum(missing.values()))),
        *((f'without a position: {key.removeprefix("position_")}', str(count))
          for key, count in sorted(missing.items())))
    if not active:
        return Status(Level.OK, 'the node is not active', values)
    fine = f'{located} objects had a position so far' if wanted else (
        'idle: nobody subscribes to positions')
    return Status(*judge(issues, fine), values)


def inference_status(
        state: str, *, activity: str = '', issues: Sequence[Issue] = (), rate: float = 0.0,
        published: int = 0, failed: int = 0, requests: int = 0, faults: int = 0, reloads: int = 0,
        abandoned: int = 0, failed_lately: int = 0, inference: Ring | None = None,
        running_for: float = 0.0, timeout: float = 0.0, last_error: str = '',
        clock_jumps: int = 0, image_backend: str = '') -> Status:
    """Judge the inference; counts since the process began, ``failed_lately`` of a second."""
    values = with_deprecated((
        ('lifecycle state', state),
        ('inference result rate [Hz]', f'{rate:.1f}'),
        ('results published', str(published)),
        ('failed', str(failed)),
        ('requests handled', str(requests)),
        ('model faults', str(faults)),
        ('reloads after faults', str(reloads)),
        ('abandoned threads', str(abandoned)),
        ('inference running for [s]', f'{running_for:.2f}'),
        ('inference timeout [s]', f'{timeout:.1f}'),
        *quantile_values('inference', inference),
        ('simulated time went back', str(clock_jumps)),
        ('image backend', image_backend or 'not configured'),
        ('last error', last_error or 'none')))
    found = list(issues)
    if failed_lately and not any(each.level == Level.ERROR for each in found):
        found.append(find('some_failed', count=failed_lately, reason=last_error))
    fine = activity or (
        f'{rate:.1f} results per second' if state == 'active' else f'the node is {state}')
    return Status(*judge(found, fine), values)


def model_status(
        name: str = '', *, task: str = '', sha256: str = '', requested: str = '',
        provider: str = '', fell_back: bool = False, version: int = 0, load_time: float = 0.0,
        engine_time: float = 0.0, warm_up_time: float = 0.0, refused: str = '',
        unverified: Sequence[str] = (), counts: Mapping[str, int] | None = None,
        issues: Sequence[Issue] = (), tuning: str = '') -> Status:
    """Judge the model, if one is loaded; ``refused`` is why the last change of it was."""
    keys = ', '.join(unverified)
    values = with_deprecated((
        ('model', name or 'none'), ('task', task), ('sha256', sha256),
        ('requested provider', requested), ('provider', provider),
        ('models loaded so far', str(version)),
        ('fetched, converted and loaded in [s]', f'{load_time:.3f}'),
        ('engine built and started in [s]', f'{engine_time:.3f}'),
        ('warmed up in [s]', f'{warm_up_time:.3f}'),
        ('last change refused', refused or 'no'),
        ('unverified', keys or 'none'),
        ('tuning', tuning or 'none'),
        *((name, str(count)) for name, count in (counts or {}).items())))
    if not name:
        return Status(*judge([find('no_model')], ''), values)
    found = list(issues)
    if fell_back:
        found.append(find('fell_back', model=name, provider=provider, asked=requested))
    if refused:
        found.append(find('change_refused', model=name, reason=refused))
    if unverified:
        found.append(find('unverified', model=name, keys=keys))
    return Status(*judge(found, f'{name} on {provider}'), values)


def camera_status(
        source: str, topics: Sequence[str], *, subscribers: int = 0, published: int = 0,
        rate: float = 0.0, requested_rate: float = 0.0, age: float | None = None,
        image_format: str = '', errors: int = 0, issues: Sequence[Issue] = ()) -> Status:
    """Judge a camera node; a requested rate of 0 is the source's own."""
    values = with_deprecated((
        ('source', source),
        ('topics', ', '.join(topics)),
        ('subscribers', str(subscribers)),
        ('published', str(published)),
        ('rate [Hz]', f'{rate:.1f}'),
        ('requested rate [Hz]', f'{requested_rate:.1f}' if requested_rate else 'any'),
        ('last image age [s]', 'none published' if age is None else f'{age:.2f}'),
        ('image format', image_format or 'unknown'),
        ('source errors', str(errors))))
    found = list(issues)
    if not subscribers:
        found.append(find('camera_unheard', topics=' or '.join(topics)))
    return Status(*judge(found, f'{rate:.1f} images per second'), values)
