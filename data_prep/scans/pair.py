"""NIfTI in two files: a header `.hdr` and, beside it, voxels `.img`; gzip may pack either."""

import re
from pathlib import Path

_HALF = re.compile(r"(?P<stem>.+)\.(?P<half>hdr|img)(?P<packed>\.gz)?", re.IGNORECASE | re.DOTALL)
_OTHER = {"hdr": "img", "img": "hdr"}


def files_of(scan: Path) -> tuple[Path, ...]:
    """Return the files that make a scan: itself, or the header and the voxels of a pair.

    Where the other half of a pair is absent, its usual name stands for it.
    """
    match = _HALF.fullmatch(scan.name)
    if match is None:
        return (scan,)
    half = match["half"]
    other = _OTHER[half.lower()]
    other = other.upper() if half.isupper() else other
    plain = scan.with_name(f"{match['stem']}.{other}")
    packed = scan.with_name(f"{plain.name}.gz")
    options = (packed, plain) if match["packed"] else (plain, packed)
    found = next((option for option in options if option.exists()), options[0])
    return (scan, found) if half.lower() == "hdr" else (found, scan)
