"""The networks that are measured, each for four modalities and three regions."""

from collections.abc import Callable
from pathlib import Path

from monai.bundle import ConfigParser
from monai.networks.nets import (
    UNETR,
    DynUNet,
    FlexibleUNet,
    MedNeXtS,
    SegResNet,
    SwinUNETR,
)
from torch import manual_seed, nn
from torch._subclasses import FakeTensorMode

from monai_kd.experiment.cost import count_cost
from monai_kd.networks import EfficientNetStudent, HybridTeacher

CHANNELS = {"in_channels": 4, "out_channels": 3}
BUNDLES = Path(__file__).parents[3] / "bundles"
WIDTHS = (32, 64, 128, 256, 320, 320)  # nnU-Net's 3d_fullres
LIGHT = ("student", "teacher-small", "SegResNet")  # measured in all ways by default


def make_network(name: str, window: int) -> nn.Module:
    """Return the network, its weights drawn from one seed; UNETR is made for one window."""
    manual_seed(0)
    return NETWORKS[name](window).eval()


def count_window(name: str, window: int) -> dict[str, int]:
    """Return the parameters, and the multiply-accumulates of one window, without computing it."""
    network = make_network(name, window)
    with FakeTensorMode(allow_non_fake_inputs=True):
        cost = count_cost(network, channels=CHANNELS["in_channels"], window=[window] * 3)
    return {"params": int(cost["parameters"]), "macs": int(cost["macs"])}  # type: ignore[arg-type]


def _make_teacher(_: int) -> nn.Module:
    """Ours at full size, as the recipe for CUDA has it."""
    settings = ConfigParser.load_config_file(BUNDLES / "recipes.yaml")["full"]
    described = ConfigParser.load_config_file(BUNDLES / "networks.yaml")["teacher"]
    task = {"_target_": "types.SimpleNamespace", "spatial_dims": 3}
    task |= {"channels": range(CHANNELS["in_channels"]), "outputs": range(CHANNELS["out_channels"])}
    parser = ConfigParser({"settings": settings, "task": task, "teacher": described})
    network: nn.Module = parser.get_parsed_content("teacher")
    return network


def _make_dynunet(_: int) -> nn.Module:
    strides = [1] + [2] * (len(WIDTHS) - 1)
    return DynUNet(
        3,
        **CHANNELS,
        kernel_size=[3] * len(WIDTHS),
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=WIDTHS,
    )


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "student": lambda _: EfficientNetStudent(**CHANNELS),
    "teacher": _make_teacher,
    "teacher-small": lambda _: HybridTeacher(**CHANNELS),
    "SegResNet": lambda _: SegResNet(
        init_filters=16, blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1), **CHANNELS
    ),
    "DynUNet": _make_dynunet,
    "UNETR": lambda window: UNETR(img_size=window, **CHANNELS),
    "SwinUNETR": lambda _: SwinUNETR(feature_size=48, **CHANNELS),
    "FlexibleUNet-b0": lambda _: FlexibleUNet(
        backbone="efficientnet-b0", spatial_dims=3, **CHANNELS
    ),
    "MedNeXt-S": lambda _: MedNeXtS(spatial_dims=3, **CHANNELS),
}
