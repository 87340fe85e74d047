"""How the main configuration is written: read from the top, wired by short expressions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ReferenceResolver

BUNDLES = Path(__file__).parents[2] / "bundles"
LISTS = ("initialize", "training")  # what is done, in order, with all of it


def list_leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The texts of a configuration with their keys, in the order in which a person reads them."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        own = f"{key}::{name}" if key else str(name)
        if isinstance(item, dict | list):
            yield own, ""
            yield from list_leaves(item, own)
        else:
            yield own, str(item)


def find_downward(config: dict[str, Any]) -> list[str]:
    """References to what stands below them, or nowhere."""
    seen: set[str] = set()
    found = []
    for key, text in list_leaves(config):
        for reference in ReferenceResolver.match_refs_pattern(text):
            if reference not in seen:
                found.append(f"{key}: @{reference}")
        seen.add(key)
    return found


def test_a_reference_downward_is_found():
    assert find_downward({"a": "@b", "b": {"c": "$@a"}}) == ["a: @b"]


def test_the_main_configuration_points_upward_only():
    config = yaml.safe_load((BUNDLES / "distill.yaml").read_text())
    assert not find_downward(config)
    assert list(config)[-2:] == list(LISTS)


def test_the_main_configuration_can_be_read_in_one_go():
    assert len((BUNDLES / "distill.yaml").read_text().splitlines()) <= 280


@pytest.mark.parametrize("file", sorted(BUNDLES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_an_expression_is_short(file):
    config = yaml.safe_load(file.read_text())
    expressions = [text for _, text in list_leaves(config) if text.startswith("$")]
    assert not [text for text in expressions if len(text[1:]) > 60 and "torch.device" not in text]
