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
The model that a server runs: loaded, warm, and freed after its last job.

Every job holds the model that it began with. So a server can replace the model between two jobs:
those that have begun end with the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
import threading
import time
from types import MappingProxyType
from typing import Any

from ros2_classify.cascade.stages import keeping
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines import EngineSettings
from ros2_classify.engines.providers import choose_providers, import_onnxruntime, PROVIDERS
from ros2_classify.engines.remote import remote_url_of
from ros2_classify.engines.remote.engine import RemoteEngine
from ros2_classify.engines.settings import MAX_CAMERAS
from ros2_classify.errors import DescriptorError, OptionsError
from ros2_classify.model.catalog import entries, resolve, stage_models
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.labels import Labels
from ros2_classify.model.remote_url import RemoteUrl
from ros2_classify.model.stages import beside
from ros2_classify.options import Options
from ros2_classify.paths import allowed_paths, searching
from ros2_classify.pipeline import Pipeline
from ros2_classify.preprocess.batch import Batch
from ros2_classify.results.results import Result
from ros2_classify.ros.diagnostics.issues import find, Issue, remote_issue
from ros2_classify.ros.messages.vision import MESSAGES, publishing_problem
from ros2_classify.ros.node.logging import core_log_shown
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.server.faults import timeout
from ros2_classify.ros.server.model_policy import ModelPolicy
from ros2_classify.ros.server.parameters import (
    convert_options, engine_settings, fetch_options, result_settings, ResultSettings)

_GPU_BATCH = 8
_CPU = PROVIDERS['cpu']
# How many times as long as others these may take until a model runs: they build engines.
_BUILDERS = {PROVIDERS['tensorrt']: 30.0, PROVIDERS['openvino']: 30.0}

# Called when the files are there, with how many times as long as usual the rest may take.
Starting = Callable[[float], None]


class Model:
    """A pipeline and what belongs to it."""

    def __init__(self, pipeline: Pipeline[Result], settings: ResultSettings, *,
                 warm_up_time: float = 0.0, load_time: float = 0.0, engine_time: float = 0.0,
                 sha256: str = '', jobs: int = 1) -> None:
        self.pipeline = pipeline
        self.settings = settings  # replaced as a whole when parameters change
        self.warm_up_time = warm_up_time  # seconds the first result took
        self.load_time = load_time  # seconds, fetching and converting included
        self.engine_time = engine_time  # seconds of them to start or build the engine
        self.sha256 = sha256  # the model file's; empty if there is none
        self.number = 1  # counts the models that a server has loaded, from 1
        self.abandoned = False  # a thread does not come back from it: it is not used again
        # one for each simultaneous job
        self.batches: tuple[Batch, ...] = tuple(pipeline.new_batch() for _ in range(jobs))
        # Of a job with other images as well, by its own one.
        self._tile_batches: dict[int, Batch] = {}
        # Of `extras`, what its node has topics for, which may be from an earlier model; the node
        # sets it.
        self.topics: frozenset[tuple[str, str]] = frozenset()
        self._changed = threading.Condition()
        self._users = 0
        self._retired = False
        self._awaited = False
        self._logged: set[tuple[str, str]] = set()

    @property
    def name(self) -> str:
        """The name that its descriptor gives it."""
        return self.pipeline.descriptor.name

    @property
    def labels(self) -> Labels | None:
        """The names of its classes."""
        return self.pipeline.labels

    @property
    def sees_clips(self) -> bool:
        """Whether what it says of an image depends on those before."""
        return self.pipeline.clip is not None

    def tile_batch(self, batch: Batch) -> Batch:
        """Return the batch for tiles of the job that has this one."""
        found = self._tile_batches.get(id(batch))
        if found is None:
            found = self._tile_batches[id(batch)] = self.pipeline.new_batch()
        return found

    def timeout(self, given: float) -> float:
        """Return how many seconds a frame may take: the parameter's value, or a safe one."""
        settings = (self.settings, *self.settings.streams.values())
        tiles = max(each.options.tile_count for each in settings)
        # A server that fails has its own timeout, and then its local model may run.
        return timeout(given, self.warm_up_time * tiles, self.remote_timeout * tiles)

    @property
    def remote_timeout(self) -> float:
        """Seconds after which a remote model has failed; 0 for others."""
        engine = self.pipeline.engine
        return engine.timeout if isinstance(engine, RemoteEngine) else 0.0

    def issues(self) -> list[Issue]:
        """Return what its results so far are worth a warning of."""
        return [issue for _, issue in self._issues()]

    def new_issues(self) -> list[Issue]:
        """Return the issues that have not been returned before."""
        # Faults of a server come and go, and each time is news.
        present = self._issues()
        keys = {issue.key for _, issue in present}
        self._logged = {each for each in self._logged
                        if each[1] in keys or not each[1].startswith('remote_')}
        new = [(head, issue) for head, issue in present
               if (head, issue.key) not in self._logged]
        self._logged.update((head, issue.key) for head, issue in new)
        return [issue for _, issue in new]

    def _issues(self) -> list[tuple[str, Issue]]:
        """Return the issues of all heads, each with its head."""
        heads = zip(('', *self.pipeline.others), self.pipeline.all_checks)
        found = [(head, find(key, **fields)) for head, checks in heads
                 for key, fields in checks.found().items()]
        engine = self.pipeline.engine
        return [*(('', remote_issue(kind, fields)) for kind, fields in (
            engine.notices() if isinstance(engine, RemoteEngine) else ())), *found]

    def counts(self) -> dict[str, int]:
        """Return how often results were suspicious, of all heads together."""
        counts = [checks.counts() for checks in self.pipeline.all_checks]
        stages = self.pipeline.stages
        return {**{name: sum(each[name] for each in counts) for name in counts[0]},
                **(stages.counts() if stages else {})}

    def acquire(self) -> bool:
        """Begin to use it; return False if it has been retired."""
        with self._changed:
            if self._retired:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """End the use that `acquire` began."""
        with self._changed:
            self._users -= 1
            last = self._retired and not self._users and not self._awaited
            self._changed.notify_all()
        if last:
            self.pipeline.close()

    def retire(self) -> None:
        """Free it as soon as nobody uses it; a second time does nothing."""
        with self._changed:
            first, self._retired = not self._retired, True
            last = first and not self._users
        if last:
            self.pipeline.close()

    def retire_and_wait(self, patience: float = 10.0) -> None:
        """Wait until nobody uses it, and free it; after these seconds its last user does."""
        with self._changed:
            if self._retired:
                return
            self._retired = self._awaited = True
            unused = self._changed.wait_for(lambda: not self._users, patience)
            self._awaited = False
        if unused:
            self.pipeline.close()


