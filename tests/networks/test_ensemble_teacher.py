import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from monai_kd.distillation import Distiller
from monai_kd.networks import ConvTeacher, EnsembleTeacher, TappedNetwork
from tests.networks.cases import random_image, small_network

ALL_FLIPS = [[0], [1], [2], [0, 1, 2]]
IMAGE = random_image(8, 8, 8)


class _Constant(nn.Module):
    """Says the same logits of every image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, _: Tensor) -> Tensor:
        return self.logits


def ask(*logits: Tensor, exclusive: bool = False) -> Tensor:
    networks = [_Constant(one) for one in logits]
    return EnsembleTeacher(networks, exclusive=exclusive)(torch.zeros(1, 4, 2, 2))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("exclusive", [False, True])
def test_a_network_and_its_copies_are_the_network(times, exclusive):
    network = small_network().eval()
    answers = EnsembleTeacher([network] * times, exclusive=exclusive)(IMAGE), network(IMAGE)
    if exclusive:
        answers = (logits.softmax(1) for logits in answers)
    torch.testing.assert_close(*answers)


def test_probabilities_are_averaged_and_not_logits():
    high, low, mean = (torch.full((1, 1, 2, 2), p).logit() for p in (0.9, 0.3, 0.6))
    torch.testing.assert_close(ask(high, low).sigmoid(), mean.sigmoid())
    first, second = torch.tensor([[0.8, 0.1, 0.1]]), torch.tensor([[0.2, 0.2, 0.6]])
    logits = ask(first.log(), second.log(), exclusive=True)
    torch.testing.assert_close(logits.softmax(1), torch.tensor([[0.5, 0.15, 0.35]]))


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_order_of_the_networks_does_not_matter(exclusive):
    logits = list(torch.randn(3, 1, 3, 2, 2))
    forth, back = ask(*logits, exclusive=exclusive), ask(*logits[::-1], exclusive=exclusive)
    torch.testing.assert_close(forth, back)


def test_a_network_that_mirrors_with_its_image_is_unchanged_by_flips():
    network = nn.Conv3d(4, 3, 1).eval()
    flipped = EnsembleTeacher([network], flips=ALL_FLIPS)(IMAGE)
    torch.testing.assert_close(flipped, network(IMAGE), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_with_a_flip_the_ensemble_mirrors_with_its_image(axis):
    ensemble = EnsembleTeacher([small_network()], flips=[[axis]])
    mirrored = ensemble(IMAGE.flip(axis + 2)).flip(axis + 2)
    torch.testing.assert_close(mirrored, ensemble(IMAGE), rtol=1e-4, atol=1e-5)


def test_a_classification_is_averaged_over_flips():
    torch.manual_seed(0)
    network = ConvTeacher(2, stage_channels=(4, 6), head="classification")
    assert EnsembleTeacher([network], flips=[[0]])(torch.randn(2, 4, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("value", [100.0, 7.0e4, float("inf")])
def test_certain_networks_give_finite_logits(exclusive, value):
    certain = torch.tensor([[value, -value, 0.0]]).half()
    logits = ask(certain, certain, -certain, exclusive=exclusive)
    assert logits.isfinite().all()
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_average_in_float32(dtype):
    ensemble = EnsembleTeacher([small_network(), small_network(1)], flips=[[0]])
    expected = ensemble(IMAGE)
    with torch.autocast("cpu", dtype=dtype):
        logits = ensemble(IMAGE)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=0.05, atol=0.05)


def test_no_gradient_reaches_the_networks_nor_the_image():
    ensemble, image = EnsembleTeacher([small_network()]), IMAGE.clone().requires_grad_()
    assert not ensemble(image).requires_grad
    assert not any(weight.requires_grad for weight in ensemble.parameters())


def test_training_mode_never_reaches_the_networks():
    ensemble = EnsembleTeacher([small_network().train()]).train()
    assert not any(module.training for module in ensemble.modules())


def test_tapped_members_and_a_distiller_are_understood():
    members = [TappedNetwork(small_network(), taps=["0"]), small_network(1)]
    distiller = Distiller(small_network(2), teacher=EnsembleTeacher(members)).train()
    assert distiller(IMAGE).teacher.logits.shape == (2, 3, 8, 8, 8)


def test_an_ensemble_is_described_in_a_configuration():
    member = {"_target_": "monai_kd.networks.ConvTeacher", "stage_channels": [4, 6]}
    ensemble = {"_target_": "monai_kd.networks.EnsembleTeacher", "flips": [[0], [1, 2]]}
    config = {"first": member, "second": member}
    config["teacher"] = ensemble | {"networks": ["@first", "@second"]}
    teacher = ConfigParser(config).get_parsed_content("teacher")
    assert teacher(IMAGE).shape == (2, 3, 8, 8, 8)


@pytest.mark.parametrize(
    ("members", "axes", "complaint"),
    [
        (0, [0], "networks is empty"),
        *[(1, axes, "expected lists of different spatial axes") for axes in ([], [0, 0], [-1])],
        (1, [3], r"axes \(3,\), the image has the 3 spatial axes 0 to 2"),
    ],
)
def test_networks_and_flips_that_cannot_be_are_refused(members, axes, complaint):
    with pytest.raises(ValueError, match=complaint):
        EnsembleTeacher([small_network()] * members, flips=[axes])(IMAGE)
