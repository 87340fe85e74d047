"""What takes longest comes first, so that no core waits for another at the end."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "run" not in item.keywords)