def extras(model: Model) -> frozenset[tuple[str, str]]:
    """Return what a model publishes beside its results, with the head that gives it."""
    heads: dict[str, Any] = {'': model.pipeline, **model.pipeline.others}
    return frozenset(
        (name, what) for name, head in heads.items() for what, gives in (
            ('masks', head.gives_masks), ('key points', head.gives_keypoints)) if gives)


def difference(old: Model, new: Model) -> str:
    """Return why a model can't replace another one in a configured node; empty if it can."""
    before, after = old.pipeline, new.pipeline
    cure = 'clean the node up, set the model, and configure it again'
    if after.task != before.task:
        return (f'{new.name} is for {after.task} and {old.name} for {before.task}, whose topics '
                f'and services differ: {cure}')
    tasks = [{name: head.task for name, head in pipeline.others.items()}
             for pipeline in (before, after)]
    if tasks[0] != tasks[1]:
        return (f'{new.name} has the further heads {_listed(tasks[1])} and {old.name} has '
                f'{_listed(tasks[0])}, whose topics differ: {cure}')
    if missing := sorted(extras(new) - old.topics):
        head, what = missing[0]
        who = f'the head {head} of {new.name}' if head else new.name
        return (f'{who} publishes {what}, for which this node has no topic since {old.name} '
                f'gives none: {cure}, to add it')
    return ''


def _listed(tasks: Mapping[str, str]) -> str:
    return ', '.join(f'{name} ({task})' for name, task in tasks.items()) or 'none'


def batch_limit(asked: int, streams: int, engine: EngineSettings, *, remote: bool = False) -> int:
    """
    Return how many images, or tiles, a model must take at once; 0 asks the provider.

    If the provider that this counts on doesn't start, `load_model` returns to one.
    """
    if streams > 1 and not asked and remote:
        asked = _GPU_BATCH
    if streams > 1 and not asked:
        available = import_onnxruntime().get_available_providers()
        wanted = choose_providers(engine, available)[0]
        asked = 1 if wanted == _CPU or wanted not in available else _GPU_BATCH
    return max(1, min(asked, streams))


def with_chosen(declared: ModelDescriptor, chosen: Mapping[str, str]) -> ModelDescriptor:
    """Return a cascade's descriptor with other models of some stages."""
    return replace(declared, stages=tuple(
        replace(stage, model=chosen.get(stage.name, stage.model)) for stage in declared.stages))


def check_stages(policy: ModelPolicy, declared: ModelDescriptor) -> None:
    """Check the models of a cascade's stages; those of the catalogue may be named by path, too."""
    listed = set(entries().values())
    models = stage_models(declared)
    for stage in declared.stages:
        name = beside(stage.model, declared.directory)
        if Path(name).absolute() not in listed:
            policy.check_name(name)
        policy.check_model(models[stage.name])


def check_remote_name(remote: str, name: str, present: str) -> None:
    """Refuse another model than that which the parameter `remote` names: labels would differ."""
    if remote and name != present and RemoteUrl.parse(remote).model:
        raise OptionsError(
            f'remote is {remote}, which is for the model {present}; start the server with the '
            f'URL of the server alone, and it asks for {name} there')


def patience_for(engine: EngineSettings) -> float:
    """Return how many times as long as a CPU the provider may take to start with a model."""
    name = engine.provider.partition(':')[0]
    return _BUILDERS.get(PROVIDERS.get(name.lower(), name), 1.0)


