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
Film the page of ``watch`` for the README: ``python test/web/watch_film.py OUTPUT.webp``.

A camera moves over the printed sheet of cards, which is calculated; the page is shown by a real
Chromium, and the slider of the score is moved up and down. Needs Pillow.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from browser import Browser  # noqa: E402, I100
from sheet_camera import photograph, View  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
COUNT, RATE = 40, 5
SIZE = (1060, 640)
NAME = "document.querySelector('figcaption .name').textContent"


def film(directory: Path) -> None:
    """Write the camera's images: one round, so that the last is followed by the first."""
    sheet = cv2.imread(str(ROOT / 'models/cards_sheet.png'))
    for number in range(COUNT):
        sine, cosine = (f(2 * np.pi * number / COUNT) for f in (np.sin, np.cos))
        view = View(440 + 50 * cosine, tilt=18 * sine, turn=22 * cosine, roll=8 * sine)
        cv2.imwrite(str(directory / f'camera{number:02}.png'),
                    photograph(sheet, view, (640, 480), noise=1.0))


def threshold(number: int) -> float:
    """Return where the slider of the score is at an image."""
    place = np.clip((number / COUNT - 0.45) / 0.12, 0, 1) - np.clip(
        (number / COUNT - 0.75) / 0.12, 0, 1)
    return round(0.45 + 0.48 * float(place), 2)


def seen(directory: Path) -> Iterator[Image.Image]:
    """Run ``watch`` on the images, and return the page at each of them."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'ros2_classify', 'watch', '--model', 'cards_detector',
         '--source', directory.name, '--rate', str(RATE), '--port', '0', '--no-browser'],
        stdout=subprocess.PIPE, text=True, cwd=directory.parent,
        env={**os.environ, 'PYTHONPATH': str(ROOT)})
    browser = Browser(*SIZE)
    try:
        url = re.search(r'http://\S+', process.stdout.readline())
        browser.open(url[0])
        browser.wait("document.querySelector('#link').textContent == 'live'")
        # One round first: the rate is known then.
        browser.wait(f"{NAME}.includes('camera{COUNT - 1:02}')", seconds=60)
        for number in range(COUNT):
            if threshold(number) != threshold(number - 1):
                browser.drag('score_threshold', threshold(number))
            browser.wait(f"{NAME}.includes('camera{number:02}')", f'image {number}')
            yield Image.fromarray(browser.screenshot()[..., ::-1])
    finally:
        browser.close()
        process.kill()
        process.wait()


def main() -> None:
    """Write the film."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / 'camera'
        directory.mkdir()
        film(directory)
        images = list(seen(directory))
    images[0].save(sys.argv[1], save_all=True, append_images=images[1:],
                   duration=1000 // RATE, loop=0, quality=55, method=4, minimize_size=True)
    print(f'{sys.argv[1]}: {len(images)} images, {os.path.getsize(sys.argv[1]) / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
