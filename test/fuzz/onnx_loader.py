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

"""Loads models, one a line of its input, and tells what came of each: `test_fuzz_onnx.py`."""

from __future__ import annotations

import logging
from pathlib import Path
import resource
import sys
import warnings

from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.pipeline import Pipeline

# Dimensions of a broken model may ask for any memory; the machine must not be asked for it.
_MEMORY = 6 * 1024 ** 3


def load(path: Path) -> str:
    """Load a model and run it once; return what came of it, in one line."""
    try:
        with Pipeline.load(path, provider='cpu', threads=1) as pipeline:
            pipeline.warm_up()
        return 'fine'
    except Ros2ClassifyError as error:
        text = ' '.join(str(error).split())
        return f'refused {text}' if text else 'empty'
    except Exception as error:  # noqa: B902 -- what must not come, told to the test
        return f'unexpected {type(error).__name__}: {" ".join(str(error).split())}'


def main() -> None:
    """Respond until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    logging.disable()
    warnings.simplefilter('ignore')
    for line in sys.stdin:
        print(load(Path(line.rstrip('\n'))), flush=True)


if __name__ == '__main__':
    main()
