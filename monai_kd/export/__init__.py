"""A trained student to a shareable MONAI bundle that needs nothing of ours."""

from monai_kd.export.bundle import pack_bundle

__all__ = ["pack_bundle"]
