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
Colours of classes can be told apart, with protanopia and deuteranopia too.

The simulation is that of Machado, Oliveira and Fernandes, "A Physiologically-based Model for
Simulation of Color Vision Deficiency" (IEEE TVCG 15(6), 2009), table of severity 1.0; the measure
is CIEDE2000 (Sharma, Wu and Dalal, Color Research and Application 30(1), 2005), checked against
pairs of that paper.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.overlay_colors import color_of, colors_of, NAMED, named_color
from ros2_classify.results.results import Classification, Timing

VISION = {
    'normal': np.eye(3),
    'protanopia': np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    'deuteranopia': np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
}


def lab(bgr: Any, vision: str) -> list[float]:
    """Return CIELAB (D65) of a colour as one sees it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (channel / 255 for channel in reversed(bgr))]
    seen = np.clip(VISION[vision] @ linear, 0, 1)
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]]) @ seen / (0.95047, 1.0, 1.08883)
    x, y, z = (t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29
               for t in xyz)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def delta_e(one: Any, other: Any) -> float:
    """Return CIEDE2000."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean7 = ((math.hypot(a1, b1) + math.hypot(a2, b2)) / 2) ** 7
    g = 1.5 - 0.5 * math.sqrt(mean7 / (mean7 + 25 ** 7))
    c1, c2 = math.hypot(g * a1, b1), math.hypot(g * a2, b2)
    h1 = math.degrees(math.atan2(b1, g * a1)) % 360
    h2 = math.degrees(math.atan2(b2, g * a2)) % 360
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    if c1 * c2 == 0:
        hue = h1 + h2
    elif abs(h1 - h2) <= 180:
        hue = (h1 + h2) / 2
    else:
        hue = (h1 + h2 + (360 if h1 + h2 < 360 else -360)) / 2

    def cos(degrees: float) -> float:
        return math.cos(math.radians(degrees))

    t = (1 - 0.17 * cos(hue - 30) + 0.24 * cos(2 * hue) + 0.32 * cos(3 * hue + 6)
         - 0.2 * cos(4 * hue - 63))
    part_l = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2))
    part_c = (c2 - c1) / (1 + 0.045 * chroma)
    part_h = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    turned = -2 * math.sqrt(chroma ** 7 / (chroma ** 7 + 25 ** 7)) * math.sin(
        math.radians(60 * math.exp(-((hue - 275) / 25) ** 2)))
    return math.sqrt(part_l ** 2 + part_c ** 2 + part_h ** 2 + turned * part_c * part_h)


@pytest.mark.parametrize(('one', 'other', 'expected'), [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065), ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082)])
def test_the_measure_gives_the_numbers_of_its_paper(
        one: Any, other: Any, expected: float) -> None:
    assert delta_e(one, other) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize('vision', VISION)
def test_the_first_twelve_differ_for_all(vision: str) -> None:
    seen = [lab(color_of(class_id), vision) for class_id in range(12)]
    assert min(delta_e(*pair) for pair in itertools.combinations(seen, 2)) >= 10


@pytest.mark.parametrize('vision', VISION)
@pytest.mark.parametrize('model', ['cards_detector', 'cards_classifier', 'cards_cascade'])
def test_the_classes_of_the_demo_differ_for_all(model: str, vision: str) -> None:
    with Pipeline.load(model) as pipeline:
        found = pipeline(np.zeros((64, 64, 3), np.uint8), 'bgr')
        labels = [pipeline.labels.name(i) for i in range(12)]  # type: ignore[union-attr]
    assert found.colors == {'red_light': 'red', 'green_light': 'green'}
    colors = colors_of(classes(labels, found.colors))
    seen = [lab(color, vision) for color in colors]
    assert min(delta_e(*pair) for pair in itertools.combinations(seen, 2)) >= 10
    blue, green, red = colors[labels.index('red_light')]
    assert red > 200 and blue < 60 and green < 60
    blue, green, red = colors[labels.index('green_light')]
    assert green > 180 and red < 60


def classes(labels: Any, colors: Any) -> Any:
    """Return classes with their indices as ids."""
    return Classification(np.arange(len(labels)), np.ones(len(labels)),
                          np.array(labels, object), (8, 8), Timing(0, 0, 0), colors=colors)


def test_a_label_has_the_colour_of_the_descriptor() -> None:
    assert colors_of(classes(['a', 'b', 'c'], {'b': '#102030', 'c': 'white'})) == [
        color_of(0), (0x30, 0x20, 0x10), (255, 255, 255)]
    with pytest.raises(ValueError, match='"#rrggbb" or one of red'):
        named_color('rot')


def descriptor(colors: Any, labels: Any = ('dog', 'cat')) -> ModelDescriptor:
    """Return a descriptor with colours."""
    return ModelDescriptor.from_mapping({
        'source': {'path': 'pets.onnx'}, 'colors': colors,
        **({'labels': list(labels)} if labels else {}),
        'output': {'decoder': 'classification'}})


@pytest.mark.parametrize(('colors', 'words'), [
    ({'dog': 'rot'}, "colors.dog: 'rot' is no colour"), ({'dog': None}, 'None is no colour'),
    ('red', 'mapping of labels'), ({'dog': '#12'}, 'in quotes')])
def test_what_is_no_colour(colors: Any, words: str) -> None:
    with pytest.raises(DescriptorError, match=words):
        descriptor(colors)


def test_an_unknown_label_is_asked_back() -> None:
    from ros2_classify.postprocess.postprocessor import Postprocessor

    given = descriptor({'dg': 'red'})
    with pytest.raises(DescriptorError, match="colors names 'dg'.*did you mean 'dog'"):
        Postprocessor(given, given.load_labels())
    # Ids are names as well, of labels and where there are none.
    given = descriptor({'1': 'red'})
    assert Postprocessor(given, given.load_labels())._colors == {'cat': 'red'}
    assert Postprocessor(descriptor({3: 'red'}, None))._colors == {'3': 'red'}


def test_colours_are_written_again() -> None:
    from ros2_classify.model.descriptor_writer import mapping_of

    assert mapping_of(descriptor({'dog': 'red'}))['colors'] == {'dog': 'red'}
    assert 'colors' not in mapping_of(descriptor({}))


def test_named_colours_are_those_of_the_schema() -> None:
    assert all(named_color(name) for name in NAMED)
    assert named_color('#00cc66') == named_color('green')
