"""Writing folders so that a name stands for a whole folder or for none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replace_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the final name, on error it goes.

    An older folder steps aside whole and is removed only when the new one stands in its place.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    token = uuid4().hex[:8]
    temporary = final.with_name(f".{final.name}-{token}")
    older = final.with_name(f".{final.name}-{token}-old")
    temporary.mkdir()
    try:
        yield temporary
        if final.exists():
            final.rename(older)
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not final.exists() and older.exists():
            older.rename(final)
        shutil.rmtree(older, ignore_errors=True)
