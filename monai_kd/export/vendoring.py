"""Our own modules, copied beside a bundle's configuration so that it needs MONAI alone."""

import ast
import inspect
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path
from pydoc import locate
from typing import Any

from monai_kd.errors import UserError

OURS = "monai_kd"
PROVIDED = frozenset({"monai", "numpy", "torch"})  # pinned by keys of their own in the metadata


def vendor_targets(config: Any, *, scripts: Path) -> Any:
    """Return `config` with each `_target_` of ours as `scripts.<file>.<name>`, its file copied.

    A file that imports another of ours is refused: it would not work where it is sent.
    """
    if isinstance(config, dict):
        rewritten = {key: vendor_targets(value, scripts=scripts) for key, value in config.items()}
        target = rewritten.get("_target_")
        if isinstance(target, str) and target.startswith(f"{OURS}."):
            rewritten["_target_"] = _vendor(target, scripts)
        return rewritten
    if isinstance(config, list):
        return [vendor_targets(item, scripts=scripts) for item in config]
    if isinstance(config, str) and config.startswith("$") and OURS in config:
        raise UserError(f"the expression {config!r} needs {OURS}; write it as a _target_ instead")
    return config


def list_required_packages(scripts: Path) -> dict[str, str]:
    """Return the installed version of each package that the vendored files import."""
    imported = {name.partition(".")[0] for file in scripts.glob("*.py") for name in _imports(file)}
    foreign = imported - sys.stdlib_module_names - PROVIDED
    distributions = packages_distributions()
    names = sorted({distributions[module][0] for module in foreign})
    return {name: version(name) for name in names}


def _vendor(target: str, scripts: Path) -> str:
    found = locate(target)
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise UserError(f"{target} is no class or function that can be imported")
    source = Path(inspect.getfile(found))
    needs = [name for name in _imports(source) if name.partition(".")[0] == OURS]
    if needs:
        raise UserError(f"{source.name} imports {needs[0]}; a shared file has to stand alone")
    scripts.mkdir(exist_ok=True)
    copy = scripts / source.name
    if copy.exists() and copy.read_bytes() != source.read_bytes():
        raise UserError(f"two different files are called {source.name}; rename one of them")
    shutil.copyfile(source, copy)
    return f"scripts.{source.stem}.{found.__qualname__}"


def _imports(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield OURS if node.level else str(node.module)
