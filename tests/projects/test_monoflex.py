"""MonoFlex: mmdet3d 1.4 has its head, which cannot be trained, and no config. What taps can do is shown anyway."""

import copy

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from stock_detectors import PROJECT, shortened
from tiny_kitti import write_prepared_kitti

GROUPS = ((4,), (2,), (20,), (3,), (3,), (8, 8), (1,), (1,))
RIGHT = 1.5708
MONOFLEX = dict(
    type='SingleStageMono3DDetector',
    data_preprocessor=dict(type='Det3DDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3, pad_size_divisor=32),
    backbone=dict(type='mmdet.ResNet', depth=18, base_channels=16, norm_cfg=dict(type='BN')),
    neck=dict(
        type='DLANeck',
        in_channels=[16, 32, 64, 128],
        start_level=0,
        end_level=3,
        norm_cfg=dict(type='BN'),
        use_dcn=False,
    ),
    bbox_head=dict(
        type='MonoFlexHead',
        num_classes=3,
        in_channels=16,
        feat_channels=16,
        use_edge_fusion=False,
        edge_fusion_inds=[],
        edge_heatmap_ratio=1 / 8,
        stacked_convs=0,
        strides=None,
        group_reg_dims=GROUPS,
        cls_branch=(32,),
        reg_branch=((32,),) * len(GROUPS),
        dir_branch=(),
        attr_branch=(),
        num_attrs=0,
        use_direction_classifier=False,
        pred_attrs=False,
        pred_velo=False,
        bbox_code_size=7,
        dcn_on_last_conv=False,
        bbox_coder=dict(
            type='MonoFlexCoder',
            depth_mode='exp',
            base_depth=(26.5, 16.1),
            depth_range=[0.1, 100],
            combine_depth=True,
            uncertainty_range=[-10, 10],
            base_dims=((3.9, 1.5, 1.6, 0.4, 0.1, 0.1),) * 3,
            dims_mode='linear',
            multibin=True,
            num_dir_bins=4,
            bin_centers=[0, RIGHT, 2 * RIGHT, -RIGHT],
            bin_margin=RIGHT / 3,
            code_size=7,
        ),
    ),
)


def distiller():
    teacher = copy.deepcopy(MONOFLEX)
    teacher['data_preprocessor'] = dict(type='mono_distill.DepthDet3DDataPreprocessor', pad_size_divisor=32)
    inputs = dict(student='s_adapted', teacher='t', targets='objects')
    return dict(
        type='mono_distill.CrossModalDistiller',
        student=copy.deepcopy(MONOFLEX),
        teachers=dict(depth=dict(detector=teacher, allow_random=True, forward='loss')),
        # The last of the head's 50 channels is the log-scale of the depth.
        taps=dict(
            s='student:backbone[1:]',
            t='depth:backbone[1:]',
            s_boxes='student:bbox_head[1][0]',
            t_boxes='depth:bbox_head[1][0]',
        ),
        targets=dict(objects=dict(type='mono_distill.GTBoxes', inputs='data_samples')),
        adapters=dict(s_adapted=dict(type='mono_distill.ConvAdapter', channels=(32, 64, 128), inputs='s')),
        losses=dict(
            spearman=dict(type='mono_distill.SpearmanLoss', inputs=dict(student='s_adapted', teacher='t')),
            affinity=dict(type='mono_distill.SceneAffinityLoss', inputs=dict(student='s_adapted', teacher='t')),
            dasfd=dict(type='mono_distill.SelectiveFeatureLoss', inputs=dict(inputs, log_scale='s_boxes')),
            dasrd=dict(type='mono_distill.SelectiveRelationLoss', inputs=dict(inputs, log_scale='t_boxes')),
        ),
    )


@pytest.fixture(scope='module')
def batch(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kitti')
    config = shortened(PROJECT / 'smoke_tiny_kitti.py', write_prepared_kitti(folder), folder)
    init_default_scope('mmdet3d')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    return pseudo_collate([dataset[0], dataset[1]])


def test_the_head_of_mmdet3d_cannot_be_trained(batch):
    """When this fails, mmdet3d has repaired it: the page can say so, and a config can be made."""
    model = MODELS.build(MONOFLEX).train()
    with pytest.raises(TypeError, match=r'MonoFlexHead.loss\(\) takes 3 positional arguments but 6 were given'):
        model(**model.data_preprocessor(batch, True), mode='loss')


def test_without_its_own_losses_it_is_distilled_by_taps(batch, monkeypatch):
    def forward_alone(head, features, samples):
        scores, boxes = head(features, [sample.metainfo for sample in samples])
        return {'loss_own': 0 * (scores[0].sum() + boxes[0].sum())}

    from mmdet3d.models.dense_heads import MonoFlexHead

    monkeypatch.setattr(MonoFlexHead, 'loss', forward_alone)
    torch.manual_seed(0)
    model = MODELS.build(distiller()).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seen = []
    for _ in range(2):
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        total, log = model.parse_losses(losses)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        seen.append({key: float(value.detach()) for key, value in log.items() if key.startswith('loss_kd')})
    assert set(seen[0]) == {'loss_kd_spearman', 'loss_kd_affinity', 'loss_kd_dasfd', 'loss_kd_dasrd'}
    assert all(torch.tensor(list(step.values())).isfinite().all() for step in seen)
    assert model.student.backbone.layer1[0].conv1.weight.grad.abs().sum() > 0
