import ast
import inspect
import sys

import pytest
import torch
from torch import Tensor, nn

from monai_kd.networks import EfficientNetStudent, efficientnet_student
from monai_kd.networks.efficientnet_student import STAGES, scale_stages


def seeded_student(spatial_dims: int = 3, **arguments) -> EfficientNetStudent:
    torch.manual_seed(0)
    return EfficientNetStudent(spatial_dims, **arguments)


def random_image(*size: int, batch: int = 2, channels: int = 4) -> Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


def count_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("size", [(32, 48), (32, 48, 16)])
def test_logits_have_the_size_of_the_image(size):
    student = seeded_student(len(size), in_channels=2, out_channels=5)
    assert student(random_image(*size, channels=2)).shape == (2, 5, *size)


@pytest.mark.parametrize("size", [(31, 32), (32, 32, 24)])
def test_an_odd_size_is_refused_with_size_multiple_and_mend(size):
    with pytest.raises(ValueError, match=rf"{size[-1]}\].*multiple of 16: pad it"):
        seeded_student(len(size))(random_image(*size))


def test_one_seed_gives_one_student():
    image = random_image(32, 32, 32)
    torch.testing.assert_close(seeded_student()(image), seeded_student()(image), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(32, 32), (32, 32, 32)])
@pytest.mark.parametrize("squeeze_excitation", [False, True])
def test_gradient_reaches_every_parameter(size, squeeze_excitation):
    student = seeded_student(len(size), squeeze_excitation=squeeze_excitation)
    student(random_image(*size)).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in student.parameters())


def test_the_state_survives_a_round_trip(tmp_path):
    student, other = seeded_student().eval(), seeded_student(foreground_prior=0.3).eval()
    torch.save(student.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    image = random_image(32, 32, 32)
    torch.testing.assert_close(other(image), student(image), rtol=0, atol=0)


def test_cases_of_a_batch_do_not_meet_in_inference():
    student = seeded_student().eval()
    image = random_image(32, 32, 32)
    torch.testing.assert_close(student(image)[1:], student(image[1:]), rtol=1e-4, atol=1e-5)


def test_channels_last_changes_nothing():
    student = seeded_student().eval()
    image = random_image(32, 32, 32)
    expected = student(image)
    student = student.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(student(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (32, 32, 32)])
def test_the_script_agrees_with_the_network_at_two_sizes(size):
    student = seeded_student(len(size), squeeze_excitation=True).eval()
    script = torch.jit.script(student)
    for image in (random_image(*size), random_image(48, *size[1:])):
        torch.testing.assert_close(script(image), student(image), rtol=1e-4, atol=1e-5)


def test_the_exported_program_agrees_with_the_network():
    student = seeded_student().eval()
    image = random_image(32, 32, 32)
    program = torch.export.export(student, (image,)).module()
    torch.testing.assert_close(program(image), student(image), rtol=1e-4, atol=1e-5)


def test_width_and_depth_of_one_leave_the_stages_as_they_are():
    assert scale_stages(STAGES, width=1.0, depth=1.0) == list(STAGES)


def test_width_scales_channels_in_multiples_of_eight_and_depth_scales_repeats_upwards():
    stages = scale_stages(STAGES, width=1.5, depth=1.2)
    assert [stage.channels for stage in stages] == [24, 40, 64, 120]
    assert [stage.repeats for stage in stages] == [2, 3, 3, 3]


@pytest.mark.parametrize("larger", [{"width": 1.5}, {"depth": 1.5}])
def test_compound_scaling_adds_parameters(larger):
    assert count_parameters(seeded_student(**larger)) > count_parameters(seeded_student())


def test_the_default_student_is_small_and_the_full_one_below_the_limit():
    assert 0.2e6 < count_parameters(seeded_student()) < 0.6e6
    assert 0.6e6 < count_parameters(seeded_student(width=2.0)) < 1.1e6


def test_logits_start_at_the_prior():
    bias = seeded_student(foreground_prior=0.1).head.bias
    torch.testing.assert_close(bias.sigmoid(), torch.full((3,), 0.1))


def test_the_file_stands_alone():
    tree = ast.parse(inspect.getsource(efficientnet_student))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
    modules = {getattr(node, "module", None) or node.names[0].name for node in imports}
    roots = {module.split(".")[0] for module in modules}
    assert roots - set(sys.stdlib_module_names) == {"monai", "torch"}
