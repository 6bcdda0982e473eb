"""A run that was killed in the middle of an epoch and resumed ends with the same weights, to the bit."""

import random
import time

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset
from toy import ToyDetector, distiller_config

from mono_distill.compat.checkpoints import install_checkpoint_loader
from mono_distill.datasets.reproducible import ReproducibleSamples
from mono_distill.hooks import ResumableEpochLoop  # noqa: F401  (registers the loop)
from mono_distill.hooks.loops import reproducible_parts, skip_batches
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError


class Killed(Exception):
    pass


class RandomImages(Dataset):
    """Random images, drawn from the global generators as transforms do."""

    def __len__(self):
        return 10

    def __getitem__(self, idx):
        from mmengine.structures import BaseDataElement

        image = torch.from_numpy(np.random.rand(1, 8, 8).astype(np.float32)) + random.random()
        return dict(
            inputs=dict(img=image, depth_map=1 - image), data_samples=BaseDataElement(metainfo=dict(sample_id=str(idx)))
        )


class Images(ReproducibleSamples, RandomImages):
    pass


@MODELS.register_module(force=True)
class DropoutToy(ToyDetector):
    """A toy that draws from torch's generator while it trains."""

    def extract_feat(self, batch_inputs):
        fine, coarse = super().extract_feat(batch_inputs)
        return fine, nn.functional.dropout(coarse, 0.3, self.training)


def runner(work_dir, kill_at=None, resume=False, workers=0, batch_size=2, **changes):
    class Kill(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if kill_at is not None and runner.iter + 1 == kill_at:
                raise Killed

    install_checkpoint_loader()
    model = distiller_config(student=dict(type='mono_distill.DropoutToy'))
    options = dict(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=Images(),
            batch_size=batch_size,
            num_workers=workers,
            persistent_workers=workers > 0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(type='mono_distill.ResumableEpochLoop', max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=15, by_epoch=False)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=7, by_epoch=False), logger=None),
        custom_hooks=[
            dict(type='mono_distill.RandomStateHook'),
            dict(type='EMAHook'),
            dict(type='mono_distill.DistillScheduleHook'),
        ],
        randomness=dict(seed=3),
        resume=resume,
        experiment_name=f'run{time.time_ns()}',
        log_level='ERROR',
        default_scope='mono_distill',
    )
    options.update(changes)
    built = Runner(**options)
    built.register_hook(Kill(), priority='LOWEST')
    return built


def weights(built):
    return {key: value.clone() for key, value in built.model.state_dict().items()}


@pytest.mark.parametrize('kill_at', [7, 9, 12])
def test_a_killed_and_resumed_run_ends_with_the_same_weights_to_the_bit(tmp_path, kill_at):
    whole = runner(tmp_path / 'whole')
    whole.train()
    with pytest.raises(Killed):
        runner(tmp_path / 'killed', kill_at=kill_at).train()
    resumed = runner(tmp_path / 'killed', resume=True)
    resumed.train()
    assert resumed.iter == whole.iter == 15
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[key]), key


class Score(BaseMetric):
    """A number that grows from one validation to the next, so that every one writes a best checkpoint."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        Score.value = getattr(Score, 'value', 0) + 1
        return dict(score=Score.value)


@pytest.mark.parametrize('save_best', [None, 'score'])
def test_epoch_checkpoints_resume_exactly_too_with_validation_between(tmp_path, save_best):
    loader = dict(
        dataset=Images(),
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )
    hook = dict(type='CheckpointHook', interval=1, save_best=save_best, rule='greater' if save_best else None)
    changes = dict(
        default_hooks=dict(checkpoint=hook, logger=None),
        val_dataloader=loader,
        val_evaluator=Evaluator([Score()]),
        val_cfg=dict(),
    )
    whole = runner(tmp_path / 'whole', **changes)
    whole.train()
    with pytest.raises(Killed):
        runner(tmp_path / 'killed', kill_at=8, **changes).train()
    resumed = runner(tmp_path / 'killed', resume=True, **changes)
    resumed.train()
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[key]), key


class CountSteps(Hook):
    def __init__(self, steps):
        self.steps = steps

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.steps.append(batch_idx)


@pytest.mark.parametrize(('batch_size', 'batches'), [(1, 10), (5, 2)])
def test_a_checkpoint_of_a_whole_epoch_resumes_with_another_batch_size(tmp_path, batch_size, batches):
    changes = dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1), logger=None))
    with pytest.raises(Killed):
        runner(tmp_path, kill_at=8, **changes).train()
    resumed = runner(tmp_path, resume=True, batch_size=batch_size, **changes)
    steps = []
    resumed.register_hook(CountSteps(steps))
    resumed.train()
    assert resumed.epoch == 3
    assert len(steps) == 2 * batches


def test_a_checkpoint_of_half_an_epoch_does_not_resume_with_another_batch_size(tmp_path):
    with pytest.raises(Killed):
        runner(tmp_path, kill_at=8).train()
    with pytest.raises(ConfigError, match='from the middle of an epoch of 5 batches, and an epoch has 10 now'):
        runner(tmp_path, resume=True, batch_size=1).train()


def test_the_number_of_workers_does_not_change_the_result(tmp_path):
    alone = runner(tmp_path / 'a')
    alone.train()
    helped = runner(tmp_path / 'b', workers=2)
    helped.train()
    for key, value in weights(alone).items():
        assert torch.equal(value, weights(helped)[key]), key


def test_another_seed_changes_the_result(tmp_path):
    one = runner(tmp_path / 'a')
    one.train()
    other = runner(tmp_path / 'b', randomness=dict(seed=4))
    other.train()
    assert any(not torch.equal(value, weights(other)[key]) for key, value in weights(one).items())


def test_gradient_accumulation_trains(tmp_path):
    built = runner(
        tmp_path,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01), accumulative_counts=2),
    )
    before = weights(built)
    built.train()
    assert any(not torch.equal(value, weights(built)[key]) for key, value in before.items())


def test_skipped_batches_are_not_loaded():
    class Counting(Dataset):
        loaded = []

        def __len__(self):
            return 6

        def __getitem__(self, idx):
            self.loaded.append(idx)
            return idx

    loader = DataLoader(Counting(), batch_size=2)
    with skip_batches(loader, 2):
        assert [batch.tolist() for batch in loader] == [[4, 5]]
        assert len(loader) == 3
    assert Counting.loaded == [4, 5]
    assert len(list(loader)) == 3


def test_reproducible_data_sets_are_found_inside_wrappers():
    from mmengine.dataset import ConcatDataset

    class Wrapper:
        def __init__(self, dataset):
            self.dataset = dataset

    first, second = Images(), Images()
    nested = Wrapper(ConcatDataset.__new__(ConcatDataset))
    nested.dataset.datasets = [first, Wrapper(second)]
    assert reproducible_parts(nested) == [first, second]
