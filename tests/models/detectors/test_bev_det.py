import copy

import pytest
import torch
from bev_students import CONFIGS, build_student, camera_inputs, camera_samples, planar, smallest

from mono_distill.models.detectors import BEVCache
from mono_distill.models.view_transformers import LSSViewTransformer, frame_cameras
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

TASKS = 6


@pytest.fixture(scope='module')
def bevdet():
    return build_student(smallest('bevdet_tiny'))


@pytest.fixture(scope='module')
def bevdepth():
    return build_student(smallest('bevdepth_tiny'))


@pytest.fixture(scope='module')
def bevdepth4d():
    return build_student(smallest('bevdepth4d_tiny'))


def fresh(model, train=True):
    return copy.deepcopy(model).train(train)


def head_losses():
    return {f'task{task}.{name}' for task in range(TASKS) for name in ('loss_heatmap', 'loss_bbox')}


def test_the_losses_have_the_names_of_the_head_and_of_the_depth(bevdet, bevdepth):
    inputs, samples = camera_inputs(2), camera_samples(2)
    assert set(fresh(bevdet).loss(inputs, samples)) == head_losses()
    losses = fresh(bevdepth).loss(inputs, samples)
    assert set(losses) == {*head_losses(), 'loss_depth'}
    assert all(value.isfinite() for value in losses.values())
    assert losses['loss_depth'] > 0


