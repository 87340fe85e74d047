import ast
import inspect
import sys
from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from monai_kd.networks import EfficientNetStudent, efficientnet_student
from monai_kd.networks.efficientnet_student import (
    STAGES,
    Scaling,
    scale_compound,
    scale_stages,
    scale_window,
)
from tests.networks.cases import count_parameters, random_image


def seeded_student(spatial_dims: int = 3, **arguments) -> EfficientNetStudent:
    torch.manual_seed(0)
    return EfficientNetStudent(spatial_dims, **arguments)


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


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"stages": [(8, 1, 1, "dense")]}, "'dense', expected 'early', 'mbconv' or 'fused'"),
        ({"stages": STAGES[:3], "squeeze_excitation": True}, "a stage of the kind 'mbconv'"),
        *[({"variant": v}, f"{v!r}, expected b0, b1") for v in ("b", "1", "b-1", "large", 0)],
    ],
)
def test_what_no_student_can_be_is_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        seeded_student(**arguments)


def test_patches_of_four_start_at_a_quarter():
    student = seeded_student(stages=STAGES[1:], patch_size=4).eval()
    assert student.multiple == 16
    assert student.encoder[0](random_image(32, 32, 32)).shape == (2, 32, 8, 8, 8)


def test_a_window_of_96_is_never_smaller_than_6():
    features = torch.randn(1, 4, 96, 96, 96, device="meta")
    for stage in seeded_student().to("meta").eval().encoder:
        features = stage(features)
    assert features.shape[2:] == (6, 6, 6)


def test_b0_leaves_the_stages_as_they_are():
    assert scale_stages(STAGES, scale_compound("b0")) == list(STAGES)


def test_scaling_rounds_channels_to_eight_and_blocks_upwards():
    stages = scale_stages(STAGES, Scaling(width=1.5, depth=1.2, resolution=1.0))
    assert [stage.channels for stage in stages] == [24, 48, 120, 240]
    assert [stage.repeats for stage in stages] == [0, 3, 3, 3]


def count_macs(variant: str) -> int:
    student = seeded_student(variant=variant).eval().to("meta")
    window = scale_window(variant, [96, 96, 96], multiple=student.multiple)
    with FlopCounterMode(display=False) as counter:
        student(torch.zeros(1, 4, *window, device="meta"))
    return counter.get_total_flops()


def test_the_work_about_doubles_with_each_step_of_scaling():
    macs = [count_macs(f"b{step}") for step in range(5)]
    assert all(1.2 < more / less < 2.3 for less, more in pairwise(macs))
    assert 1.7 < (macs[-1] / macs[0]) ** (1 / 4) < 2.1


def test_the_window_grows_with_the_variant():
    assert scale_window("b0", [96, 128, 32], multiple=16) == [96, 128, 32]
    assert scale_window("b2", [96, 128, 32], multiple=16) == [112, 160, 32]


def test_each_variant_is_larger_than_the_one_before():
    counts = [count_parameters(seeded_student(variant=f"b{step}")) for step in range(4)]
    assert counts == sorted(set(counts))


def test_the_default_student_has_at_most_eleven_hundred_thousand_parameters():
    assert 0.8e6 < count_parameters(seeded_student()) <= 1.1e6


def test_the_decoder_costs_at_most_as_much_as_the_encoder():
    student = seeded_student().eval()
    with FlopCounterMode(display=False) as counter:
        student(random_image(32, 32, 32))
    counts = {name: sum(c.values()) for name, c in counter.get_flop_counts().items()}
    assert counts["EfficientNetStudent.head"] <= counts["Global"] / 2


def test_logits_start_at_the_prior():
    bias = seeded_student(foreground_prior=0.1).head.logits.bias
    torch.testing.assert_close(bias.sigmoid(), torch.full((3,), 0.1))


def test_the_file_stands_alone():
    tree = ast.parse(inspect.getsource(efficientnet_student))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
    modules = {getattr(node, "module", None) or node.names[0].name for node in imports}
    roots = {module.split(".")[0] for module in modules}
    assert roots - set(sys.stdlib_module_names) == {"monai", "torch"}
