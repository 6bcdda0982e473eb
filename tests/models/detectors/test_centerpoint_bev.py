"""The LiDAR teacher: mmdet3d's checkpoints load, batches with empty clouds work, past clouds come out apart."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from centerpoint_models import build, model_config, random_cloud, random_instances, voxel_inputs
from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
from mmengine.config import Config

from mono_distill.utils.errors import ConfigError, DataError

VOXEL = [0.8, 0.8, 8]


@pytest.fixture(scope='module')
def tiny():
    return build(model_config('centerpoint_tiny'))


@pytest.fixture
def evaluated(tiny):
    tiny.eval()
    yield tiny
    tiny.train()


def samples(*counts):
    result = []
    for seed, count in enumerate(counts):
        sample = Det3DDataSample(metainfo=dict(box_type_3d=LiDARInstance3DBoxes))
        sample.gt_instances_3d = random_instances(count, seed)
        result.append(sample)
    return result


def core_config(name):
    """A model of mmdet3d's own config, from the files it installs."""
    import mmdet3d

    folder = Path(mmdet3d.__file__).parent / '.mim' / 'configs' / 'centerpoint'
    return Config.fromfile(folder / f'{name}_8xb4-cyclic-20e_nus-3d.py').model


def test_a_checkpoint_of_mmdet3d_loads_and_gives_the_same_maps_and_boxes():
    theirs = build(core_config('centerpoint_pillar02_second_secfpn'))
    ours = build(model_config('centerpoint_pillar02'))
    for seed, value in enumerate(theirs.state_dict().values()):
        # Running statistics other than 0 and 1.
        if value.is_floating_point() and value.dim() == 1:
            value += torch.rand(value.shape, generator=torch.Generator().manual_seed(seed)) * 0.1
    assert ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval()
    theirs.eval()
    inputs = voxel_inputs([random_cloud(900), random_cloud(400, 1)], [0.2, 0.2, 8])
    with torch.no_grad():
        (ours_map,) = ours.extract_feat(inputs)
        (their_map,) = theirs.extract_feat(copy.deepcopy(inputs), [{}, {}])[1]
        assert ours_map.shape == (2, 384, 128, 128)
        torch.testing.assert_close(ours_map, their_map)
        for a, b in zip(ours.pts_bbox_head([ours_map]), theirs.pts_bbox_head([their_map]), strict=True):
            assert a[0].keys() == b[0].keys()
            for name in b[0]:
                torch.testing.assert_close(a[0][name], b[0][name])


def test_the_voxel_form_has_mmdet3ds_parameters():
    theirs = build(core_config('centerpoint_voxel01_second_secfpn'))
    ours = build(model_config('centerpoint_voxel01'))
    assert ours.load_state_dict(theirs.state_dict(), strict=True)


def test_the_voxel_form_says_what_it_needs_where_it_cannot_run():
    model = build(model_config('centerpoint_voxel01'))
    inputs = voxel_inputs([random_cloud(50)], [0.8, 0.8, 8])
    with pytest.raises(ConfigError, match='SparseEncoder needs CUDA.*points are on cpu.*centerpoint_pillar02_nus.py'):
        model.extract_feat(inputs)


@pytest.mark.parametrize('sizes', [(300, 0), (0, 300), (0, 300, 0)])
def test_a_sample_without_points_is_a_sample(evaluated, sizes):
    """mmdet3d counts the samples by the last voxel, so a last one without points is missing there."""
    clouds = [random_cloud(size, seed) for seed, size in enumerate(sizes)]
    with torch.no_grad():
        maps = evaluated.extract_feat(voxel_inputs(clouds, VOXEL))[0]
        raw = evaluated.distill_outputs()['bev_raw']
        for b, cloud in enumerate(clouds):
            if len(cloud):
                torch.testing.assert_close(maps[b], evaluated.extract_feat(voxel_inputs([cloud], VOXEL))[0][0])
            else:
                assert not raw[b].any()
    assert len(maps) == len(sizes)
    results = evaluated(voxel_inputs(clouds, VOXEL), samples(*sizes), mode='predict')
    assert [hasattr(sample, 'pred_instances_3d') for sample in results] == [True] * len(sizes)


@pytest.mark.parametrize(('clouds', 'objects'), [((300, 200), (5, 0)), ((200, 0), (0, 0)), ((0, 0), (3, 0))])
def test_losses_are_finite_and_every_parameter_receives_a_gradient(tiny, clouds, objects):
    tiny.zero_grad()
    inputs = voxel_inputs([random_cloud(size, seed) for seed, size in enumerate(clouds)], VOXEL)
    losses = tiny(inputs, samples(*objects), mode='loss')
    assert sorted(losses) == sorted(f'task{i}.loss_{name}' for i in range(6) for name in ('heatmap', 'bbox'))
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tiny.parameters())
    assert all(value.isfinite().all() for value in tiny.state_dict().values())