@pytest.mark.parametrize('name', ['bevdet_tiny', 'bevdet4d_tiny', 'bevdepth_tiny', 'bevdepth4d_tiny'])
def test_every_parameter_receives_a_gradient(name):
    model = build_student(smallest(name)).train()
    sum(model.loss(camera_inputs(2, model.num_frames), camera_samples(2)).values()).backward()
    without = [key for key, value in model.named_parameters() if value.grad is None]
    assert without == []
    assert all(value.grad.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize('frames', [1, 2, 3])
@pytest.mark.parametrize('batch', [1, 2, 3])
def test_any_number_of_samples_and_frames(batch, frames):
    model = build_student(smallest('bevdepth_tiny', num_frames=frames)).train()
    inputs, samples = camera_inputs(batch, frames), camera_samples(batch)
    assert all(value.isfinite() for value in model.loss(inputs, samples).values())
    outputs = model.distill_outputs()
    assert outputs['bev_raw'].shape == (batch, 8, 32, 32)
    assert len(outputs['bev_frames']) == frames
    assert outputs['depth_logits'].shape == (batch, 6, 28, 4, 12)
    assert len(model.eval().predict(inputs, samples)) == batch


def test_a_rig_of_five_cameras(bevdepth):
    inputs, samples = camera_inputs(2, cameras=5), camera_samples(2)
    model = fresh(bevdepth)
    assert all(value.isfinite() for value in model.loss(inputs, samples).values())
    assert model.distill_outputs()['depth_logits'].shape[1] == 5


def test_a_camera_that_is_missing_leaves_its_view_empty(bevdet):
    six, five = camera_inputs(1), camera_inputs(1, cameras=5)
    five['imgs'] = six['imgs'][:, :, :5]
    model = fresh(bevdet, train=False)
    model.extract_feat(six)
    whole = model.distill_outputs()['bev_raw']
    model.extract_feat(five)
    part = model.distill_outputs()['bev_raw']
    # The sixth camera looks back to the right: columns of x > 0, rows of y < 0.
    assert torch.allclose(whole[..., :16], part[..., :16], atol=1e-6)
    assert not torch.allclose(whole[..., 16:], part[..., 16:], atol=1e-6)


@pytest.mark.parametrize('cameras', [11, 12])
def test_the_deformable_form_takes_any_number_of_images(cameras):
    config = smallest('bevdepth_tiny', **{'view_transformer.depth_net.dcn': True})
    model = build_student(config).train()
    # 132 = 12 x 11 images is no multiple of mmcv's block of 128.
    inputs = camera_inputs(cameras, cameras=6, size=(32, 64))
    inputs = {
        key: value.repeat_interleave(2, 2)[:, :, :11] if value.dim() > 4 else value for key, value in inputs.items()
    }
    inputs['gt_depth'] = torch.rand(cameras, 11, 2, 4) * 50
    losses = model.loss(inputs, camera_samples(cameras, objects=2))
    assert all(value.isfinite() for value in losses.values())


def test_a_previous_frame_that_is_missing_is_the_current_one_again(bevdepth4d):
    inputs = camera_inputs(2, 2)
    for key in ('imgs', 'cam2img', 'cam2lidar', 'img_aug_matrix'):
        inputs[key][1, 1] = inputs[key][1, 0]
    inputs['frame_exists'][1, 1] = False
    model = fresh(bevdepth4d, train=False)
    model.extract_feat(inputs)
    current, previous = model.distill_outputs()['bev_frames']
    assert torch.allclose(current[1], previous[1], atol=1e-5)
    assert not torch.allclose(current[0], previous[0], atol=1e-3)


def test_too_few_frames_are_named(bevdepth4d):
    with pytest.raises(ConfigError, match=r'num_frames=2, but the samples have 1'):
        fresh(bevdepth4d).loss(camera_inputs(1), camera_samples(1))


def test_more_frames_than_needed_are_not_looked_at(bevdepth):
    model, inputs = fresh(bevdepth, train=False), camera_inputs(1, 3)
    first = {
        key: value[:, :1] if key in ('imgs', 'cam2img', 'cam2lidar', 'img_aug_matrix') else value
        for key, value in inputs.items()
    }
    assert torch.equal(model.extract_feat(inputs)[0], model.extract_feat(first)[0])


def test_previous_frames_pass_no_gradient_unless_they_are_asked_to():
    for no_grad in (True, False):
        model = build_student(smallest('bevdepth4d_tiny', prev_no_grad=no_grad)).train()
        model.extract_feat(camera_inputs(1, 2))
        current, previous = model.distill_outputs()['bev_frames']
        assert current.requires_grad
        assert previous.requires_grad != no_grad


def test_previous_frames_count_in_the_statistics_unless_they_are_asked_not_to():
    inputs = camera_inputs(1, 2)
    inputs['imgs'][:, 1] += 5
    statistics, weights = {}, None
    for frames, update in ((1, True), (2, False), (2, True)):
        model = build_student(smallest('bevdepth_tiny', num_frames=frames, prev_bn_update=update)).train()
        weights = copy.deepcopy(model.img_backbone.state_dict()) if weights is None else weights
        model.img_backbone.load_state_dict(weights)
        model.extract_feat(inputs)
        statistics[frames, update] = model.img_backbone.bn1.running_mean.clone()
    assert torch.equal(statistics[1, True], statistics[2, False])
    assert not torch.allclose(statistics[1, True], statistics[2, True], atol=1e-3)


def test_distill_outputs_have_their_names_before_and_their_values_after_a_pass(bevdepth):
    model = fresh(bevdepth)
    names = {'img_feat', 'depth_logits', 'depth', 'bev_raw', 'bev_frames', 'bev_encoder', 'bev', 'heads'}
    assert model.distill_outputs() == dict.fromkeys(names)
    model.loss(camera_inputs(2), camera_samples(2))
    outputs = model.distill_outputs()
    assert set(outputs) == names
    assert outputs['bev'].shape == (2, 48, 32, 32)
    assert [tuple(level.shape[1:]) for level in outputs['bev_encoder']] == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    assert len(outputs['heads']) == TASKS
    assert set(outputs['heads'][0]) == {'heatmap', 'reg', 'height', 'dim', 'rot', 'vel'}
    # Logits, not probabilities, also behind the loss.
    assert min(task['heatmap'].min() for task in outputs['heads']) < 0
    outputs['bev_raw'].retain_grad()
    outputs['bev'].square().mean().backward(retain_graph=True)
    assert outputs['bev_raw'].grad.abs().sum() > 0


def test_a_copy_has_run_nothing(bevdepth):
    model = fresh(bevdepth)
    model.loss(camera_inputs(1), camera_samples(1))
    assert copy.deepcopy(model).distill_outputs()['bev'] is None


def test_mode_tensor_gives_what_the_head_gives(bevdepth):
    model = fresh(bevdepth, train=False)
    outs = model(camera_inputs(1), mode='tensor')
    assert len(outs) == TASKS
    assert outs[1][0]['heatmap'].shape == (1, 2, 32, 32)


def test_predictions_are_lidar_boxes(bevdepth):
    model, samples = fresh(bevdepth, train=False), camera_samples(2)
    with torch.no_grad():
        results = model(camera_inputs(2), samples, mode='predict')
    for result in results:
        found = result.pred_instances_3d
        assert found.bboxes_3d.tensor.shape == (len(found.scores_3d), 9)
        assert found.labels_3d.max() < 10


def test_the_world_is_mirrored_with_its_matrix(bevdet):
    inputs, model = camera_inputs(1), fresh(bevdet, train=False)
    model.extract_feat(inputs)
    plain = model.distill_outputs()['bev_raw']
    inputs['lidar_aug_matrix'][0, 1, 1] = -1
    model.extract_feat(inputs)
    mirrored = model.distill_outputs()['bev_raw']
    wrong = ((mirrored - plain.flip(2)).abs() > 1e-5).any(1).float().mean()
    assert wrong <= 1e-3


@pytest.mark.parametrize('mode', ['gt_onehot', 'mix'])
def test_an_assistant_sees_lidar_depth(bevdet, mode):
    inputs = camera_inputs(1)
    model = build_student(smallest('bevdet_tiny', depth_mode=mode)).eval()
    model.load_state_dict(bevdet.state_dict())
    model.extract_feat(inputs)
    depth = model.distill_outputs()['depth']
    plain = fresh(bevdet, train=False)
    plain.extract_feat(inputs)
    predicted = plain.distill_outputs()['depth']
    known = model.view_transformer.known_depth(inputs['gt_depth'])
    expected = known if mode == 'gt_onehot' else (known + predicted) / 2
    seen = known.sum(2, keepdim=True).expand_as(known) > 0
    assert torch.allclose(depth[seen], expected[seen])
    assert torch.allclose(depth[~seen], predicted[~seen])
    with pytest.raises(ConfigError, match='LidarDepthTargets'):
        model.extract_feat({key: value for key, value in inputs.items() if key != 'gt_depth'})


def test_depth_that_is_missing_or_of_another_grid_is_named(bevdepth):
    inputs, samples = camera_inputs(1), camera_samples(1)
    with pytest.raises(ShapeError, match='downsample'):
        fresh(bevdepth).loss({**inputs, 'gt_depth': torch.ones(1, 6, 8, 24)}, samples)
    inputs.pop('gt_depth')
    with pytest.raises(ConfigError, match="without the 'gt_depth'"):
        fresh(bevdepth).loss(inputs, samples)


def test_images_that_do_not_divide_are_named(bevdepth):
    with pytest.raises(ShapeError, match='64x176'):
        fresh(bevdepth).loss(camera_inputs(1, size=(64, 176)), camera_samples(1))


def test_parts_that_do_not_fit_are_named():
    with pytest.raises(ConfigError, match='set bev_backbone.in_channels=16'):
        build_student(smallest('bevdepth_tiny', num_frames=2, **{'bev_backbone.in_channels': 8}))
    with pytest.raises(ConfigError, match='view transformer over -51.2 to 51.2 m'):
        build_student(smallest('bevdepth_tiny', **{'train_cfg.pts.point_cloud_range': [-54, -54, -5, 54, 54, 3]}))
    for wrong in (dict(num_frames=0), dict(temporal_mode='warp'), dict(depth_mode='truth')):
        with pytest.raises(ConfigError, match='BEVDet'):
            build_student(smallest('bevdet_tiny', **wrong))


def one_frame(inputs, frame):
    """The frame alone, as it was when it was the current one: cameras in its own LiDAR frame."""
    alone = {key: inputs[key][:, frame : frame + 1] for key in ('imgs', 'cam2img', 'img_aug_matrix')}
    return {**alone, 'cam2lidar': inputs['cam2lidar'][:, :1], 'lidar_aug_matrix': inputs['lidar_aug_matrix']}


def test_streaming_warps_what_lifting_places_exactly(bevdepth4d):
    # Two key-frames of a car that drives ahead by a cell, 3.2 m, so that the warp resamples nothing.
    inputs = camera_inputs(1, 2)
    inputs['cam2lidar'][:, 1] = planar(y=-3.2).float() @ inputs['cam2lidar'][:, 0]
    model = fresh(bevdepth4d, train=False)
    model.extract_feat(inputs)
    lifted = model.distill_outputs()['bev_frames']
    cache = BEVCache(1)
    samples = camera_samples(2, ego2global=None)
    for index, frame in enumerate((1, 0)):
        samples[index].set_metainfo(dict(ego2global=planar(y=3.2 * index).numpy()))
        model.predict(one_frame(inputs, frame), samples[index : index + 1], cache=cache)
    warped = model.distill_outputs()['bev_frames']
    assert torch.allclose(warped[0], lifted[0], atol=1e-5)
    inside = (slice(None), slice(None), slice(1, -2))
    assert (warped[1][inside] - lifted[1][inside]).abs().gt(1e-4).float().mean() < 1e-2


def test_samples_of_one_batch_may_follow_each_other(bevdepth4d):
    model, samples = fresh(bevdepth4d, train=False), camera_samples(3)
    inputs = camera_inputs(3)
    cache = BEVCache(1)
    model.predict(inputs, samples, cache=cache)
    together = model.distill_outputs()['bev_frames'][1]
    cache.clear()
    alone = []
    for index in range(3):
        model.predict(
            {key: value[index : index + 1] for key, value in inputs.items()}, samples[index : index + 1], cache
        )
        alone.append(model.distill_outputs()['bev_frames'][1])
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)
    assert len(cache) == 1


