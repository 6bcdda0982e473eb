"""MonoDETR detectors for tests: the official one with the weights of the golden files, and a tiny one."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
from mmengine.structures import InstanceData

from mono_distill.models.converters import compare_state, convert_monodetr_keys
from mono_distill.registry import MODELS

KEYS = Path(__file__).parent / 'data' / 'golden' / 'keys_monodetr.txt'
CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
EMBEDDINGS = ('query_embed.weight', 'level_embed', 'depth_pos_embed.weight', 'label_enc.weight')


def full_config(dropout: float = 0.1, **head) -> dict:
    return dict(
        type='mono_distill.MonoDETR',
        backbone=dict(
            type='mono_distill.ImageNetResNet',
            depth=50,
            out_indices=(1, 2, 3),
            frozen_stages=1,
            norm_cfg=dict(type='BN', requires_grad=False),
            norm_eval=True,
        ),
        neck=neck([512, 1024, 2048], 256),
        bbox_head=dict(type='mono_distill.MonoDETRHead', **head),
        **{part: dict(dropout=dropout) for part in ('depth_predictor', 'encoder', 'decoder')},
    )


def tiny_config(**options) -> dict:
    small = dict(num_heads=4, feedforward_channels=32)
    config = dict(
        type='mono_distill.MonoDETR',
        backbone=dict(
            type='mono_distill.ImageNetResNet', depth=18, base_channels=8, out_indices=(1, 2, 3), norm_eval=False
        ),
        neck=neck([16, 32, 64], 32),
        bbox_head=dict(type='mono_distill.MonoDETRHead', in_channels=32, num_layers=2),
        depth_predictor=small,
        encoder=dict(num_layers=1, **small),
        decoder=dict(num_layers=2, **small),
        num_queries=6,
        num_groups=3,
        embed_dims=32,
    )
    return {**config, **options}


def neck(in_channels: list[int], out_channels: int) -> dict:
    return dict(
        type='mmdet.ChannelMapper',
        in_channels=in_channels,
        kernel_size=1,
        out_channels=out_channels,
        act_cfg=None,
        norm_cfg=dict(type='GN', num_groups=32),
        num_outs=4,
        bias=True,
    )


def tiny_detector(**options):
    detector = MODELS.build(tiny_config(**options))
    detector.init_weights()
    return detector


def official_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the official state dict."""
    lines = [line.split('\t') for line in KEYS.read_text().splitlines() if not line.startswith('#')]
    return {name: tuple(int(n) for n in shape.strip('()').split(',') if n.strip()) for name, shape, _ in lines}


def numbered_weights(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weights the official code was run with: random numbers seeded by the official parameter name."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    if name.endswith('running_var'):
        values = random.uniform(0.5, 1.5, shape)
    elif name.endswith('running_mean'):
        values = 0.1 * random.standard_normal(shape)
    elif name.endswith('bias'):
        values = 0.02 * random.standard_normal(shape)
    elif len(shape) == 1:
        values = 1 + 0.1 * random.standard_normal(shape)
    elif 'sampling_offsets' in name:
        values = 0.01 * random.standard_normal(shape)
    elif name.endswith(EMBEDDINGS):
        values = 0.5 * random.standard_normal(shape)
    else:
        values = random.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    return torch.tensor(values, dtype=torch.float32)


def golden_detector():
    """The full detector as the official code was run: without dropout, with numbered weights."""
    # The guard of the official depth loss.
    depth_map = dict(type='mono_distill.DDNLoss', smoothing=1e-6)
    detector = MODELS.build(full_config(0.0, depth_geometry='official', losses=dict(depth_map=depth_map)))
    official = {name: numbered_weights(name, shape) for name, shape in official_shapes().items()}
    official['depth_predictor.depth_bin_values'] = detector.depth_predictor.depth_bin_values
    state, dropped = convert_monodetr_keys(official)
    report = compare_state(state, detector.state_dict(), dropped=dropped)
    report.require_complete('the official weights')
    detector.load_state_dict(state, strict=False)
    return detector


def golden_images() -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(7).standard_normal((2, 3, 384, 1280)).astype(np.float32))


def golden_metas() -> list[dict]:
    return [dict(ori_cam2img=CAM2IMG, ori_shape=(375, 1242), img_shape=(384, 1280))] * 2


def data_samples(counts, size=(96, 320), seed=0) -> list[Det3DDataSample]:
    """Samples with so many objects, each in the middle of its 2D box."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    samples = []
    for count in counts:
        centers = (rand(count, 2) * 0.8 + 0.1) * torch.tensor([size[1], size[0]])
        sample = Det3DDataSample()
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=CameraInstance3DBoxes(rand(count, 7) * 4 + 1),
            labels_3d=torch.randint(0, 3, (count,), generator=generator),
            bboxes=torch.cat([centers - 8, centers + 8], dim=1),
            centers_2d=centers,
            depths=rand(count) * 50 + 5,
        )
        cam2img = np.array([[180.0, 0, 160, 11], [0, 180, 43, 0.05], [0, 0, 1, 0.003]])
        sample.set_metainfo(
            dict(
                cam2img=cam2img,
                ori_cam2img=cam2img,
                trans_mat=np.eye(3),
                ori_shape=size,
                img_shape=size,
                crop_scale=1.0,
            )
        )
        samples.append(sample)
    return samples
