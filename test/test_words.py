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

"""Words of test/words.txt don't come back, anywhere in the repository."""

import words

# Files and directories that are not clean yet. The list only shrinks.
NOT_YET = (
    'test/decoder_models.py',
    'packages/ros2_classify_benchmark/predecessor/',
    '.ci/',
    '.github/workflows/',
    'CHANGELOG.rst',
    'CONTRIBUTING.md',
    'QUALITY_DECLARATION.md',
    'SECURITY.md',
    'config/',
    'conftest.py',
    'docker/',
    'docs/catalogue.md',
    'docs/cli.md',
    'docs/composition.md',
    'docs/conf.py',
    'docs/decoders.md',
    'docs/descriptor.md',
    'docs/design.md',
    'docs/launch.md',
    'docs/nodes/',
    'docs/own_model.md',
    'docs/performance.md',
    'docs/python_api.md',
    'docs/reliability.md',
    'docs/sources.md',
    'docs/tensorflow.md',
    'docs/troubleshooting.md',
    'docs/tutorials/',
    'launch/',
    'models/',
    'package.xml',
    'packages/ros2_classify_benchmark/ros2_classify_benchmark/',
    'packages/ros2_classify_benchmark/test/',
    'packages/ros2_classify_interfaces/',
    'pyproject.toml',
    'ros2_classify/__init__.py',
    'ros2_classify/bundle.py',
    'ros2_classify/cli/',
    'ros2_classify/convert/',
    'ros2_classify/decoders/',
    'ros2_classify/doctor/',
    'ros2_classify/download/',
    'ros2_classify/engines/',
    'ros2_classify/errors.py',
    'ros2_classify/image_io.py',
    'ros2_classify/image_size.py',
    'ros2_classify/inspection/',
    'ros2_classify/model/',
    'ros2_classify/options.py',
    'ros2_classify/paths.py',
    'ros2_classify/pipeline.py',
    'ros2_classify/postprocess/',
    'ros2_classify/preprocess/',
    'ros2_classify/progress.py',
    'ros2_classify/quantize.py',
    'ros2_classify/results/',
    'ros2_classify/ros/camera/',
    'ros2_classify/ros/client/',
    'ros2_classify/ros/compose.py',
    'ros2_classify/ros/diagnostics/',
    'ros2_classify/ros/messages/',
    'ros2_classify/ros/node/',
    'ros2_classify/ros/server/',
    'ros2_classify/testing.py',
    'ros2_classify/unbundle.py',
    'rviz/',
    'scripts/',
    'setup.py',
    'test/autoconfig/',
    'test/cli/',
    'test/convert/',
    'test/decoder_networks.py',
    'test/decoders/',
    'test/doc_commands.py',
    'test/doctor/',
    'test/download/',
    'test/engines/',
    'test/fake_converter.py',
    'test/fake_python.py',
    'test/fuzz/',
    'test/graphs.py',
    'test/inspection/',
    'test/model/',
    'test/plain_path.py',
    'test/postprocess/',
    'test/preprocess/',
    'test/reference_resize.py',
    'test/results/',
    'test/ros/',
    'test/shared_data.py',
    'test/sheet_camera.py',
    'test/test_cards.py',
    'test/test_ci_run.py',
    'test/test_contributing.py',
    'test/test_dependencies.py',
    'test/test_descriptor_schema.py',
    'test/test_doc_commands.py',
    'test/test_docker.py',
    'test/test_docs.py',
    'test/test_image_io.py',
    'test/test_launch_inputs.py',
    'test/test_manifest.py',
    'test/test_package.py',
    'test/test_paths.py',
    'test/test_pipeline.py',
    'test/test_plain_path.py',
    'test/test_quantize.py',
    'test/test_rehearse_image.py',
    'test/test_release.py',
    'test/test_scripts.py',
    'test/test_security_pages.py',
    'test/test_testing.py',
    'test/test_troubleshooting.py',
    'test/test_words.py',
    'test/web_server.py',
    'training/',
)

LIST = words.Words("""
# A comment.
pictures? -> image
serves on -> keeps serving
networks? -> model
+ (no|local) network
(?-i:Findings?) -> Issue
- *.json
""")


def found(text):
    return [(line, word) for line, word, _ in LIST.find(text)]


def test_words_are_found_in_names_and_sentences():
    assert found('a Picture\nmax_pictures PictureSource PICTURE pictures2') == [
        (1, 'Picture'), (2, 'pictures'), (2, 'Picture'), (2, 'PICTURE')]
    assert found('depicture') == []
    assert list(LIST.find('pictures')) == [(1, 'pictures', 'image')]


def test_phrases_are_found_across_lines_of_comments_and_strings():
    assert [line for line, _ in found('# it serves\n    # on')] == [1]
    assert [line for line, _ in found("'it serves '\n    'on'")] == [1]
    assert found('servesOn')[0][0] == 1


def test_exceptions_are_skipped():
    assert found('no network, no_network, local network') == []
    assert found('no network; the network; finding; a Finding') == [
        (1, 'network'), (1, 'Finding')]
    assert found(f"'max_pictures': 'max_images',  # {words.MARK} name") == []
    assert LIST.ignores('docs/a.json') and not LIST.ignores('docs/a.md')


def test_names_of_files_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(words, 'ROOT', tmp_path)
    (tmp_path / 'picture.py').write_text('network\n')
    (tmp_path / 'binary').write_bytes(b'\xff picture')
    assert words.problems(['picture.py', 'binary'], LIST) == [
        'picture.py: the name: picture -> image', 'picture.py:1: network -> model']


def test_old_words_do_not_come_back():
    names = [name for name in words.files() if not name.startswith(NOT_YET)]
    problems = words.problems(names)
    assert not problems, '\n' + '\n'.join(problems)
