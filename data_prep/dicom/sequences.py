"""Which sequence a series is: by what it is called, and by its times and contrast agent."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.brats.sequences import ENHANCED, PLAIN, contrast_of_series, kind_of_series
from data_prep.dicom.files import read_text
from data_prep.dicom.frames import find_item

_NAMES = ("SeriesDescription", "ProtocolName", "PulseSequenceName", "SequenceName")
_LOCALISER = r"locali[sz]er|\bscout|\bsurvey|\b(3|tri) ?plane?\b|\bplan ?scan"
_OTHER = (
    r"\b(dwi|adc|dti|diff\w*|trace\w*|ep2d\w*|epi|swi|swan|susc\w*|venbold|bold|fmri|perf\w*|dsc|"
    r"dce|asl|r?cb[fv]|mtt|ttp|tof|mra|mrv|angio\w*|mip|phase|sub|subtract\w*|spectro\w*|svs|csi|"
    r"fiesta|ciss|stir|t2s|t2 ?star|pd|map|field ?map|calib\w*|asset|screen\w*)\b|\bt2 ?\*"
)
_DERIVED = (
    r"ADC|FA|TRACEW|DIFFUSION|PERFUSION|R?CB[FV]|MTT|TTP|MOSAIC|MIP|PROJECTION IMAGE|SUBTRACTION|"
    r"PHASE MAP|SCREEN SAVE"
)
_NO_AGENT = frozenset(("", "0", "no", "none", "n", "na", "n/a", "nein", "without", "unknown"))
_FLUID_NULL_MS = 1500.0  # inversion from which fluid is dark; with T1 weighting it is shorter
_SHORT_ECHO_MS, _LONG_ECHO_MS = 30.0, 60.0
_SHORT_REPETITION_MS, _LONG_REPETITION_MS = 1200.0, 2000.0


@dataclass(frozen=True)
class Recognition:
    """Which sequences a series can be: none, one, or more where its header contradicts itself.

    `reason` says why it is none, or what contradicts what.
    """

    sequences: tuple[str, ...]
    reason: str = ""


def recognise_sequence(header: Any) -> Recognition:
    """Tell t1, t1ce, t2 or flair from the header of a series' first image."""
    reason = _why_left_out(header)
    if reason:
        return Recognition((), reason)
    name, called = _name_of(header)
    times = _Times.read(header)
    possible = times.kinds
    if not called and not possible:
        return Recognition((), "neither name nor times give its sequence")
    if called and possible and called not in possible:
        said = f"called {called}, but {times} are those of {possible[0]}"
        either = (_by_contrast(kind, name, header)[0] for kind in (called, possible[0]))
        return Recognition(tuple(sequence for kinds in either for sequence in kinds), said)
    return Recognition(*_by_contrast(called or possible[0], name, header))


@dataclass(frozen=True)
class _Times:
    """Echo, repetition and inversion in ms; 0 where the header has none."""

    echo: float
    repetition: float
    inversion: float

    @classmethod
    def read(cls, header: Any) -> "_Times":
        return cls(
            _time(header, "EchoTime", "MREchoSequence", "EffectiveEchoTime"),
            _time(
                header, "RepetitionTime", "MRTimingAndRelatedParametersSequence", "RepetitionTime"
            ),
            _time(header, "InversionTime", "MRModifierSequence", "InversionTimes"),
        )

    def __str__(self) -> str:
        return f"TE {self.echo:g}, TR {self.repetition:g}, TI {self.inversion:g} ms"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What such times can give, the likeliest first; some headers hold no inversion time."""
        if not (self.echo and self.repetition):
            return ()
        if self.inversion >= _FLUID_NULL_MS:
            return ("flair",) if self.repetition >= 2 * _FLUID_NULL_MS else ()
        short = self.repetition <= _SHORT_REPETITION_MS
        if self.echo <= _SHORT_ECHO_MS and (short or self.inversion >= 400):
            return ("t1",)
        long = self.echo >= _LONG_ECHO_MS and self.repetition >= _LONG_REPETITION_MS
        return ("t2", "flair") if long and not self.inversion else ()


def _why_left_out(header: Any) -> str:
    words = _words(read_text(header, "SeriesDescription"))
    kinds = {str(value).strip().upper() for value in _listed(header.get("ImageType"))}
    if "LOCALIZER" in kinds or re.search(_LOCALISER, words):
        return "a localiser"
    derived = sorted(kind.lower() for kind in kinds if re.fullmatch(_DERIVED, kind))
    if derived:
        return f"derived ({', '.join(derived)})"
    other = re.search(_OTHER, words)
    return f"another sequence ({other[0]})" if other else ""


def _name_of(header: Any) -> tuple[str, str]:
    """The first of its names that tells a kind, and that kind; the description if none does."""
    names = [_words(read_text(header, keyword)) for keyword in _NAMES]
    for name in names:
        kind = kind_of_series(name)
        if kind:
            return name, kind
    return names[0], ""


def _by_contrast(kind: str, name: str, header: Any) -> tuple[tuple[str, ...], str]:
    """Part t1 into t1 and t1ce; other kinds stay what they are, with contrast agent or without."""
    if kind != PLAIN:
        return (kind,), ""
    words = f"{name} {_words(read_text(header, 'SeriesDescription'))}"
    without, with_agent = contrast_of_series(words)
    agent = _agent(header)
    if without and (with_agent or agent):
        seen = f"ContrastBolusAgent {agent!r}" if agent else "by another word with it"
        return (PLAIN, ENHANCED), f"called {PLAIN} without contrast agent, but {seen}"
    return ((ENHANCED,) if with_agent or agent else (PLAIN,)), ""


def _agent(header: Any) -> str:
    agent = read_text(header, "ContrastBolusAgent")
    if not agent and header.get("ContrastBolusAgentSequence"):
        item = header.ContrastBolusAgentSequence[0]
        agent = read_text(item, "CodeMeaning") or "given"
    return "" if agent.lower() in _NO_AGENT else agent


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9+*]+", " ", text.lower()).strip()


def _listed(value: Any) -> Sequence[Any]:
    if value is None or value == "":
        return ()
    return (value,) if isinstance(value, str | int | float) else tuple(value)


def _time(header: Any, keyword: str, group: str, keyword_in_group: str) -> float:
    """Read a time in ms; one that cannot be read says as little as an absent one."""
    item = find_item(header, 0, group)
    try:
        found = header.get(keyword) or item.get(keyword_in_group)
        times = np.asarray(_listed(found), dtype=np.float64)
    except (TypeError, ValueError, ArithmeticError):
        return 0.0
    return float(times[0]) if len(times) and np.isfinite(times[0]) and times[0] > 0 else 0.0
