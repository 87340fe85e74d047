"""Peak memory of a forward pass, in a process of its own so that nothing else is counted."""

import ctypes
import gc
import multiprocessing
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from docs.studies.benchmark.backends import Candidate, prepare
from docs.studies.benchmark.timing import Call

RESET_PEAK = "5"  # to /proc/self/clear_refs: the peak becomes what is resident now


def measure_on_card(call: Call) -> float:
    """Return by how many MiB a call raises what torch has allocated on the card."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


class MemoryMeter:
    """Has one server fork a child per measurement: all is imported once, no thread is running."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__name__])

    def measure(self, candidate: Candidate, files: Path) -> float | None:
        """Return by how many MiB a forward pass raises memory; nothing if the child was killed."""
        receiver, sender = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_measure, args=(candidate, files, sender))
        process.start()
        sender.close()
        try:
            return float(receiver.recv())
        except EOFError:
            return None
        finally:
            process.join()


def _measure(candidate: Candidate, files: Path, sender: Connection) -> None:
    """Send the rise of the resident peak over image and weights, less the code that was read in."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word
    call = prepare(candidate, files)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text(RESET_PEAK, "ascii")
    before = _read_status()
    call()
    after = _read_status()
    rise = after["VmHWM"] - before["VmRSS"] - (after["RssFile"] - before["RssFile"])
    sender.send(rise / 1024)


def _read_status() -> dict[str, int]:
    """Return the sizes in KiB that Linux keeps of this process."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    fields = (line.split() for line in lines if line.endswith("kB"))
    return {name.rstrip(":"): int(size) for name, size, _ in fields}
