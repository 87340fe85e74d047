"""Reports what MONAI ignores in a configuration, in one line before any work."""

import hashlib
import inspect
import json
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pydoc import locate
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow, ReferenceResolver
from monai.bundle.config_item import ComponentLocator, ConfigComponent
from monai.bundle.properties import TrainProperties

from monai_kd.experiment.errors import ExperimentError

PLACES = frozenset(
    {"bundle_root", "dataset_dir", "dataset_file", "device", "voxels_dir"}
    | {"resume", "run_dir", "run_name", "runs_dir", "stage_dir"}
)
"""Keys that say where a run happens, not what it computes: its hash leaves them out."""

LEAST = {
    **dict.fromkeys(("max_epochs", "teacher_epochs", "val_interval", "phantom_cases"), 1),
    "one_labelled_in": 1,
    **dict.fromkeys(("seed", "fold", "views", "ramp_up", "ramp_down"), 0),
}
"""Keys that are whole numbers, each with the least it may be."""


def check_configuration() -> None:
    """Stop if the running workflow has a key nobody reads, or an argument its target does not take.

    MONAI accepts a misspelt override in silence and then runs with the default; here the key that
    nothing refers to is named with the nearest one that something does.
    """
    workflow = find_running_workflow()
    config = workflow.parser.config
    _check_run_id(workflow)
    _check_top_level_keys(config, entries={workflow.init_id, workflow.run_id, workflow.final_id})
    locator = ComponentLocator()  # one for all: each searches the whole of MONAI once
    for key, component in _components(config):
        _check_arguments(key, component, locator)


def find_running_workflow() -> ConfigWorkflow:
    """The workflow that evaluates the calling expression.

    MONAI hands it to no expression, neither by id nor by name, so the call stack is asked for it.
    """
    frame = inspect.currentframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, ConfigWorkflow):
            return candidate
        frame = frame.f_back
    raise ExperimentError("no bundle workflow is running: call this from a bundle's expression")


def read_component(key: str) -> dict[str, Any]:
    """The component `key` of the running workflow as a dictionary, its references resolved."""
    found: dict[str, Any] = _resolve(find_running_workflow().parser, key)
    return found


def _resolve(parser: ConfigParser, key: str) -> Any:
    value = parser[key]
    if isinstance(value, Mapping):
        return {name: _resolve(parser, f"{key}#{name}") for name in value}
    return parser.get_parsed_content(key)


def hash_settings(
    config: Mapping[str, Any],
    *,
    root: str = "training",
    resolved: Mapping[str, Any] | None = None,
) -> str:
    """Hash of every setting that `root` depends on, places left out (sha256, hexadecimal).

    `resolved` stands for settings whose expressions look at a place, and so do not tell.
    """
    found = {**reachable_settings(config, root=root), **(resolved or {})}
    settings = {**found, "overlays": _overlays(dict(sorted(found.items())))}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def reachable_settings(config: Mapping[str, Any], *, root: str) -> dict[str, Any]:
    """The top-level settings that `root` refers to, directly or through others."""
    found: dict[str, Any] = {}
    pending = [root]
    while pending:
        key = pending.pop()
        if key in config and key not in found and key not in PLACES:
            found[key] = config[key]
            pending.extend(_references([config[key], *_overlays({key: config[key]})]))
    return found


def _check_run_id(workflow: ConfigWorkflow) -> None:
    if workflow.run_id not in workflow.parser:
        hint = _nearest(workflow.run_id, [str(key) for key in workflow.parser.config])
        raise ExperimentError(f"nothing to run under '{workflow.run_id}'{hint}")


def _check_top_level_keys(config: Mapping[str, Any], *, entries: set[str]) -> None:
    read = _references(config) | _references(_overlays(config))
    owned = {"_meta_", "imports", *LEAST, *entries}
    owned |= {ReferenceResolver.split_id(p["id"])[0] for p in TrainProperties.values()}
    for key in sorted(read - set(config)):
        hint = _nearest(key, list(config))
        raise ExperimentError(f"the configuration refers to '@{key}', which is not in it{hint}")
    for key in config:
        if key not in read | owned:
            hint = _nearest(key, sorted((read & set(config)) | entries))
            raise ExperimentError(
                f"unknown key '{key}': nothing in the configuration reads it{hint}"
            )


def _check_arguments(key: str, component: Mapping[str, Any], locator: ComponentLocator) -> None:
    named = ConfigComponent(dict(component), locator=locator).resolve_module_name()
    target: Any = locate(str(named))
    if target is None:
        raise ExperimentError(f"'{key}': there is no {component['_target_']}")
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # a function written in C has no signature
        return
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    for argument in component:
        if not argument.startswith("_") and argument not in parameters:
            name, hint = component["_target_"], _nearest(argument, list(parameters))
            raise ExperimentError(f"'{key}#{argument}': {name} takes no '{argument}'{hint}")


def _components(config: Any, *, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if ConfigComponent.is_instantiable(config) and isinstance(config["_target_"], str):
        yield key, config
    if isinstance(config, Mapping | list):
        for name, _, value in ReferenceResolver.iter_subconfigs("", config):
            if name != "_meta_":
                yield from _components(value, key=f"{key}#{name}" if key else str(name))


def _overlays(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The files that stages lay over this configuration: what they read counts as read."""
    paths = [path for _, found in _components(config) for path in found.get("overlays", ())]
    return [ConfigParser.load_config_file(path) for path in paths]


def _references(value: Any) -> set[str]:
    """Names of the top-level keys that a value refers to, at any depth."""
    if isinstance(value, str):
        found = ReferenceResolver.match_refs_pattern(value)
        return {ReferenceResolver.split_id(reference)[0] for reference in found}
    if isinstance(value, Mapping):
        return set().union(*map(_references, value.values()))
    if isinstance(value, list):
        return set().union(*map(_references, value))
    return set()


def _nearest(name: str, names: Collection[str]) -> str:
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(sorted(names))}"
