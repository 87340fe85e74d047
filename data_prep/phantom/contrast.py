"""Tissue to signal: what each modality shows of it, and what a scanner adds."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from data_prep.brats.sequences import SEQUENCES
from data_prep.phantom.anatomy import Anatomy
from data_prep.phantom.fields import Volume, shape_of, smooth_field
from data_prep.phantom.tumour import Tumour

# Signal relative to white matter on T1, in the order of SEQUENCES: t1ce, t1, t2, flair.
SIGNAL: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "fluid": (0.25, 0.25, 1.00, 0.16),
        "grey": (0.68, 0.65, 0.62, 0.62),
        "white": (0.92, 0.92, 0.45, 0.53),
        "lesion": (0.78, 0.76, 0.72, 0.84),
        "oedema": (0.68, 0.66, 0.76, 0.82),
        "core": (0.46, 0.46, 0.90, 0.66),
        "enhancing": (1.32, 0.58, 0.72, 0.78),
        "vessel": (1.30, 0.75, 0.45, 0.45),
        "plexus": (1.20, 0.50, 0.80, 0.45),
    }
)
TISSUE_SPREAD = 0.05  # patients differ in tissue: relative standard deviation of each signal
TEXTURE = 0.06  # within one tissue
BIAS = 0.10  # standard deviation of the coil's sensitivity over the brain
NOISE = (0.03, 0.06)  # Rician, per channel
BLUR = 0.5  # point spread of resampling, voxels
GAIN = (300.0, 1800.0)  # arbitrary units of a scanner


def render(
    rng: np.random.Generator, anatomy: Anatomy, tumour: Tumour, *, difficulty: float = 1.0
) -> dict[str, npt.NDArray[np.int16]]:
    """Make one int16 volume per modality; outside the brain it is 0, inside at least 1.

    `difficulty` is a factor on the spread of tissue signals between patients and on the noise.
    """
    layers = _layers(anatomy, tumour)
    spread, noise = difficulty * TISSUE_SPREAD, difficulty * np.array(NOISE)
    return {
        modality: _scan(rng, _paint(rng, layers, index, spread), anatomy.brain, noise)
        for index, modality in enumerate(SEQUENCES)
    }


def _layers(anatomy: Anatomy, tumour: Tumour) -> list[tuple[str, Volume]]:
    """From the bottom to the top: each covers what lies below by its membership."""
    return [
        ("white", np.ones_like(anatomy.white)),
        ("grey", anatomy.grey / np.maximum(1 - anatomy.fluid, np.float32(1e-3))),
        ("lesion", tumour.lesions),
        ("oedema", tumour.oedema),
        ("fluid", anatomy.fluid),
        ("core", tumour.core),
        ("enhancing", tumour.enhancing),
        ("plexus", anatomy.plexus * (1 - tumour.core)),
        ("vessel", anatomy.vessel * (1 - tumour.core)),
    ]


def _paint(
    rng: np.random.Generator, layers: list[tuple[str, Volume]], index: int, spread: float
) -> Volume:
    signal = np.zeros_like(layers[0][1])
    for tissue, share in layers:
        level = SIGNAL[tissue][index] * (1 + spread * rng.standard_normal())
        signal = signal + np.clip(share, 0, 1) * (np.float32(level) - signal)
    return signal


def _scan(
    rng: np.random.Generator,
    signal: Volume,
    brain: npt.NDArray[np.bool_],
    noise: npt.NDArray[np.float64],
) -> npt.NDArray[np.int16]:
    shape = shape_of(signal)
    texture = 1 + TEXTURE * smooth_field(rng, shape, 0.12)
    bias = 1 + BIAS * np.clip(smooth_field(rng, shape, 0.9), -3, 3)
    blurred = ndimage.gaussian_filter(signal * texture * bias, BLUR)
    sigma = rng.uniform(*noise)
    real = blurred + sigma * rng.standard_normal(shape)
    imaginary = sigma * rng.standard_normal(shape)
    magnitude = np.sqrt(real * real + imaginary * imaginary)
    units = np.rint(rng.uniform(*GAIN) * (magnitude + rng.uniform(0, 0.15)))
    return np.where(brain, np.clip(units, 1, 32767), 0).astype(np.int16)
