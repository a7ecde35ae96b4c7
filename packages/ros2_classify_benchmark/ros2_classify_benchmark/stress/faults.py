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

"""The faults of an endurance test; each one leaves everything as it found it."""

from __future__ import annotations

from collections.abc import Callable
import random
import time

from ros2_classify_benchmark.stress.camera import BAD
from ros2_classify_benchmark.stress.models import Known
from ros2_classify_benchmark.stress.testbed import Testbed
from sensor_msgs.msg import Image

# Seconds for a server without subscribers to unsubscribe: it waits for two, and checks once a
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
    testbed : Testbed
        The processes.
    seed : int
        Where the order begins.
    expect : callable
        Called with whether an expectation holds, and the complaint if it doesn't.

    """

    def __init__(self, testbed: Testbed, seed: int, expect: Callable[[bool, str], None]) -> None:
        self._testbed = testbed
        self._random = random.Random(seed)
        self._expect = expect
        self._model = testbed.known[0]
        self._faults: dict[str, Callable[[], None]] = {
            'bad images': self._bad_images, 'camera killed': self._camera_killed,
            'camera restarted': self._camera_restarted, 'stamps back in time': self._back_in_time,
            'parameters set': self._parameters, 'models changed': self._change_model,
            'models refused': self._refused_model, 'subscribers came and went': self._guests,
            'nobody listening': self._nobody, 'requests': self._requests,
            'deactivated and activated': self._pause}
        self._left: list[str] = []

    def do_next(self) -> str:
        """Do the next one and return its name: each comes once before any comes again."""
        if not self._left:
            self._left = list(self._faults)
            self._random.shuffle(self._left)
        name = self._left.pop()
        self._faults[name]()
        self._testbed.wait_for_results()
        return name

    def change_model(self) -> None:
        """Set another model."""
        self._change_model()

    def set_model(self, model: Known) -> None:
        """Set a certain model, and wait for its results."""
        self._model = model
        reason = self._testbed.operator.set_values(model=str(model.path))
        self._expect(not reason, f'the model {model.name} was refused: {reason}')
        # Two results of the old one may be on their way.
        self._testbed.wait_for_results(3)
        self._serves()

    def refused_model(self) -> None:
        """Set a model that can't be loaded."""
        self._refused_model()

    def _bad_images(self) -> None:
        assert self._testbed.camera is not None
        self._testbed.camera.ask('bad', kinds=self._random.choices(BAD, k=10))
        self._testbed.wait_for_results(3)

    def _camera_killed(self) -> None:
        self._restart(kill=True)

    def _camera_restarted(self) -> None:
        self._restart(kill=False)

    def _restart(self, kill: bool) -> None:
        with self._testbed.frames.excused():
            self._testbed.close_camera(kill)
            self._testbed.open_camera(
                self._random.choice(_SIZES), self._random.choice(_ENCODINGS))
            self._testbed.wait_for_results(3)

    def _back_in_time(self) -> None:
        assert self._testbed.camera is not None
        self._testbed.camera.ask('shift', seconds=-100.0)
        self._testbed.wait_for_results(10)
        self._testbed.camera.ask('shift', seconds=0.0)

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
        reason = self._testbed.operator.set_values(**values)
        self._expect(bool(reason) == bool(words), f'setting {values}: the reason was {reason!r}')

    def _change_model(self) -> None:
        self.set_model(self._random.choice([
            each for each in self._testbed.known if each is not self._model and not each.slow]))

    def _refused_model(self) -> None:
        model = self._random.choice(self._testbed.failing)
        reason = self._testbed.operator.set_values(model=str(model.path))
        self._expect(model.words in reason, f'{model.path.name}: the reason was {reason!r}')
        self._testbed.wait_for_results(3)
        self._serves()

    def _serves(self) -> None:
        last = self._testbed.frames.last
        self._expect(last == self._model.name, f'results are of {last}, not {self._model.name}')

    def _guests(self) -> None:
        self._testbed.operator.invite()
        self._testbed.wait_for_results(10)
        self._testbed.operator.dismiss()

    def _nobody(self) -> None:
        with self._testbed.frames.excused():
            self._testbed.operator.listen(False)
            self._expect(self._is_left_alone(), 'images are received without subscribers')
            self._testbed.operator.listen(True)
            self._testbed.wait_for_results(3)

    def _is_left_alone(self) -> bool:
        """Wait until the camera has no subscribers; return whether that happened."""
        camera = self._testbed.camera
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
            response = self._testbed.operator.classify(image)
            self._expect(response.success == success and success != bool(response.message),
                         f'the response to a request was {response.message!r}')

    def _pause(self) -> None:
        with self._testbed.frames.excused():
            for name in ('deactivate', 'activate'):
                self._expect(self._testbed.operator.transition(name), f'{name} failed')
            self._testbed.wait_for_results(3)
