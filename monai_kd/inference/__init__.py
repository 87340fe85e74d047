"""A clinician's scans to masks and reports, without torch or MONAI unless they are asked for."""
