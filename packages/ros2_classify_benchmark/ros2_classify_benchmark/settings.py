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


"""What is measured: the model, the images, the way they take, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

ENCODINGS = ('bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8', 'bayer_rggb8', 'yuv422')
TRANSPORTS = ('raw', 'compressed')
# Seconds of a long run: of a shorter one hardly anything would count.
SHORTEST = 5.0


@dataclass(frozen=True)
class Settings:
    """
    What a benchmark is run with.

    Parameters
    ----------
    model : str
        A name from the catalogue, a descriptor or a model file.
    source : str
        An image, a directory, a video or a bag; empty for the sample images.
    source_topic : str
        Of a bag: the topic of the images; empty for the first one.
    provider : str
        What runs the model.
    threads : int
        For one inference; 0 leaves it to the engine.
    cameras : int
        How many publish at the same time.
    rate : float
        Images a second of each camera where the run is paced.
    width, height : int
        Pixels of the images.
    encoding : str
        One of `ENCODINGS`.
    transport : str
        One of `TRANSPORTS`.
    overload : float
        How many times the bare loop's rate a saturating camera sends.
    parameters : tuple of str
        Further parameters of the server, as ``name:=value``. Those of the engine, and the
        results' thresholds and limits, apply to the bare loop as well.

    """

    model: str = 'cards_detector'
    source: str = ''
    source_topic: str = ''
    provider: str = 'auto'
    threads: int = 1
    cameras: int = 1
    rate: float = 30.0
    width: int = 640
    height: int = 480
    encoding: str = 'bgr8'
    transport: str = 'raw'
    overload: float = 2.0
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """
    How long is measured.

    Parameters
    ----------
    repetitions : int
        Alternations of bare loop and node.
    paced, saturated : float
        Seconds of one run, the warm-up included.
    warm : float
        Seconds at the beginning of a run that don't count.
    budget : float
        Seconds after which no repetition begins any more, once there were three.
    search : bool
        Whether the highest rate with less than 5 % loss is searched.

    """

    repetitions: int = 5
    paced: float = 5.0
    saturated: float = 4.0
    warm: float = 0.5
    budget: float = 600.0
    search: bool = True


# Ends within a minute, also on two slow cores.
QUICK = Plan(repetitions=5, paced=1.7, saturated=1.4, warm=0.4, budget=34.0, search=False)
