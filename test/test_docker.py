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
The files for containers, as far as they can be judged without an engine.

Stages, paths, packages and programs that they name are those that the repository has.
"""

from dataclasses import dataclass
import io
import json
import os
from pathlib import Path
import re
import subprocess
from xml.etree import ElementTree

from dockerfile_parse import DockerfileParser
import pytest
from ros2_classify import cli
from shared_data import ROOT
import yaml

DOCKER = ROOT / 'docker'
FILES = ('Dockerfile', 'Dockerfile.wheels')
PREFIX = '/opt/ros2_classify/install/share/ros2_classify/'
README = (DOCKER / 'README.md').read_text()


@dataclass
class Step:
    """An instruction: its name, what `--name=value` sets, and the rest on one line."""

    name: str
    flags: dict[str, str]
    value: str


@dataclass
class Stage:
    """What is between a ``FROM`` and the next."""

    name: str
    base: str
    steps: list[Step]


def stages(name):
    found = []
    for each in DockerfileParser(fileobj=io.BytesIO((DOCKER / name).read_bytes())).structure:
        flags = dict(re.findall(r'(?:^|(?<= ))--([a-z-]+)=(\S*) ', each['value'][:80]))
        value = re.sub(r'^(--[a-z-]+=\S* +)+', '', each['value'])
        if each['instruction'] == 'FROM':
            base, _, stage = value.partition(' AS ')
            found.append(Stage(stage.strip() or str(len(found)), base.strip(), []))
        elif found and each['instruction'] != 'COMMENT':
            found[-1].steps.append(Step(each['instruction'], flags, value))
    return found


def steps(name, instruction):
    return [step for stage in stages(name) for step in stage.steps if step.name == instruction]


def compose(name='compose.yaml'):
    return yaml.safe_load((DOCKER / name).read_text())['services']


def names_a_program(words):
    """Tell whether the words behind ``-m ros2_classify`` are understood."""
    words = words[words.index('ros2_classify') + 1:]
    if words[0] in cli.NODES:
        return words[1:2] in ([], ['--ros-args'])
    return cli._parser().parse_args(words) is not None


@pytest.mark.parametrize('name', FILES)
def test_the_last_user_is_not_root(name):
    users = [[step.value for step in stage.steps if step.name == 'USER'] for stage in stages(name)]
    assert all(chosen[-1] in ('1000', '${UID}') for chosen in users[1:] if chosen), users
    assert users[1]


@pytest.mark.parametrize('name', FILES)
def test_the_health_check_and_the_command_are_verbs(name):
    runtime = stages(name)[1]
    found = {step.name: step.value for step in runtime.steps}
    check = json.loads(found['HEALTHCHECK'].partition('CMD ')[2])
    start = json.loads(found['CMD'])
    assert check[-1] == 'health' and names_a_program(check)
    assert 'server' in start and names_a_program(start)
    entry = json.loads(found['ENTRYPOINT'])
    # The check is not started by the entry point: it has to begin with it.
    assert check[:len(entry)] == entry


@pytest.mark.parametrize('name', FILES)
def test_an_image_that_cannot_run_its_model_is_not_built(name):
    last = [step.value for step in stages(name)[1].steps if step.name == 'RUN'][-1]
    words = last.replace('\\', ' ').split('ros2_classify')[-1].split()
    assert cli._parser().parse_args(words).model == ['cards_detector']


@pytest.mark.parametrize('name', FILES)
def test_what_is_copied_is_there(name):
    made = {stage.name for stage in stages(name)}
    for step in steps(name, 'COPY'):
        source = step.value.split()[0]
        assert step.flags['from'] in made if 'from' in step.flags else (ROOT / source).exists()


def test_stages_are_those_that_are_used():
    known = {'${ROS_DISTRO}'}
    for stage in stages('Dockerfile'):
        official = re.fullmatch(r'ros:\$\{ROS_DISTRO\}-ros-(core|base)', stage.base)
        assert official or stage.base in known, stage.base
        known.add(stage.name)
    assert {'build', 'runtime', 'viewer'} <= known


def test_the_image_has_what_the_manifest_names():
    """The runtime stage has all dependencies but ONNX Runtime, which comes from the build."""
    named = {each.text for each in ElementTree.parse(ROOT / 'package.xml').iter('exec_depend')}
    expected = {name if name.startswith('python3-') else
                f'"ros-${{ROS_DISTRO}}-{name.replace("_", "-")}"'
                for name in named if 'onnxruntime' not in name}
    run = next(step.value for step in stages('Dockerfile')[1].steps if step.name == 'RUN')
    installed = run.partition('--no-install-recommends')[2].partition('&&')[0].split()
    assert sorted(installed) == sorted(expected)


def test_the_documented_arguments_are_those_of_the_file():
    text = (DOCKER / 'Dockerfile').read_text()
    arguments = dict(re.findall(r'^ARG (\w+)=(.*)$', text, re.MULTILINE))
    rows = dict(re.findall(r'^\| `(\w+)` \| (\S+) \|', README, re.MULTILINE))
    assert {name: value.strip('`').replace('none', '') for name, value in rows.items()
            if name.isupper()} == arguments


def test_the_image_has_the_onnx_runtime_that_the_tests_ran_with():
    arguments = dict(re.findall(
        r'^ARG (\w+)=(.*)$', (DOCKER / 'Dockerfile').read_text(), re.MULTILINE))
    # Python in the images is 3.12 and newer; what older ones get is another pin.
    tested = {line.partition('==')[2].split()[0] for name in ('jazzy', 'kilted')
              for line in (ROOT / f'scripts/wheels/{name}.txt').read_text().splitlines()
              if line.startswith('onnxruntime==') and '<' not in line}
    assert {arguments['ONNXRUNTIME']} == tested
    tried = re.search(r'`onnxruntime-gpu` (\S+) on a machine', (ROOT / 'docs/gpu.md').read_text())
    assert arguments['ONNXRUNTIME_GPU'] == tried[1]


def test_paths_in_the_image_are_shipped():
    for path in [*DOCKER.glob('Dockerfile*'), *DOCKER.glob('*.yaml'), DOCKER / 'entrypoint.sh']:
        for inside in re.findall(re.escape(PREFIX) + r'([\w./-]+)', path.read_text()):
            assert (ROOT / inside).exists(), (path, inside)


def test_the_entry_point_knows_the_profiles_variables():
    from ros2_classify.ros.node import dds_profile

    text = (DOCKER / 'entrypoint.sh').read_text()
    old = re.search(r'^ *([a-z |]+)\) export FASTRTPS_', text, re.MULTILINE)
    assert tuple(old[1].split(' | ')) == dds_profile._OLD_DISTROS
    assert all(name in text for name in dds_profile.CHOICES)


@pytest.mark.parametrize('distro, chosen, expected', [
    ('jazzy', {}, 'FASTRTPS_DEFAULT_PROFILES_FILE'),
    ('kilted', {}, 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ('jazzy', {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}, '')])
def test_the_entry_point_sets_the_profile_and_starts_the_program(
        tmp_path, distro, chosen, expected):
    """Run it with /opt elsewhere, where two set-up files stand for those of the image."""
    script = tmp_path / 'entrypoint.sh'
    script.write_text((DOCKER / 'entrypoint.sh').read_text().replace('/opt/', f'{tmp_path}/'))
    for name, variable in ((f'ros/{distro}/setup.bash', 'UNDERLAY'),
                           ('ros2_classify/install/local_setup.bash', 'OVERLAY')):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f'export {variable}=1\n')
    done = subprocess.run(
        ['bash', str(script), 'env'], capture_output=True, text=True, check=True,
        env={'PATH': os.environ['PATH'], 'ROS_DISTRO': distro, **chosen})
    variables = dict(line.split('=', 1) for line in done.stdout.splitlines() if '=' in line)
    assert (variables['UNDERLAY'], variables['OVERLAY']) == ('1', '1')
    assert variables['PATH'].startswith(f'{tmp_path}/ros2_classify/venv/bin:')
    profiles = {name: value for name, value in variables.items() if 'PROFILES_FILE' in name}
    assert list(profiles) == ([expected] if expected else [])
    assert all(value.endswith('config/fastdds.xml') for value in profiles.values())


def test_ignored_files_stay_out_of_images():
    ours = {line.strip('/') for line in (ROOT / '.gitignore').read_text().splitlines()
            if line and not line.startswith('#')}
    theirs = {line.removeprefix('**/')
              for line in (ROOT / '.dockerignore').read_text().splitlines()}
    assert ours - theirs == set()
    assert '.git' in theirs


def test_compose_has_camera_server_and_viewer():
    services = compose()
    assert set(services) == {'camera', 'server', 'viewer'}
    targets = {stage.name for stage in stages('Dockerfile')}
    for name, service in services.items():
        assert service['build']['target'] in targets
        assert (DOCKER / service['build']['context'] / service['build']['dockerfile']).is_file()
        # Both or none: see docker/README.md.
        assert (service['network_mode'], service['ipc']) == ('host', 'host')
        assert 'command' not in service or names_a_program(service['command'])
        # The image's own check asks a server, which the others are not.
        assert ('healthcheck' in service) == (name != 'server')
    assert services['viewer']['depends_on']['server']['condition'] == 'service_healthy'


@pytest.mark.parametrize('name', ['compose.webcam.yaml', 'compose.cuda.yaml'])
def test_additions_change_what_is_there(name):
    for service, changes in compose(name).items():
        assert service in compose()
        assert 'command' not in changes or names_a_program(changes['command'])
    assert f'`{name}`' in README or name in README


def test_cuda_is_a_build_argument():
    arguments = compose('compose.cuda.yaml')['server']['build']['args']
    assert arguments == {'ACCELERATOR': 'cuda'}
    run = next(step.value for step in steps('Dockerfile', 'RUN') if 'onnxruntime' in step.value)
    assert 'onnxruntime-gpu[cuda,cudnn]' in run and 'exit 2' in run


def test_every_file_is_explained():
    for path in DOCKER.iterdir():
        if path.name not in ('README.md', 'entrypoint.sh'):
            assert f'`{path.name}`' in README, path.name


def test_images_of_wheels_use_the_scripts():
    """Nothing is installed there but what the scripts themselves say that they need."""
    runs = [step.value for step in steps('Dockerfile.wheels', 'RUN')]
    assert 'scripts/setup' in runs
    for run in runs:
        first = run.split()[0]
        assert first in ('apt-get', 'useradd') or (ROOT / first).is_file(), run
    needed = set(re.search(r'^sudo apt install (.*)$', (
        ROOT / 'docs/installation.md').read_text(), re.MULTILINE)[1].split())
    # git is for the checkout; certificates are on every machine that has a model.
    assert set(re.findall(r'^    ([a-z0-9-]+)(?: \\)?$', (
        DOCKER / 'Dockerfile.wheels').read_text(), re.MULTILINE)) == (
            needed - {'git'} | {'ca-certificates'})
    assert Path(ROOT / 'scripts/setup').is_file()
