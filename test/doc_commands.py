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

"""Every command of the documents: where it stands, how it is tried, or why it is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import re
import shlex

from ros2_classify import cli
from ros2_classify.testing import save_color_classifier
import shared_data

PAGES = sorted(
    path for pattern in ('*.md', 'docs/**/*.md', 'docker/*.md', 'training/*.md')
    for path in shared_data.ROOT.glob(pattern))

# What no test runs, and why. The first row that fits a command counts; a row that fits none is
# an error.
NOT_RUN = (
    (r'(python )?examples/remote/', 'engines/remote/test_real_servers.py starts these servers'),
    (r'.*( remote:=|--remote )', 'needs a model server; engines/remote has fakes and real ones'),
    (r'(sudo )?apt |rosdep |(pip|\S+/pip) |uv pip ', 'changes the packages of the machine'),
    (r'for name in|done$', 'pins packages again: needs the package index'),
    (r'colcon build|python3 -m colcon build',
     'scripts/setup builds the same; test_package.py looks at what it has installed'),
    (r'source |cd (?!directory)|export |python3 -m venv |eval "\$\(register-python-argcomplete ',
     'sets up the shell that the next command runs in'),
    (r'scripts/(setup|check|test|demo)( --tensorflow)?$', '.ci/run runs it'),
    (r'scripts/shell pip-licenses$', 'lists what is installed'),
    (r'scripts/tools/run pages ', 'scripts/check docs builds the same pages'),
    (r'training-env/bin/python -m training finetune ',
     'needs PyTorch; test/training/test_finetune.py runs the loop in two steps'),
    (r'scripts/shell python -m (training\.(dataset|checker)|'
     r'ros2_classify (evaluate|curate|label|models threshold)) |'
     r'scripts/shell python -m ros2_classify models quantize cards_detector --images cards',
     'packages/ros2_classify_evaluation/test runs the same on fewer images'),
    (r'(scripts/shell )?python -m ros2_classify models tune |PYTHONPATH=~/openvino',
     'measures for minutes; test/tuning runs it on a tiny model'),
    (r'scripts/bench(_gpu)?( |$)', 'needs minutes and a quiet machine; its tests run its parts'),
    (r'scripts/label_cluster( |$)', 'needs minutes and Dask and Ray; it is a test by itself'),
    (r'sha256sum .* > ', 'ros/server/test_server_policy.py reads such a file'),
    (r'git clone |\.venv/tensorflow/bin/python packages/ros2_classify_benchmark/predecessor/',
     'needs the internet and TensorFlow; test/ros/test_predecessor.py tries both programs'),
    (r'scripts/shell python -m ros2_classify_benchmark\.nodes\.messages ',
     'takes minutes; the tests of the benchmark run its parts'),
    (r'scripts/shell python -m ros2_classify_benchmark\.steps$', 'measures times for a minute'),
    (r'(scripts/demo --watch|python -m ros2_classify watch )',
     'runs until Ctrl-C; test/web/test_watch.py runs it'),
    (r'scripts/test -m network ', 'needs the internet'),
    (r'ROS2_CLASSIFY_MOT_DATA=\S+ scripts/test ', 'runs this and other tests'),
    (r'scripts/shell python test/(tracking/tracker|ros/server/positions|clips/clip)_time.py$',
     'a test runs it with few images'),
    (r'.*\b(camera|client_test|composed)\b.* source:=0$', 'needs a webcam'),
    (r'ros2 run ros2_classify camera .* source:=(rtsp://|drive\.mcap)',
     'needs a camera on the network, or a bag; test/sources reads both'),
    (r'ros2 run ros2_classify server .* ground_frame:=',
     'needs tf2_ros, which no wheel has; test/ros/server has a stand-in'),
    (r'python -m ros2_classify infer --model areas.yaml ', 'test/test_docs.py makes the model'),
    (r'scripts/shell python test/web/watch_film.py ',
     'needs Chromium and half a minute; test/test_docs.py looks at the film'),
    (r'ros2 run v4l2_camera ', 'needs a webcam and its driver'),
    (r'ros2 run rqt_', 'needs a desktop'),
    (r'ros2 (topic|lifecycle|param|pkg|service|action|bag) ',
     'needs the command line tools of ROS 2'),
    (r'dask (scheduler|worker) ', 'starts a cluster; test_label.py starts one where Dask is'),
    (r'ros2 launch foxglove_bridge ', 'needs the bridge of Foxglove'),
    (r'yolo export ', 'needs PyTorch and the package of Ultralytics'),
    (r'python -m ros2_classify infer .*--source drive.mcap',
     'test/sources/test_bag.py reads such a recording'),
    (r'ros2 security ', 'needs the tools of SROS 2; test/ros/test_sros2.py reads the policy'),
    (r'ROS_SECURITY_ENCLAVE_OVERRIDE=',
     'needs a keystore; test/ros/test_sros2.py runs the health check without one'),
    (r'docker ', 'needs an engine for containers; test_docker.py reads the files'),
    (r'python -m ros2_classify models fetch yolox_nano$|.*--model yolox_nano ',
     'needs the internet; test_catalogue_entries.py -m network fetches it'),
    (r'python3 -m ros2_classify models bundle my_model.yaml yolox_s ', 'needs the internet'),
    (r'python -m ros2_classify infer --model gestures.yaml ',
     'test/cli/test_infer_clips.py runs such models on a video'),
    (r'python -m ros2_classify models convert ',
     'needs TensorFlow; test/convert/test_cli_convert.py runs it'),
)


@dataclass(frozen=True)
class Command:
    """One command of one page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its words; those of scripts/shell are skipped, for tests run in its environment."""
        words = shlex.split(self.text)
        return words[1:] if words[0] == 'scripts/shell' else words

    @property
    def verb(self) -> str:
        """The verb of our command line that it runs; empty where it runs something else."""
        words = self.words
        if words[:3] == ['ros2', 'run', 'ros2_classify']:
            return words[3]
        if words[1:3] == ['-m', 'ros2_classify'] and words[0] in ('python', 'python3'):
            return words[3]
        return words[1] if words[0] == 'ros2_classify' else ''

    @property
    def arguments(self) -> list[str]:
        """The words from the verb on."""
        return self.words[self.words.index(self.verb):]

    @property
    def reason(self) -> str:
        """Why it is not run; empty where it is."""
        return next((reason for pattern, reason in NOT_RUN if re.match(pattern, self.text)), '')

    @property
    def kind(self) -> str:
        """Return how it is tried, or that it is not run."""
        if self.reason:
            return 'not run'
        if self.words[:2] == ['ros2', 'launch']:
            return 'launch'
        if self.words[:2] == ['python', '-c']:
            return 'python'
        if self.text.startswith('cd directory && '):
            return 'shell'
        return 'node' if self.verb in cli.NODES else 'verb' if self.verb else 'unknown'


def save_models(directory: Path, *names: str) -> None:
    """Write a model under each of the names that the commands have for the reader's own."""
    for name in names:
        save_color_classifier(directory / f'{name}.onnx')
        (directory / f'{name}.yaml').write_text(
            f'source: {{path: {name}.onnx}}\nlabels: [red, green, blue]\n'
            'output: {decoder: classification, activation: softmax}\n')


def commands() -> list[Command]:
    """
    Return all commands in blocks of bash, without comments, each once.

    Blocks that are called otherwise, as something to be typed somewhere, have commands as well:
    what is none of them must not be called so.
    """
    found: dict[str, Command] = {}
    for path in PAGES:
        text = path.read_text(encoding='utf-8')
        for block in re.findall(
                r'^```(?:bash|console|sh|shell|text)\n(.*?)^```', text, flags=re.M | re.S):
            for line in block.replace('\\\n', ' ').splitlines():
                line = re.sub(r'(^|\s+)#( .*|$)', '', line).strip()
                if line:
                    page = str(path.relative_to(shared_data.ROOT))
                    found.setdefault(line, Command(page, line))
    return list(found.values())


def of_kind(kind: str) -> list[Command]:
    """Return the commands that are tried in one way."""
    return [command for command in commands() if command.kind == kind]
