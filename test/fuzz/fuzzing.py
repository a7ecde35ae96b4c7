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

"""What all fuzzing tests share: how a case is run and counted, and how bytes are spoilt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import functools
from pathlib import Path
import signal
from typing import Any

from hypothesis import given, Phase, settings, strategies as st

# How many cases of each test were tried.
CASES: Counter[str] = Counter()

# Far more than any case takes on a busy machine: what reaches it hangs.
_HANGS = 60.0
# MiB above what the process held before: the largest image allowed, in the copies it needs.
_MEMORY = 1024


def fuzz(share: float = 1.0, *, shrink: bool = True,
         **strategies: st.SearchStrategy[Any]) -> Callable[..., Any]:
    """
    Run a test on many generated cases, each counted, and none without an end or a bound.

    Parameters
    ----------
    share : float
        How many cases, as a multiple of those of the profile: less where one takes long.
    shrink : bool
        Whether a case that fails is made smaller: not where failing takes long.
    **strategies
        What makes the test's arguments.

    """
    def decorate(test: Callable[..., None]) -> Any:
        @functools.wraps(test)
        def case(*args: Any, **kwargs: Any) -> None:
            CASES[f'{test.__module__}.{test.__name__}'] += 1
            with _ending(test.__name__), _within_memory():
                test(*args, **kwargs)
        count = max(1, round(settings.default.max_examples * share))
        phases = [phase for phase in settings.default.phases if shrink or phase not in (
            Phase.shrink, Phase.explain)]
        return settings(max_examples=count, phases=phases)(given(**strategies)(case))
    return decorate


@contextmanager
def _ending(name: str) -> Iterator[None]:
    """Raise where a case takes so long that it must be hanging."""
    def give_up(number: int, frame: Any) -> None:
        raise AssertionError(f'{name} has hung for {_HANGS:.0f} s')
    old = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, _HANGS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


@contextmanager
def _within_memory() -> Iterator[None]:
    """Fail where a case takes more memory than any input may cost."""
    forget_memory_peak()
    before = memory_now()
    yield
    more = (memory_peak() - before) // 1024
    assert more < _MEMORY, f'{more} MiB more at the peak'


@st.composite
def spoilt(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Make bytes that were good once: changed, cut out, put in, doubled, or cut off."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        # Most of what a format says of itself stands near its beginning or its end.
        near = draw(st.sampled_from(('any', 'head', 'tail')))
        if near == 'head':
            start = min(start, draw(st.integers(0, 128)))
        elif near == 'tail':
            start = max(0, len(data) - draw(st.integers(0, 128)))
        length = draw(st.integers(0, 32))
        action = draw(st.sampled_from(('change', 'number', 'insert', 'remove', 'double', 'cut')))
        if action == 'change':
            data[start:start + length] = draw(st.binary(min_size=length, max_size=length))
        elif action == 'number':
            data[start:start + 4] = draw(st.sampled_from(NUMBERS))
        elif action == 'insert':
            data[start:start] = draw(st.binary(max_size=32))
        elif action == 'remove':
            del data[start:start + length]
        elif action == 'double':
            data[start:start] = data[start:start + length]
        else:
            del data[start:]
    return bytes(data)


# Numbers at which counters overflow and signs turn, in both orders of bytes.
NUMBERS = [number.to_bytes(4, order) for order in ('big', 'little') for number in (
    0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)]

# A text as it may stand in any field: odd letters, line ends and long runs among it.
TEXTS = st.one_of(
    st.text(max_size=40), st.sampled_from((
        '', ' ', '\0', '\n', 'x' * 5000, '../../etc/passwd', '/dev/zero', '/proc/self/mem', '~',
        '~nobody/x', '%s%n', '\x1b[2J', '\u202e', '9' * 400, '-0', 'nan', 'inf', '1e999',
        'https://', 'file:///etc/passwd', '1/0', '???')))


def memory_now() -> int:
    """Return how much memory the process holds, in KiB."""
    return _status('VmRSS')


def memory_peak() -> int:
    """Return the most memory that the process held since it was forgotten, in KiB."""
    return _status('VmHWM')


def forget_memory_peak() -> None:
    """Start to measure the peak again; see proc(5), clear_refs."""
    Path('/proc/self/clear_refs').write_text('5')


def _status(name: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f'{name}:'))
