"""MonoTAKD's student and teaching assistant."""

import pytest
import torch
from kitti_bev_samples import CONFIGS, bev_batch, prepared, tiny_model
from mmdet3d.structures import LiDARInstance3DBoxes
from mmengine.config import Config

from mono_distill.utils.errors import ConfigError, DataError, ShapeError

STUDENT, ASSISTANT = 'students/caddn_tiny_kitti', 'assistants/caddn_tiny_lidar_kitti'
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def loss_of(model, batch):
    return model.train()(**prepared(model, batch), mode='loss')


def touched(model):
    """Names of top-level parts that received a gradient."""
    return {name.split('.')[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


@pytest.fixture(scope='module')
def student():
    return tiny_model(STUDENT)


def test_published_sizes():
    model = tiny_model('students/caddn_r50_kitti')
    assert parameters(model.context) == 65_664
    assert parameters(model.depth_head) == 16_156_537
    assert parameters(model.collapse) == parameters(model.collapse_spatial) == 82_176
    assert parameters(model.scnet) == 726_016
    # The normalisation of two layers is not shared here: 256 more than the official class.
    assert parameters(model.ffm) == 476_416 + 256
    assert parameters(model.sam.aspp) == 197_760
    assert abs(parameters(model.sam) - 1_004_928) < 1000
    assert parameters(model.bev_backbone) + parameters(model.bev_neck) == 4_429_312
    assert parameters(model.bbox_head) == 36_936
    lite = parameters(model) - parameters(model.sam) - parameters(model.ffm) - parameters(model.collapse_spatial)
    assert lite == pytest.approx(45.0e6, rel=2e-3)


def test_published_shapes():
    model = tiny_model('students/caddn_r50_kitti')
    model.eval()
    assert model.bev_layout() == dict(
        point_cloud_range=(2.0, -30.08, -3.0, 46.8, 30.08, 1.0),
        bev_size=(188, 140),
        depth_range=(2.0, 46.8),
        depth_bins=120,
    )
    assert model.view.voxels == (140, 188, 10)
    with torch.no_grad():
        maps = model.backbone(torch.zeros(1, 3, 64, 96))
    # Stride 8 of 375 x 1242, padded to 376 x 1248, is 47 x 156.
    assert [tuple(m.shape) for m in maps] == [(1, 1024, 8, 12), (1, 2048, 8, 12)]


def test_it_trains(student):
    student.zero_grad()
    losses = loss_of(student, bev_batch(2))
    assert set(losses) == {'loss_cls', 'loss_bbox', 'loss_dir', 'loss_depth'}
    sum(losses.values()).backward()
    parts = {name.split('.')[0] for name, _ in student.named_parameters()}
    assert touched(student) == parts


def test_one_image_trains_with_group_norm_and_with_batch_norm():
    for groups in (8, None):
        losses = loss_of(tiny_model(STUDENT, norm_groups=groups), bev_batch(1))
        assert all(value.isfinite() for value in losses.values())


def test_it_predicts_from_the_picture_alone(student):
    batch = bev_batch(2, depth=False)
    del batch['inputs']['points']
    found = student.eval()(**prepared(student, batch, False), mode='predict')
    assert [type(sample.pred_instances_3d.bboxes_3d) for sample in found] == [LiDARInstance3DBoxes] * 2
    assert student.distill_outputs()['spatial'].shape == (2, 32, 94, 70)


def test_depth_that_is_there_changes_no_prediction(student):
    with torch.no_grad():
        with_depth, without = (
            student.eval()(**prepared(student, bev_batch(2, depth=depth), False), mode='tensor')[0][0]
            for depth in (True, False)
        )
    assert torch.equal(with_depth, without)


def test_names_of_outputs_are_known_before_the_first_pass():
    assert {'visual', 'spatial', 'depth', 'bev'} <= set(tiny_model(STUDENT).distill_outputs())


def test_the_predicted_depth_is_a_distribution_without_the_last_class(student):
    student.eval()(**prepared(student, bev_batch(1), False), mode='tensor')
    outputs = student.distill_outputs()
    expected = outputs['depth_logits'].softmax(1)
    torch.testing.assert_close(outputs['depth'], expected[:, :40])
    assert outputs['depth'].shape == (1, 40, 6, 20)


class TestAssistant:
    def test_its_depth_is_the_lidars_and_certain(self):
        model, batch = tiny_model(ASSISTANT), bev_batch(2)
        losses = loss_of(model, batch)
        sum(losses.values()).backward()
        assert touched(model) == {'backbone', 'context', 'collapse', 'scnet', 'bev_backbone', 'bev_neck', 'bbox_head'}
        depth = model.distill_outputs()['depth']
        measured = torch.stack(batch['inputs']['gt_depth'])
        inside = (measured >= 2) & (measured < 46.8)
        torch.testing.assert_close(depth.sum(1), inside.float())
        assert set(depth.unique().tolist()) == {0.0, 1.0}

    def test_bins_are_by_the_rule_of_increasing_width(self):
        model, batch = tiny_model(ASSISTANT), bev_batch(1)
        model.eval()(**prepared(model, batch, False), mode='tensor')
        depth, measured = model.distill_outputs()['depth'][0], batch['inputs']['gt_depth'][0]
        edges = [2 + (46.8 - 2) * k * (k + 1) / (40 * 41) for k in range(41)]
        for row, column in measured.nonzero().tolist():
            metres = measured[row, column].item()
            if 2 <= metres < 46.8:
                expected = sum(edge <= metres for edge in edges) - 1
                assert depth[:, row, column].argmax() == expected

    @pytest.mark.parametrize('mode', ['loss', 'predict', 'tensor'])
    def test_without_depth_it_names_the_frames(self, mode):
        model = tiny_model(ASSISTANT)
        with pytest.raises(DataError, match=r'no LiDAR depth .*000000, 000001.*KittiBEVDepth'):
            model(**prepared(model, bev_batch(2, depth=False)), mode=mode)

    def test_it_has_no_depth_head_and_no_spatial_branch(self):
        names = {name.split('.')[0] for name, _ in tiny_model(ASSISTANT).named_parameters()}
        assert names == {'backbone', 'context', 'collapse', 'scnet', 'bev_backbone', 'bev_neck', 'bbox_head'}


class TestVariants:
    def test_without_fusion_the_spatial_branch_runs_in_training_alone(self):
        model = tiny_model(STUDENT, ffm=None)
        loss_of(model, bev_batch(1))
        outputs = model.distill_outputs()
        assert outputs['bev'] is outputs['visual']
        assert 'spatial' in outputs
        model.eval()(**prepared(model, bev_batch(1), False), mode='tensor')
        assert 'spatial' not in model.distill_outputs()

    @pytest.mark.parametrize('form', ['collapse', 'aligned'])
    def test_an_assistant_on_the_same_trunk_sees_the_lidars_depth(self, form):
        model = tiny_model(STUDENT, shared_assistant=form)
        loss_of(model, bev_batch(1))
        outputs = model.distill_outputs()
        outputs['assistant'].square().sum().backward()
        expected = {'backbone', 'context', 'collapse_assistant'} | ({'sam'} if form == 'aligned' else set())
        assert touched(model) == expected

    def test_an_assistant_on_the_same_trunk_is_not_there_in_evaluation(self):
        model = tiny_model(STUDENT, shared_assistant='collapse')
        model.eval()(**prepared(model, bev_batch(1, depth=False), False), mode='tensor')
        assert 'assistant' not in model.distill_outputs()
        with pytest.raises(DataError, match='no LiDAR depth'):
            loss_of(model, bev_batch(1, depth=False))

    def test_without_supervision_annotations_are_not_read(self):
        model = tiny_model(STUDENT, supervised=False, depth_loss=None)
        batch = bev_batch(2)
        for sample in batch['data_samples']:
            del sample.gt_instances_3d
        assert loss_of(model, batch) == {}
        assert 'bev_features' in model.distill_outputs()


class TestGradients:
    """Which parts each of MonoTAKD's terms reaches."""

    @pytest.fixture
    def outputs(self):
        model = tiny_model(STUDENT, supervised=False, depth_loss=None)
        loss_of(model, bev_batch(2))
        return model, model.distill_outputs()

    def test_imd_reaches_trunk_depth_collapse_and_scnet(self, outputs):
        model, values = outputs
        values['visual'].square().sum().backward()
        assert touched(model) == {'backbone', 'context', 'depth_head', 'collapse', 'scnet'}

    def test_cmrd_reaches_alignment_and_the_spatial_collapse(self, outputs):
        model, values = outputs
        values['spatial'].square().sum().backward()
        assert touched(model) == {'backbone', 'context', 'depth_head', 'collapse_spatial', 'sam'}

    def test_the_head_reaches_both_branches(self, outputs):
        model, values = outputs
        values['bev_features'].square().sum().backward()
        assert {'collapse', 'scnet', 'collapse_spatial', 'sam', 'ffm', 'depth_head'} <= touched(model)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(depth_source='stereo'), 'depth_source'),
        (dict(depth_head=None), "'predicted' needs a depth_head"),
        (dict(depth_source='lidar'), "'lidar' has none"),
        (dict(depth_source='lidar', depth_head=None), 'drop depth_loss'),
        (dict(sam=None), 'configure sam'),
        (dict(sam=None, ffm=None, shared_assistant='aligned'), 'passes through sam'),
        (dict(shared_assistant='both'), 'shared_assistant'),
    ],
)
def test_options_that_exclude_each_other(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny_model(STUDENT, **changes)


def test_bins_of_head_and_view_must_be_the_same():
    head = Config.fromfile(CONFIGS / f'{STUDENT}.py').model.depth_head
    with pytest.raises(ConfigError, match='depth_head has 41 bins, view 40'):
        tiny_model(STUDENT, depth_head={**head, 'bins': 41})


def test_what_is_missing_is_said(student):
    with pytest.raises(DataError, match='expected imgs'):
        student(inputs=dict(points=[]), data_samples=[], mode='tensor')
    with pytest.raises(DataError, match='without data samples'):
        student(inputs=prepared(student, bev_batch(1), False)['inputs'], mode='tensor')


def test_depth_of_another_size_is_refused():
    model = tiny_model(ASSISTANT)
    ready = prepared(model, bev_batch(1))
    ready['inputs']['gt_depth'] = torch.ones(1, 3, 20)
    with pytest.raises(ShapeError, match=r'\(1, 3, 20\), the image features have \(1, 6, 20\)'):
        model(**ready, mode='tensor')