def test_a_point_ahead_and_to_the_right_is_in_a_high_row_and_column(evaluated):
    """(30, -10): column (30 + 51.2) / 0.8 = 101.5, row (-10 + 51.2) / 0.8 = 51.5 of the pillars."""
    evaluated.extract_feat(voxel_inputs([torch.tensor([[30.0, -10.0, 0.0, 0.5, 0.0]])], VOXEL))
    raw = evaluated.distill_outputs()['bev_raw']
    assert raw.shape == (1, 32, 128, 128)
    assert raw[0].abs().sum(0).nonzero().tolist() == [[51, 101]]


def test_half_precision_keeps_the_places_of_points_in_full(evaluated):
    inputs = voxel_inputs([random_cloud(200)], VOXEL)
    with torch.no_grad():
        evaluated.extract_feat(inputs)
        expected = evaluated.distill_outputs()['bev_raw']
        with torch.autocast('cpu', dtype=torch.bfloat16):
            evaluated.extract_feat(inputs)
    outputs = evaluated.distill_outputs()
    assert torch.equal(outputs['bev_raw'], expected)
    assert outputs['bev_encoder'][0].dtype == torch.bfloat16


def test_named_outputs_are_those_of_the_last_pass(evaluated):
    inputs = voxel_inputs([random_cloud(200), random_cloud(100, 1)], VOXEL)
    with torch.no_grad():
        outs = evaluated(inputs, mode='tensor')
        features = evaluated.extract_feat(inputs)
        without_head = evaluated.distill_outputs()
        evaluated(inputs, mode='tensor')
    named = evaluated.distill_outputs()
    assert 'heads' not in without_head
    assert torch.equal(named['bev'], features[0])
    assert named['bev'].shape == (2, 144, 64, 64)
    assert [tuple(level.shape) for level in named['bev_encoder']] == [
        (2, 32, 64, 64),
        (2, 64, 32, 32),
        (2, 128, 16, 16),
    ]
    assert [set(task) for task in named['heads']] == [{'heatmap', 'reg', 'height', 'dim', 'rot', 'vel'}] * 6
    assert all(torch.equal(a['heatmap'], b[0]['heatmap']) for a, b in zip(named['heads'], outs, strict=True))
    assert 'past_bev' not in named


def test_the_heatmaps_are_logits_even_after_the_loss(tiny):
    tiny(voxel_inputs([random_cloud(200)], VOXEL), samples(4), mode='loss')
    assert all(task['heatmap'].min() < 0 for task in tiny.distill_outputs()['heads'])


def test_past_clouds_give_what_they_give_alone(evaluated):
    clouds = [random_cloud(200, 1), random_cloud(150, 2)]
    past = [[random_cloud(120, 3), random_cloud(0)], [random_cloud(90, 4), random_cloud(80, 5)]]
    inputs = voxel_inputs(clouds, VOXEL, past)
    inputs['past_exists'][0, 1] = False
    with torch.no_grad():
        outs = evaluated(inputs, mode='tensor')
        named = evaluated.distill_outputs()
        alone = evaluated(voxel_inputs(clouds, VOXEL), mode='tensor')
        assert named['past_bev'].shape == (2, 2, 144, 64, 64)
        assert named['past_exists'].tolist() == [[True, False], [True, True]]
        assert len(named['bev']) == len(named['bev_raw']) == len(named['bev_encoder'][0]) == 2
        for a, b in zip(outs, alone, strict=True):
            torch.testing.assert_close(a[0], b[0])
        for b in range(2):
            for k in range(2):
                frame = evaluated(voxel_inputs([past[b][k]], VOXEL), mode='tensor')
                torch.testing.assert_close(named['past_bev'][b, k], evaluated.distill_outputs()['bev'][0])
                for task, expected in zip(named['past_heads'], frame, strict=True):
                    torch.testing.assert_close(task['heatmap'][b, k], expected[0]['heatmap'][0])


def test_past_clouds_do_not_change_the_losses(evaluated):
    clouds, past = [random_cloud(200, 1)], [[random_cloud(90, 3)]]
    with torch.no_grad():
        expected = evaluated(voxel_inputs(clouds, VOXEL), samples(4), mode='loss')
        torch.testing.assert_close(evaluated(voxel_inputs(clouds, VOXEL, past), samples(4), mode='loss'), expected)


def test_a_copy_of_the_model_has_run_nothing(tiny):
    tiny(voxel_inputs([random_cloud(50)], VOXEL), samples(2), mode='loss')
    assert set(copy.deepcopy(tiny).distill_outputs().values()) == {None}


def test_batches_that_do_not_fit_are_refused(tiny):
    with pytest.raises(ConfigError, match="without voxels; use .*BEVDataPreprocessor with modality='points'"):
        tiny.extract_feat(dict(points=[]))
    inputs = voxel_inputs([random_cloud(50)], VOXEL, [[random_cloud(50)]])
    inputs['past_exists'] = torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(DataError, match=r'past_exists is \(1, 3\), but there are 1 samples with 1 past clouds'):
        tiny.extract_feat(inputs)