def test_a_model_may_have_a_cache_of_its_own(bevdepth4d):
    model = build_student(smallest('bevdepth4d_tiny', temporal_mode='warp')).eval()
    model.predict(camera_inputs(1), camera_samples(1))
    assert len(model.cache) == 1
    assert len(copy.deepcopy(model).cache) == 0
    with pytest.raises(ConfigError, match='BEVCache'):
        build_student(smallest('bevdepth_tiny', num_frames=3)).eval().predict(
            camera_inputs(1), camera_samples(1), cache=BEVCache(1)
        )
    with pytest.raises(DataError, match='scene_token'):
        model.predict(camera_inputs(1), camera_samples(1, scene_token=None))


def test_half_precision_keeps_geometry_depth_and_pooling_in_full(bevdepth4d):
    model, inputs, samples = fresh(bevdepth4d), camera_inputs(2, 2), camera_samples(2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(inputs, samples)
    outputs = model.distill_outputs()
    assert outputs['img_feat'].dtype == outputs['depth_logits'].dtype == torch.bfloat16
    assert outputs['depth'].dtype == outputs['bev_raw'].dtype == losses['loss_depth'].dtype == torch.float32
    assert all(value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    assert all(value.grad.isfinite().all() for value in model.parameters())


def packed(root, pipeline, index):
    """A training sample, through a pipeline of the tiny data sets' config."""
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from mono_distill.registry import DATASETS

    config = Config.fromfile(CONFIGS / '_base_/datasets/nus_bev_tiny.py')
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        dataset = DATASETS.build(
            {**config.train_dataloader.dataset, 'data_root': str(root), 'pipeline': config[pipeline]}
        )
        return dataset[index]['inputs']


@pytest.mark.slow
@pytest.mark.parametrize('index', [0, 1, 2])
def test_lidar_depth_is_lifted_to_where_the_lidar_saw_it_under_every_augmentation(tiny_nuscenes, index):
    sample = packed(tiny_nuscenes, 'distill_pipeline', index)
    # Without the ground, which is everywhere.
    transformer = LSSViewTransformer(4, 1, bin_position='center', z_bound=(-1.0, 3.0, 4.0))
    known = transformer.known_depth(sample['gt_depth'][None])
    # Near enough for a cell of the features to be narrower than two of the map.
    known = known * (transformer.bin_depths < 25).view(1, 1, -1, 1, 1)
    batch = {key: value[None] for key, value in sample.items() if torch.is_tensor(value)}
    points = sample['points'][(sample['points'][:, 4] == 0) & (sample['points'][:, 2] > -1.3)]

    def share(inputs):
        """Of the pooled depth, how much lies within a cell of a LiDAR point."""
        bev = transformer.pool(torch.ones(1, 6, 1, *known.shape[3:]), known, frame_cameras(inputs, 0))[0, 0]
        cells = ((points[:, :2] + 51.2) / 0.8).floor().long()
        cells = cells[((cells >= 0) & (cells < 128)).all(1)]
        hit = torch.zeros(1, 1, 128, 128)
        hit[0, 0, cells[:, 1], cells[:, 0]] = 1
        near = torch.nn.functional.max_pool2d(hit, 3, 1, 1)[0, 0]
        return ((bev * near).sum() / bev.sum()).item()

    right = share(batch)
    wrong = share(
        {**batch, 'lidar_aug_matrix': torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0])) @ batch['lidar_aug_matrix']}
    )
    assert known.sum() > 100
    assert right > 0.95, (right, wrong)
    assert wrong < 0.8, (right, wrong)


def test_training_makes_the_loss_fall():
    model = build_student(smallest('bevdepth_tiny')).train()
    inputs, samples = camera_inputs(2), camera_samples(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    totals = []
    for _ in range(20):
        loss = sum(model.loss(inputs, samples).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        totals.append(loss.item())
    assert sum(totals[-3:]) < 0.5 * sum(totals[:3])
