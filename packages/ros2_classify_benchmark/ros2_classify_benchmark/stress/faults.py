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

"""What happens to a server in a soak; each fault leaves everything as it found it."""

from __future__ import annotations

from collections.abc import Callable
import random
import time

from ros2_classify_benchmark.stress.camera import BAD
from ros2_classify_benchmark.stress.models import Known
from ros2_classify_benchmark.stress.testbed import TestBed
from sensor_msgs.msg import Image

# Seconds for a server to leave a topic when nobody listens: it waits for two, and looks once a
# second.
_LEAVES = 20.0
_POLL = 0.1
_SIZES = ((400, 300), (320, 240), (401, 299), (160, 120))
_ENCODINGS = ('rgb8', 'bgr8', 'mono8', 'bgra8')


class Faults:
    """
    Prepares faults, in an order that a seed decides.

    Parameters
    ----------
    bed : TestBed
        The processes.
    seed : int
        Where the order begins.
    expect : callable
        Called with whether something is as it should be, and a sentence for where it isn't.

    """

    def __init__(self, bed: TestBed, seed: int, expect: Callable[[bool, str], None]) -> None:
        self._bed = bed
        self._random = random.Random(seed)
        self._expect = expect
        self._model = bed.known[0]
        self._faults: dict[str, Callable[[], None]] = {
            'bad images': self._bad_images, 'camera killed': self._camera_killed,
            'camera restarted': self._camera_restarted, 'stamps back in time': self._back_in_time,
            'parameters set': self._parameters, 'models changed': self._change_model,
            'models refused': self._refused_model, 'subscribers came and went': self._guests,
            'nobody listening': self._nobody, 'requests': self._requests,
            'deactivated and activated': self._pause}
        self._left: list[str] = []

    def do_next(self) -> str:
        """Do the next one and return its name: each has its turn before one comes again."""
        if not self._left:
            self._left = list(self._faults)
            self._random.shuffle(self._left)
        name = self._left.pop()
        self._faults[name]()
        self._bed.wait_for_results()
        return name

    def change_model(self) -> None:
        """Set another model."""
        self._change_model()

    def set_model(self, model: Known) -> None:
        """Set a certain model, and wait until it answers."""
        self._model = model
        reason = self._bed.operator.set_values(model=str(model.path))
        self._expect(not reason, f'the model {model.name} was refused: {reason}')
        # Two answers of the old one may be on their way.
        self._bed.wait_for_results(3)
        self._serves()

    def refused_model(self) -> None:
        """Set a model that can't be had."""
        self._refused_model()

    def _bad_images(self) -> None:
        assert self._bed.camera is not None
        self._bed.camera.ask('bad', kinds=self._random.choices(BAD, k=10))
        self._bed.wait_for_results(3)

    def _camera_killed(self) -> None:
        self._restart(kill=True)

    def _camera_restarted(self) -> None:
        self._restart(kill=False)

    def _restart(self, kill: bool) -> None:
        with self._bed.frames.excused():
            self._bed.close_camera(kill)
            self._bed.open_camera(
                self._random.choice(_SIZES), self._random.choice(_ENCODINGS))
            self._bed.wait_for_results(3)

    def _back_in_time(self) -> None:
        assert self._bed.camera is not None
        self._bed.camera.ask('shift', seconds=-100.0)
        self._bed.wait_for_results(10)
        self._bed.camera.ask('shift', seconds=0.0)

    def _parameters(self) -> None:
        values = {'top_k': self._random.randint(1, 4), 'score_threshold': 0.01,
                  'class_id': 'label', 'max_image_pixels': 10**7}
        for name, value in values.items():
            self._refusal({name: value}, '')
        self._refusal({'top_k': -1}, 'top_k')
        self._refusal({'score_threshold': float('nan')}, 'score_threshold')
        self._refusal({'class_id': 'both'}, 'class_id')
        self._refusal({'provider': 'cuda'}, 'provider')

    def _refusal(self, values: dict[str, object], words: str) -> None:
        reason = self._bed.operator.set_values(**values)
        self._expect(bool(reason) == bool(words), f'{values} was answered by {reason!r}')

    def _change_model(self) -> None:
        self.set_model(self._random.choice([
            each for each in self._bed.known if each is not self._model and not each.slow]))

    def _refused_model(self) -> None:
        model = self._random.choice(self._bed.failing)
        reason = self._bed.operator.set_values(model=str(model.path))
        self._expect(model.words in reason, f'{model.path.name} was answered by {reason!r}')
        self._bed.wait_for_results(3)
        self._serves()

    def _serves(self) -> None:
        last = self._bed.frames.last
        self._expect(last == self._model.name, f'{last} answers in the place of {self._model}')

    def _guests(self) -> None:
        self._bed.operator.invite()
        self._bed.wait_for_results(10)
        self._bed.operator.dismiss()

    def _nobody(self) -> None:
        with self._bed.frames.excused():
            self._bed.operator.listen(False)
            self._expect(self._is_left_alone(), 'images are taken though nobody listens')
            self._bed.operator.listen(True)
            self._bed.wait_for_results(3)

    def _is_left_alone(self) -> bool:
        """Wait until nobody subscribes to the camera; return whether that came to be."""
        camera = self._bed.camera
        assert camera is not None
        end = time.monotonic() + _LEAVES
        while camera.ask('subscribers'):
            if time.monotonic() > end:
                return False
            time.sleep(_POLL)
        return True

    def _requests(self) -> None:
        good = Image(width=8, height=8, step=24, encoding='rgb8', data=bytes(192))
        bad = Image(width=8, height=8, step=24, encoding='rgb8', data=bytes(5))
        for image, success in ((good, True), (bad, False), (good, True)):
            response = self._bed.operator.classify(image)
            self._expect(response.success == success and success != bool(response.message),
                         f'a request was answered by {response.message!r}')

    def _pause(self) -> None:
        with self._bed.frames.excused():
            for name in ('deactivate', 'activate'):
                self._expect(self._bed.operator.transition(name), f'{name} failed')
            self._bed.wait_for_results(3)