def load_model(name: str, settings: Parameters, log: Any, streams: int = 1,
               cancel: threading.Event | None = None,
               starting: Starting = lambda _: None,
               policy: ModelPolicy | None = None, present: Model | None = None,
               chosen: Mapping[str, str] = MappingProxyType({})) -> Model:
    """
    Load a model and warm it up; raise Ros2ClassifyError if that fails.

    Of a cascade, unchanged stages of the `present` model stay loaded; `chosen` are other models of
    stages than those of the descriptor.

    `cancel` ends a download or a conversion; a `policy` is given for what a client has chosen;
    `starting` is called when the files are there and the engine is about to start; see
    `patience_for`.
    """
    begun = time.monotonic()
    engine = engine_settings(settings).replace(cameras=max(1, min(streams, MAX_CAMERAS)))
    fetch = fetch_options(settings, log, cancel)
    convert = convert_options(settings, fetch)
    # As the parameters say before a model does.
    tiles = Options(tiles=settings['tiles'], tile_whole=settings['tile_whole']).tile_count
    if policy is not None:
        policy.check_name(name)
        check_remote_name(engine.remote, name, settings['model'])
        convert = replace(convert, refused=policy.refuses_conversion)
    with (core_log_shown(log), searching(settings['model_path']),
          allowed_paths(settings['model_roots']),
          keeping(present.pipeline.stages if present is not None else None)):
        declared = resolve(name) if policy is not None or settings['input'] or chosen else name
        if chosen:
            declared = with_chosen(resolve(declared), chosen)
        if policy is not None:
            policy.check_model(resolve(declared))
            check_stages(policy, resolve(declared))
        pipeline = Pipeline.load(
            resolve(declared).with_pixels(settings['input']) if settings['input'] else declared,
            engine=engine,
            max_batch=batch_limit(
                settings['max_batch'], streams * tiles, engine,
                remote=remote_url_of(resolve(declared), engine) is not None),
            fetch=fetch, convert=convert,
            opening=lambda: starting(patience_for(engine)))
    try:
        _refuse_other_tasks(name, pipeline)
        if not settings['max_batch'] and pipeline.engine.provider == _CPU:
            # On a CPU a batch takes as long as its images one by one, and each waits for all.
            pipeline.limit_batch(1)
        loaded = time.monotonic()
        result = pipeline.warm_up()
        warm = time.monotonic()
        _refuse_unpublishable(pipeline, result)
        model = Model(
            pipeline, result_settings(settings, pipeline.options),
            warm_up_time=warm - loaded, load_time=loaded - begun,
            engine_time=pipeline.engine_time,
            # Of the file that runs, which was taken out of an archive, or converted.
            sha256=sha256_of_file(pipeline.file) if pipeline.file is not None else '',
            # The threads of a configured node are as many as the model it replaces ran at once.
            jobs=max(engine.parallel, pipeline.parallel,
                     len(present.batches) if present is not None else 1))
    except BaseException:
        pipeline.close()
        raise
    if pipeline.parallel < engine.parallel:
        log.warning(f'parallel is {engine.parallel}, but {pipeline.engine.provider} runs one '
                    'inference at a time')
    _say_model(model, log)
    return model


def _refuse_other_tasks(name: str, pipeline: Pipeline[Any]) -> None:
    """Raise DescriptorError if there is no message for the results."""
    tasks = (pipeline.task, *(head.task for head in pipeline.others.values()))
    if task := next((task for task in tasks if task not in MESSAGES), None):
        raise DescriptorError(
            f'{name}: the task is {task}, for which ROS has no message, so the server '
            f'cannot publish it (it publishes {", ".join(MESSAGES)}); call ros2_classify.Pipeline '
            'in a node of your own, or "python3 -m ros2_classify infer --against" for two images')


def _refuse_unpublishable(pipeline: Pipeline[Any], result: Result) -> None:
    """Raise DescriptorError if labels or names can't be in a message."""
    descriptor = pipeline.descriptor
    heads = [(result, pipeline.labels), *(
        (result.others[head], other.labels) for head, other in pipeline.others.items())]
    for each, labels in heads:
        if problem := publishing_problem(each, labels, descriptor.name):
            raise DescriptorError(
                f'{descriptor.origin or descriptor.name}: its results cannot be published: '
                f'{problem}; correct the labels or the name in its descriptor')


def _say_model(model: Model, log: Any) -> None:
    """Log what is inferred, ignored and not verified, and what loading took."""
    pipeline = model.pipeline
    for setting in pipeline.descriptor.inferred:
        log.info(f'assumed about {model.name}: {setting}')
    for ignored in pipeline.ignored:
        log.info(f'ignored of {model.name}: {ignored}')
    if unverified := pipeline.unverified:
        log.warning(find('unverified', model=model.name, keys=', '.join(unverified)).text)
    log.info(
        f'model {model.name} ({pipeline.task}) on {pipeline.engine.provider}, '
        f'loaded in {model.load_time:.2f} s ({model.engine_time:.2f} s for the engine), '
        f'warmed up in {model.warm_up_time:.2f} s')
