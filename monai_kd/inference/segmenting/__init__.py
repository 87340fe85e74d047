"""From a case's scans to its mask."""
