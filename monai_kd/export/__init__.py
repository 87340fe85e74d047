"""A trained student to a shareable MONAI bundle that needs nothing of ours."""

from monai_kd.export.bundle import pack_bundle
from monai_kd.export.onnx import write_onnx

__all__ = ["pack_bundle", "write_onnx"]
