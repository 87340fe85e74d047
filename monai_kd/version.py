"""Which version of this program is at work."""

from importlib.metadata import PackageNotFoundError, version


def tool_name() -> str:
    """Name this program and its version."""
    try:
        return f"monai_kd {version('monai_kd')}"
    except PackageNotFoundError:  # run from its folder
        return "monai_kd"
