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

"""The parameters ``stages.<name>``: the models of a cascade's stages, each replaced by itself."""

from __future__ import annotations

from dataclasses import replace
import threading
from typing import Any, cast

from rclpy.node import Node
from ros2_classify.cascade.stages import key_of, SharedModel
from ros2_classify.errors import OptionsError
from ros2_classify.model.catalog import resolve, stage_models
from ros2_classify.model.files import model_file
from ros2_classify.paths import allowed_paths, searching
from ros2_classify.pipeline import Pipeline
from ros2_classify.ros.node.logging import core_log_shown
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.node.spec import Spec
from ros2_classify.ros.server.model import check_stages, Model, patience_for, Starting
from ros2_classify.ros.server.model_parameter import STAGES
from ros2_classify.ros.server.model_policy import ModelPolicy
from ros2_classify.ros.server.parameters import convert_options, engine_settings, fetch_options


class StageParameters:
    """Declares a parameter for each stage of the models that are loaded, and reads them."""

    def __init__(self, node: Node, settings: Parameters) -> None:
        self._settings = settings
        self._names: set[str] = set()
        for name in getattr(node, '_parameter_overrides', ()):
            if name.startswith(STAGES):
                self._declare(name.removeprefix(STAGES))

    def _declare(self, name: str) -> None:
        if name not in self._names:
            self._names.add(name)
            self._settings.declare(Spec(
                STAGES + name, '', f'Cascade: the model of the stage {name}, named as model is; '
                'set while the node is configured, it alone is replaced; empty: as in the '
                'descriptor'))

    @property
    def chosen(self) -> dict[str, str]:
        """The models that were set, by stage."""
        return {name: self._settings[STAGES + name] for name in sorted(self._names)
                if self._settings[STAGES + name]}

    def follow(self, model: Model, *, strict: bool = False) -> list[str]:
        """Declare those of a model; return the set ones that it lacks, or raise OptionsError."""
        stages = model.pipeline.stages
        present = () if stages is None else tuple(stages.running)
        for name in present:
            self._declare(name)
        missing = [STAGES + name for name in self.chosen if name not in present]
        if missing and strict:
            known = ', '.join(present)
            raise OptionsError(
                f'{missing[0]} is set, but the model {model.name} has '
                f'{f"the stages {known} only" if known else "no stages"}; remove it')
        return missing


class _Replaced:
    """What the loader gets in the place of a model: nothing is left to be freed."""

    def retire(self) -> None:
        """Do nothing: its cascade owns the model."""


def replace_stage(
        model: Model, name: str, chosen: str, settings: Parameters, log: Any,
        cancel: threading.Event, starting: Starting, policy: ModelPolicy | None) -> Model:
    """
    Load the model of one stage and replace the present one; Ros2ClassifyError if it fails.

    The model that is returned is none: the loader frees what nobody takes from it.
    """
    stages = model.pipeline.stages
    assert stages is not None
    # The parameter remote is for the detector.
    engine = engine_settings(settings).replace(remote='')
    fetch = fetch_options(settings, log, cancel)
    convert = convert_options(settings, fetch)
    if policy is not None:
        convert = replace(convert, refused=policy.refuses_conversion)
    with (core_log_shown(log), searching(settings['model_path']),
          allowed_paths(settings['model_roots'])):
        declared = resolve(settings['model'])
        stage = next(each for each in declared.stages if each.name == name)
        if chosen:
            stage = replace(stage, model=chosen)
        alone = replace(declared, stages=(stage,))
        if policy is not None and chosen:
            check_stages(policy, alone)
        descriptor = stage_models(alone)[name]
        key = key_of(descriptor, stage.max_crops, (
            model_file(descriptor, fetch) if descriptor.source.has_file else None))
        loaded = SharedModel(Pipeline.load(
            descriptor, engine=engine, max_batch=stage.max_crops, fetch=fetch, convert=convert,
            opening=lambda: starting(patience_for(engine))), key)
    try:
        if cancel.is_set():
            raise OptionsError('nobody waits for it any more')
        stages.replace(name, loaded)
    except BaseException:
        loaded.close()
        raise
    log.info(f'the stage {name} of {model.name} is {descriptor.name} now')
    return cast('Model', _Replaced())
