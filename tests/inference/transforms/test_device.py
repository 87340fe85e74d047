import torch

from monai_kd.inference.transforms import choose_device


def test_the_chosen_device_holds_a_tensor() -> None:
    device = choose_device()
    assert torch.zeros(1, device=device).device.type == device.type
    assert (device.type == "cuda") == torch.cuda.is_available()
