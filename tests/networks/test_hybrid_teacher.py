import pytest
import torch
from monai.bundle import ConfigParser

from monai_kd.distillation import Distiller
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.networks import HybridTeacher, TappedNetwork
from tests.networks.cases import count_parameters, random_image, seeded_network, starved

FULL = {"stage_channels": (64, 128, 256, 512), "hidden_size": 576, "layers": 12, "patch_size": 16}


def test_a_window_of_the_learned_grid_takes_the_positions_as_they_are():
    branch = seeded_network("concatenation", 2).vit_branch
    assert branch.embed(random_image(64, 64)).shape == (2, *branch.positions.shape[1:])


def test_the_multiple_fits_stages_and_patches():
    assert seeded_network("concatenation", patch_size=6).multiple == 24
    assert seeded_network("concatenation", patch_size=16).multiple == 16


def test_a_change_far_away_reaches_the_logits():
    teacher = seeded_network("concatenation", 2).eval()
    image = random_image(128, 128, batch=1).requires_grad_()
    teacher(image)[0, 0, 0, 0].backward()
    assert image.grad[..., -8:, -8:].abs().sum() > 0


@pytest.mark.parametrize("size", [(16, 24), (16, 16, 24)])
def test_msgff_tells_fused_maps_attention_and_gates(size):
    taps = ["fusion.fused.0", "fusion.fused.2", "fusion.cross_scale.scale_attention"]
    tapped = TappedNetwork(seeded_network("concatenation", len(size)), taps=[*taps, "fusion.gates"])
    features = tapped(random_image(*size)).features
    assert features["fusion.fused.0"].shape == (2, 4, *[edge // 2 for edge in size])
    assert features["fusion.fused.2"].shape == (2, 8, *[edge // 8 for edge in size])
    assert features["fusion.cross_scale.scale_attention"].shape == (2, 3, 3)
    assert features["fusion.gates"].shape == (2, 3)


def test_the_plain_fusion_tells_its_maps_under_the_same_name():
    tapped = TappedNetwork(seeded_network("plain"), taps=["fusion.fused.0"])
    assert tapped(random_image(16, 16, 16)).features["fusion.fused.0"].shape == (2, 4, 8, 8, 8)


def test_the_joining_is_chosen_in_a_configuration():
    fusion = {"_target_": "monai_kd.networks.MultiScaleFusion", "_mode_": "callable"}
    network = {"_target_": "monai_kd.networks.HybridTeacher", "stage_channels": [4, 6]}
    config = {"network": {**network, "fusion": {**fusion, "joining": "attention"}}}
    teacher = ConfigParser(config).get_parsed_content("network")
    assert hasattr(teacher.fusion.local[0].join, "weigh")


@pytest.mark.parametrize(
    ("sizes", "least", "most"), [({"deep_supervision": 3}, 4e6, 6e6), (FULL, 80e6, 120e6)]
)
def test_the_default_teacher_has_five_million_parameters_and_the_full_one_100(sizes, least, most):
    with torch.device("meta"):
        assert least < count_parameters(HybridTeacher(**sizes)) < most


# Before AVX-512 a convolution in bf16 falls back to a reference that takes minutes.
FAST_BF16 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def take_step(teacher: HybridTeacher, *size: int, device: str = "cpu", bf16: bool = True) -> None:
    """Take one step of training with deep supervision on two windows."""
    teacher.to(device, memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-4)
    image = random_image(*size).to(device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
        output = Distiller(teacher)(image)
        loss = SupervisedTerm()(output, (image[:, :3] > 1).float())
    loss.backward()
    optimizer.step()


def full_teacher() -> HybridTeacher:
    torch.manual_seed(0)
    return HybridTeacher(**FULL, deep_supervision=3)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_step_of_all_levels_reaches_every_parameter(bf16):
    teacher = seeded_network("concatenation", deep_supervision=3)
    take_step(teacher, 24, 24, 32, bf16=bf16)  # of fewer voxels bf16 may starve a ReLU
    assert starved(teacher) == []


@pytest.mark.run
def test_a_step_of_the_full_teacher_reaches_every_parameter():
    teacher = full_teacher()
    take_step(teacher, 64, 64, 64, bf16=FAST_BF16)
    assert starved(teacher) == []
    assert all(weight.isfinite().all() for weight in teacher.parameters())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of 40 GiB")
def test_a_step_of_the_full_teacher_at_128_stays_below_40_gib():
    teacher = full_teacher()
    torch.cuda.reset_peak_memory_stats()
    take_step(teacher, 128, 128, 128, device="cuda")
    assert starved(teacher) == []
    assert torch.cuda.max_memory_allocated() < 40 * 2**30


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"stage_channels": (4,) * 6}, "6 stages, VGG16 has 5"),
        ({"hidden_size": 40}, "hidden_size is 40, expected a multiple of 32"),
        ({"layers": 2}, "layers is 2, expected at least one for each of 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        seeded_network("concatenation", **arguments)
