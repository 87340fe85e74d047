"""Knowledge distillation for 3D medical segmentation, as MONAI bundles."""
