"""Scans to voxels that training reads: one orientation, one spacing, the brain only, compressed."""

from data_prep.voxels.record import VoxelSettings
from data_prep.voxels.voxelise import VoxelReport, read_voxels_json, verify_voxels, voxelise

__all__ = ["VoxelReport", "VoxelSettings", "read_voxels_json", "verify_voxels", "voxelise"]
