"""Which sizes of an image a network with strides can take."""

from torch import Tensor


def check_size(image: Tensor, multiple: int, *, network: str) -> None:
    """Raise unless every edge of the image is a multiple of what the strides divide by."""
    size = tuple(image.shape[2:])
    if any(edge % multiple for edge in size):
        raise ValueError(
            f"The image has spatial size {size}; {network} needs every edge to be a multiple of "
            f"{multiple}: pad it, or infer by sliding windows of such a size."
        )
