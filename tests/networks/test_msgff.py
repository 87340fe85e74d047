import pytest
import torch
from torch.nn import functional

from monai_kd.networks.msgff import (
    AttentionWeighting,
    CrossScaleAttention,
    MultiScaleFusion,
    ScaleAttention,
    ScaleGates,
    pool_to,
)
from monai_kd.networks.plain_fusion import PlainFusion, PointwiseFusion
from tests.networks.cases import CHANNELS


def random_maps(channels: tuple[int, ...], *, edge: int = 16, batch: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, count, *[edge >> scale] * 3, generator=generator)
        for scale, count in enumerate(channels)
    ]


@pytest.mark.parametrize("joining", ["sum", "concatenation", "attention"])
@pytest.mark.parametrize("branch", [0, 1])
def test_each_joining_hears_both_branches(joining, branch):
    fusion = MultiScaleFusion(3, stage_channels=CHANNELS, hidden_size=32, joining=joining).eval()
    maps = [random_maps(CHANNELS), [torch.randn(2, 32, 2, 2, 2) for _ in CHANNELS]]
    before = fusion(*maps)[0]
    maps[branch] = [2 * volume for volume in maps[branch]]
    assert not torch.allclose(fusion(*maps)[0], before)


def test_an_unknown_joining_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'product', expected one of sum, concatenation, att"):
        MultiScaleFusion(3, stage_channels=CHANNELS, hidden_size=32, joining="product")


def test_attention_weighting_lies_between_its_two_maps():
    first, second = random_maps((4, 4), edge=8)[0], torch.zeros(2, 4, 8, 8, 8)
    share = AttentionWeighting(3, 4)(first, second) / first
    assert 0 < share.min() < share.max() < 1
    torch.testing.assert_close(share[:, :1].expand_as(share), share, rtol=1e-3, atol=1e-5)


def test_attention_gives_a_coarse_volume_per_scale_and_carries_the_coarse_to_the_fine_one():
    attention = CrossScaleAttention(3, stage_channels=CHANNELS, token_channels=32)
    maps = [volume.requires_grad_() for volume in random_maps(CHANNELS)]
    coarse = attention(maps)
    assert coarse.shape == (2, 3, 32, 4, 4, 4)
    coarse[:, 0, :, 0, 0, 0].sum().backward()
    assert all(volume.grad[..., -1].abs().sum() > 0 for volume in maps[1:])


def test_scale_attention_is_the_sum_of_the_attention_of_all_tokens():
    query, key = torch.randn(2, 2, 4, 3 * 5, 32).unbind(0)
    weights = (query @ key.mT / 32**0.5).softmax(dim=-1)
    expected = weights.reshape(2, 4, 3, 5, 3, 5).mean(dim=(1, 3)).sum(dim=-1)
    torch.testing.assert_close(ScaleAttention(scales=3)(query, key), expected)


def test_gates_are_one_on_average_and_depend_on_the_input():
    gates = ScaleGates(8, scales=3)(torch.randn(4, 3, 8, 2, 2, 2))
    torch.testing.assert_close(gates.mean(dim=1), torch.ones(4))
    assert not torch.allclose(gates[0], gates[1])


def test_the_plain_fusion_is_a_convolution_over_the_concatenated_features():
    fuse = PointwiseFusion(2, channels=4, hidden_size=32)
    conv_map, vit_map = torch.randn(2, 4, 6, 6), torch.randn(2, 32, 6, 6)
    weight = torch.cat([fuse.from_conv.weight, fuse.from_vit.weight], dim=1)
    both = torch.cat([conv_map, vit_map], dim=1)
    expected = functional.conv2d(both, weight, fuse.from_vit.bias)
    torch.testing.assert_close(fuse(conv_map, vit_map), expected, rtol=1e-4, atol=1e-5)


def test_the_plain_fusion_hears_nothing_of_other_scales():
    fusion = PlainFusion(3, stage_channels=CHANNELS, hidden_size=32)
    maps, vit_maps = random_maps(CHANNELS), [torch.randn(2, 32, 2, 2, 2) for _ in CHANNELS]
    expected = fusion(maps, vit_maps)[0]
    changed = fusion([maps[0], *[-volume for volume in maps[1:]]], vit_maps)[0]
    torch.testing.assert_close(changed, expected, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(8, 12), (8, 12, 4)])
def test_pooling_keeps_the_mean(size):
    volume = torch.randn(2, 3, *size)
    pooled = pool_to(volume, torch.Size(edge // 4 for edge in size))
    torch.testing.assert_close(pooled.flatten(2).mean(2), volume.flatten(2).mean(2))


def test_one_scale_alone_is_refused():
    with pytest.raises(ValueError, match=r"\[8\], expected two scales or more"):
        MultiScaleFusion(3, stage_channels=(8,), hidden_size=32)
