import pytest
import torch
from torch import Tensor, nn

from monai_kd.networks import HybridTeacher


def tiny_teacher(spatial_dims: int = 3, **arguments) -> HybridTeacher:
    torch.manual_seed(0)
    sizes = {"stage_channels": (4, 6, 8), "hidden_size": 32, "layers": 3}
    return HybridTeacher(spatial_dims, **(sizes | arguments))


def random_image(*size: int, batch: int = 2, channels: int = 4) -> Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(16, 24), (16, 24, 32)])
def test_logits_have_the_size_of_the_image(size):
    teacher = tiny_teacher(len(size), in_channels=2, out_channels=5)
    assert teacher(random_image(*size, channels=2)).shape == (2, 5, *size)


def test_window_size_is_free():
    teacher = tiny_teacher().eval()
    for edge in (8, 16, 40):
        assert teacher(random_image(edge, 16, 16)).shape[2:] == (edge, 16, 16)


def test_a_window_of_the_learned_grid_takes_the_positions_as_they_are():
    branch = tiny_teacher(2).vit_branch
    assert branch.embed(random_image(64, 64)).shape == (2, *branch.positions.shape[1:])


@pytest.mark.parametrize("size", [(15, 16), (16, 16, 20)])
def test_an_odd_size_is_refused_with_size_multiple_and_mend(size):
    with pytest.raises(ValueError, match=rf"{size[-1]}\).*multiple of 8: pad it"):
        tiny_teacher(len(size))(random_image(*size))


def test_the_multiple_fits_stages_and_patches():
    assert tiny_teacher(patch_size=6).multiple == 24
    assert tiny_teacher(patch_size=16).multiple == 16


def test_one_seed_gives_one_teacher():
    image = random_image(16, 16, 16)
    torch.testing.assert_close(tiny_teacher()(image), tiny_teacher()(image), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(16, 16), (16, 16, 16)])
def test_gradient_reaches_every_parameter(size):
    teacher = tiny_teacher(len(size))
    teacher(random_image(*size)).square().sum().backward()
    starved = [name for name, weight in teacher.named_parameters() if not has_gradient(weight)]
    assert starved == []


def has_gradient(weight: nn.Parameter) -> bool:
    return weight.grad is not None and bool(weight.grad.abs().sum() > 0)


def test_the_state_survives_a_round_trip(tmp_path):
    teacher, other = tiny_teacher().eval(), tiny_teacher(foreground_prior=0.3).eval()
    torch.save(teacher.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    image = random_image(16, 16, 16)
    torch.testing.assert_close(other(image), teacher(image), rtol=0, atol=0)


def test_cases_of_a_batch_do_not_meet_in_inference():
    teacher = tiny_teacher().eval()
    image = random_image(16, 16, 16)
    torch.testing.assert_close(teacher(image)[1:], teacher(image[1:]), rtol=1e-4, atol=1e-5)


def test_a_change_far_away_reaches_the_logits():
    teacher = tiny_teacher(2).eval()
    image = random_image(128, 128, batch=1).requires_grad_()
    teacher(image)[0, 0, 0, 0].backward()
    assert image.grad[..., -8:, -8:].abs().sum() > 0


def test_channels_last_changes_nothing():
    teacher = tiny_teacher().eval()
    image = random_image(16, 16, 16)
    expected = teacher(image)
    teacher = teacher.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(teacher(image), expected, rtol=1e-4, atol=1e-5)


def test_without_foreground_in_sight_the_logits_start_at_the_prior():
    logits = tiny_teacher(foreground_prior=0.1).head.logits.bias
    torch.testing.assert_close(logits.sigmoid(), torch.full((3,), 0.1))


def test_the_full_teacher_has_about_a_hundred_million_parameters():
    with torch.device("meta"):
        teacher = HybridTeacher(
            stage_channels=(64, 128, 256, 512), hidden_size=576, layers=12, patch_size=16
        )
    assert 80e6 < sum(weight.numel() for weight in teacher.parameters()) < 120e6


def test_the_default_teacher_has_two_to_five_million_parameters():
    with torch.device("meta"):
        teacher = HybridTeacher()
    assert 2e6 < sum(weight.numel() for weight in teacher.parameters()) < 5e6


def test_too_many_stages_are_refused():
    with pytest.raises(ValueError, match="6 stages, VGG16 has 5"):
        HybridTeacher(stage_channels=(4,) * 6, hidden_size=32)


def test_a_hidden_size_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="hidden_size is 40, expected a multiple of 32"):
        tiny_teacher(hidden_size=40)


def test_fewer_layers_than_scales_are_refused():
    with pytest.raises(ValueError, match="layers is 2, expected at least one for each of 3"):
        tiny_teacher(layers=2)
