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

"""``watch``: a model on a source, live on a page in the browser, without ROS."""

from __future__ import annotations

import argparse
from pathlib import Path
import re
import threading
from typing import Any

from ros2_classify.cli import EXIT_INTERRUPTED, EXIT_OK, infer, models_files as fetching, say, show
from ros2_classify.cli.parser import add_model
from ros2_classify.errors import OptionsError


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'watch', help='show a model on images, live in the browser',
        usage='%(prog)s MODEL SOURCE [options]',
        description='Run a model on a source and show a page in the browser: the annotated '
                    'image, results, and thresholds as controls. Ctrl-C ends it.')
    add_model(parser, '--source', 'source', '0')
    parser.add_argument(
        '--model', metavar='MODEL',
        help='a name from "models list", a descriptor file, or a model file by its path or URL')
    parser.add_argument(
        '--source', metavar='SOURCE',
        help='an image, a directory, a pattern such as "photos/*.jpg", a video, a webcam number, '
             'a stream (rtsp://, http://), or a bag')
    parser.add_argument('--topic', default='', metavar='NAME', help="the topic of a bag's images")
    parser.add_argument(
        '--rate', type=float, default=0.0, metavar='HZ',
        help='frames per second of files (default: that of the recording; for single images, '
             'one in 2 s)')
    parser.add_argument(
        '--host', default='127.0.0.1', metavar='HOST',
        help='IP address to serve the page on (default: 127.0.0.1, this machine only; 0.0.0.0: '
             'other machines, too)')
    parser.add_argument(
        '--port', type=int, default=8080, metavar='PORT',
        help='port of the page (default: 8080, or a free one if it is taken); 0: a free one')
    parser.add_argument(
        '--save-to', default='saved_frames', metavar='DIRECTORY',
        help='directory for saved frames (default: saved_frames)')
    parser.add_argument(
        '--no-browser', action='store_true', help='only print the URL')
    infer.add_input(parser)
    infer.add_provider(parser)
    infer.add_threads(parser)
    fetching.add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from ros2_classify.image_io import depth_reader
    from ros2_classify.pipeline import Pipeline
    from ros2_classify.sources import open_source
    from ros2_classify.sources.files import ImageFiles
    from ros2_classify.web.watcher import IMAGES_RATE, Watcher

    if not 0 <= arguments.rate <= 1000:
        raise OptionsError(f'--rate is {arguments.rate} but must be from 0 to 1000')
    if not 0 <= arguments.port <= 65535:
        raise OptionsError(f'--port is {arguments.port} but must be from 0 to 65535')
    if '/' in arguments.host or re.search(r'[^:]:\d+$', arguments.host):
        raise OptionsError(f'--host is {arguments.host!r} but must be a host alone, such as '
                           '127.0.0.1; the port is that of --port')
    late: dict[str, Any] = {'warn': lambda text: say('warning', text)}
    source = open_source(
        arguments.source, warn=lambda text: late['warn'](text), topic=arguments.topic,
        to_8_bits=lambda pixels: late['to_8_bits'](pixels))
    with Pipeline.load(
            infer.described(arguments), provider=arguments.provider, threads=arguments.threads,
            fetch=fetching.options_of(arguments)) as pipeline:
        for setting in pipeline.descriptor.inferred:
            say('hint', f'inferred {setting}')
        late['to_8_bits'] = depth_reader(pipeline.descriptor.input.input_range)
        pipeline.warm_up()
        rate = arguments.rate or (IMAGES_RATE if isinstance(source, ImageFiles) else 0.0)
        watcher = Watcher(
            pipeline, source, saves=Path(arguments.save_to).expanduser(), rate=rate)
        late['warn'] = watcher.warn
        server = _serve(watcher, arguments.host, arguments.port)
        show(f'{source.name} with {pipeline.descriptor.name}: {server.url}', flush=True)
        if not arguments.no_browser:
            threading.Thread(target=_open, args=(server.url,), daemon=True).start()
        try:
            watcher.run()
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        finally:
            watcher.close()
            server.close()
    return EXIT_OK


def _serve(watcher: Any, host: str, port: int) -> Any:
    """Return a server; if its usual port is taken, on a free one."""
    from ros2_classify.web.server import WebServer

    try:
        return WebServer(watcher, host, port)
    except OptionsError:
        if port != 8080:
            raise
        return WebServer(watcher, host, 0)


def _open(url: str) -> None:
    """Open the page; a machine without a browser has only the URL."""
    import webbrowser

    try:
        webbrowser.open(url)
    except Exception as error:  # noqa: B902 - browsers fail in many ways, and none matters
        say('hint', f'no browser could be opened: {error}')
