import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import UNETR, DynUNet, SegResNet, SwinUNETR
from torch import nn

from monai_kd.distillation import Distiller
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.networks import EfficientNetStudent, TappedNetwork, list_levels
from tests.networks.cases import random_image

SIZE = (32, 64)
CHANNELS = {"in_channels": 4, "out_channels": 3}


def segresnet() -> nn.Module:
    return SegResNet(2, init_filters=8, blocks_down=(1, 1), blocks_up=(1,), **CHANNELS)


def unetr() -> nn.Module:
    sizes = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 16, "num_heads": 2}
    return UNETR(img_size=SIZE, spatial_dims=2, **sizes, **CHANNELS)


def swin_unetr() -> nn.Module:
    sizes = {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
    return SwinUNETR(spatial_dims=2, **sizes, **CHANNELS)


def dynunet(**arguments) -> nn.Module:
    kernels, strides = [3, 3, 3, 3], [1, 2, 2, 2]
    sizes = {"kernel_size": kernels, "strides": strides, "filters": [4, 6, 8, 10]}
    return DynUNet(2, **sizes, upsample_kernel_size=strides[1:], **arguments, **CHANNELS)


NETWORKS = {
    segresnet: {"down_layers.1": (16, 32), "up_layers.0": (32, 64)},
    unetr: {"vit.blocks.2": (12,), "decoder2": (32, 64)},
    swin_unetr: {"encoder4": (4, 8), "swinViT.layers1.0": (8, 16)},
    dynunet: {"bottleneck": (4, 8), "upsamples.2": (32, 64)},
}
each_network = pytest.mark.parametrize(("make", "taps"), NETWORKS.items())


def small_network(activation: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    middle = activation or nn.ReLU()
    return nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), middle, nn.Conv2d(6, 3, 1))


@each_network
def test_taps_of_monai_networks_have_their_sizes_and_nothing_else_changes(make, taps):
    network, image = make().eval(), random_image(*SIZE)
    tapped = TappedNetwork(network, taps=list(taps)).eval()
    before = snapshot(tapped)
    output = tapped(image)
    assert {tap: output.features[tap].shape[-len(size) :] for tap, size in taps.items()} == taps
    torch.testing.assert_close(output.logits, network(image), rtol=0, atol=0)
    assert snapshot(tapped) == before


def snapshot(network: nn.Module) -> list[tuple]:
    """The hooks and the names of all attributes of every module."""
    return [(name, *vars(m), *m._forward_hooks) for name, m in network.named_modules()]


def test_hooks_are_closed_when_the_network_fails():
    tapped = TappedNetwork(small_network(), taps=["0"])
    with pytest.raises(RuntimeError):
        tapped(torch.zeros(1, 5, 8, 8))
    assert not tapped.network[0]._forward_hooks


def test_a_feature_is_what_the_module_put_out():
    network, image = small_network(), random_image(*SIZE)
    features = TappedNetwork(network, taps=["0", "1"])(image).features
    torch.testing.assert_close(features["0"], network[0](image), rtol=0, atol=0)
    torch.testing.assert_close(features["1"], network[0](image).relu(), rtol=0, atol=0)


def test_gradient_flows_through_a_feature():
    tapped = TappedNetwork(small_network(), taps=["1"])
    tapped(random_image(*SIZE)).features["1"].sum().backward()
    assert tapped.network[0].weight.grad.abs().sum() > 0
    assert tapped.network[2].weight.grad is None


def test_several_tensors_of_a_module_are_features_by_place():
    features = TappedNetwork(unetr(), taps=["vit"])(random_image(*SIZE)).features
    assert list(features) == ["vit.0", *[f"vit.1.{layer}" for layer in range(12)]]


def run_twice() -> nn.Module:
    shared = nn.ReLU()
    return nn.Sequential(nn.Conv2d(4, 4, 1), shared, nn.Conv2d(4, 3, 1), shared)


def change_in_place() -> nn.Module:
    return small_network(nn.ReLU(inplace=True))


def answer_with_a_tap() -> nn.Module:
    network = nn.ModuleDict({"deep": nn.Sequential(nn.Identity(), nn.Identity())})
    network.forward = lambda image: [network["deep"](image), image]
    return network


@pytest.mark.parametrize(
    ("error", "make", "taps", "complaint"),
    [
        (ValueError, segresnet, ["down_layer.1"], r"no module 'down_layer\.1'.*'down_layers\.1'"),
        (ValueError, segresnet, "encoder.3", "the text 'encoder.3', expected a list"),
        (RuntimeError, segresnet, ["down_layers"], "'down_layers' ran 0 times.*container"),
        (RuntimeError, run_twice, ["1"], "'1' ran 2 times in one forward, expected once"),
        (RuntimeError, answer_with_a_tap, ["deep.1"], r"'deep\.1' has the name"),
        (RuntimeError, change_in_place, ["0"], "'0' put out was then changed in place"),
    ],
)
def test_a_tap_that_tells_nothing_certain_is_named(error, make, taps, complaint):
    with pytest.raises(error, match=complaint):
        TappedNetwork(make(), taps=taps)(random_image(*SIZE))


def test_inference_mode_is_no_obstacle():
    tapped = TappedNetwork(small_network(), taps=["1"])
    with torch.inference_mode():
        assert tapped(random_image(*SIZE)).features["1"].shape == (2, 6, *SIZE)


def test_the_deep_supervision_of_dynunet_is_taken_apart():
    tapped = TappedNetwork(dynunet(deep_supervision=True, deep_supr_num=2), taps=["bottleneck"])
    output = tapped(random_image(*SIZE))
    assert list(output.features) == ["deep.1", "deep.2", "bottleneck"]
    assert [level.shape for level in list_levels(output)] == [(2, 3, *SIZE)] * 3
    assert len(list_levels(tapped.eval()(random_image(*SIZE)))) == 1


def test_training_through_the_wrapper_trains_the_plain_network():
    network = small_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    distiller = Distiller(TappedNetwork(network, taps=["1"]))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    image = random_image(*SIZE)
    SupervisedTerm()(distiller(image), (image[:, :3] > 1).float()).backward()
    optimizer.step()
    assert list(network.state_dict()) == list(before)
    assert all(not torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_plain_checkpoint_loads_into_the_network_inside():
    trained, image = segresnet().eval(), random_image(*SIZE)
    tapped = TappedNetwork(segresnet(), taps=["up_layers.0"]).eval()
    tapped.network.load_state_dict(trained.state_dict())
    torch.testing.assert_close(tapped(image).logits, trained(image), rtol=0, atol=0)


def test_a_network_of_the_zoo_is_tapped_from_a_configuration():
    config = {
        "network_def": {
            "_target_": "SegResNet",
            "spatial_dims": 2,
            "blocks_down": [1, 2, 2, 4],
            "blocks_up": [1, 1, 1],
            "init_filters": 8,
            **CHANNELS,
        },
        "teacher": {
            "_target_": "monai_kd.networks.TappedNetwork",
            "network": "@network_def",
            "taps": ["down_layers.3", "up_layers.2"],
        },
    }
    teacher = ConfigParser(config).get_parsed_content("teacher")
    distiller = Distiller(small_network(), teacher=teacher)
    features = distiller(random_image(*SIZE)).teacher.features
    assert features["down_layers.3"].shape == (2, 64, 4, 8)
    assert not features["up_layers.2"].requires_grad


def test_the_multiple_of_the_network_shows_through():
    assert TappedNetwork(EfficientNetStudent()).multiple == 16
