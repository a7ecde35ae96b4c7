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
"""Processes that run tests have ROS domains of their own."""

import os
import subprocess
import sys

import pytest
from ros_domain import DOMAINS, take_domain
from shared_data import ROOT

PROGRAM = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from ros_domain import take_domain
print(take_domain(range(1, 4), pathlib.Path(sys.argv[2]))[0], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a process with a domain, which it gives back at its end."""
    with_pipes = []

    def start():
        process = subprocess.Popen(
            [sys.executable, '-c', PROGRAM, ROOT / 'test', tmp_path / 'locks'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with_pipes.append(process)
        return process, int(process.stdout.readline() or 0)

    yield start
    for process in with_pipes:
        process.kill()
        process.communicate()


def test_processes_at_the_same_time_get_different_domains(start):
    assert sorted(start()[1] for _ in range(3)) == [1, 2, 3]


def test_the_domain_of_a_process_that_was_killed_is_free(start):
    first, domain = start()
    assert start()[1] == 2 and domain == 1
    first.kill()
    first.wait()
    assert start()[1] == 1


def test_there_are_no_more_than_there_are(tmp_path):
    assert take_domain([5], tmp_path / 'locks')[0] == 5
    with pytest.raises(RuntimeError, match='all ROS domains are in use'):
        take_domain([5], tmp_path / 'locks')


def test_this_process_holds_its_domain():
    domain = int(os.environ['ROS_DOMAIN_ID'])
    assert domain in DOMAINS
    with pytest.raises(RuntimeError):
        take_domain([domain])
