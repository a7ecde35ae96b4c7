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


"""The distribution of latencies as an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ros2_classify_benchmark.measure import Measured
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.shared_settings import engine_values

# Colours that people with colour blindness tell apart (Okabe and Ito, 2008).
_COLORS = ('#555555', '#E69F00', '#0072B2', '#009E73', '#D55E00', '#CC79A7')


def check(path: Path) -> None:
    """Raise BenchError where no such plot can be drawn, before anything is measured."""
    _pyplot()
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lstrip('.').lower() not in known:
        raise BenchError(
            f'{path} has no ending that Matplotlib draws; name it .png, or one of: '
            f'{", ".join(sorted(known))}')


def plot(found: Measured, path: Path) -> None:
    """Draw how many frames took how long, for the bare loop, the transport and each node."""
    pyplot = _pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.8), layout='constrained')
    series = _series(found)
    # From one millisecond to hundreds: by factors, so that short times are no spike.
    bins = np.geomspace(min(values.min() for values in series.values()),
                        max(values.max() for values in series.values()) * 1.01, 90)
    for color, (name, values) in zip(_COLORS, series.items()):
        parts = np.full(values.size, 1.0 / values.size)
        left.hist(values, bins, histtype='stepfilled', color=color, alpha=0.35, weights=parts)
        left.hist(values, bins, histtype='step', color=color, weights=parts,
                  label=f'{name}: {np.median(values):.1f} ms')
        ordered = np.sort(values)
        # As much of the tail as there are frames for, on a scale of nines.
        rank = 1.0 - np.arange(ordered.size) / ordered.size
        right.step(ordered, rank, color=color, label=name, where='post')
    left.set(xlabel='ms', ylabel='part of the frames', xscale='log',
             title='Latency at a paced rate, medians in the legend')
    left.xaxis.set_major_formatter('{x:g}')
    left.xaxis.set_minor_formatter(_few_labels)
    left.set_ylim(0.0, 1.5 * left.get_ylim()[1])
    left.legend()
    right.set(xlabel='ms', ylabel='part of the frames that took longer', yscale='log',
              title='The tail', xlim=(0.0, None))
    right.grid(alpha=0.3)
    image, threads = found.frames, engine_values(found.settings)['threads']
    figure.suptitle(
        f'{found.facts["name"]}, {image["width"]}x{image["height"]} {image["encoding"]} '
        f'({image["transport"]}) at {found.settings.rate:g}/s, {threads} thread(s)')
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise BenchError(f'the plot {path} cannot be written: {error.strerror}') from error
    finally:
        pyplot.close(figure)


def _series(found: Measured) -> dict[str, Any]:
    """Return the latencies in ms of all systems that have some."""
    series = {'bare loop': np.concatenate(
        [round_.bare_paced['latencies'] for round_ in found.rounds])}
    if found.transport is not None:
        series['transport alone'] = found.transport.matched.latencies * 1e3
    for name in found.nodes:
        runs = [round_.paced[name] for round_ in found.rounds]
        series[f'{name}: in the node'] = np.concatenate([run.in_node for run in runs]) * 1e3
        series[f'{name}: stamp to result'] = np.concatenate(
            [run.matched.latencies for run in runs]) * 1e3
    return {name: values for name, values in series.items() if values.size}


def _few_labels(value: float, _: Any) -> str:
    """Label 2 and 5 of each decade; more would overlap."""
    first = f'{value:e}'[0]
    return f'{value:g}' if first in '25' else ''


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise BenchError(
            'a plot needs Matplotlib; install it with: pip install matplotlib '
            '(apt: python3-matplotlib)') from error
    # No window: machines that measure have no screen.
    matplotlib.use('Agg')
    from matplotlib import pyplot

    return pyplot
