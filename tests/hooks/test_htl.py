from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mono_distill.compat.checkpoints import install_checkpoint_loader
from mono_distill.hooks.htl import DID_PARENTS, RELEASED_ORDER, HTLHook, htl_weights, released_row
from mono_distill.models.task_modules.task_weights import TaskWeights
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

OURS = dict(
    seg_loss='heatmap',
    size2d_loss='size_2d',
    offset2d_loss='offset_2d',
    offset3d_loss='offset_3d',
    size3d_loss='size_3d',
    heading_loss='heading',
    depth_loss='depth',
)
KD = ('kd_affinity', 'kd_response', 'kd_spearman')


class Killed(Exception):
    pass


class Numbers(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return dict(inputs=torch.tensor(float(index)))


@MODELS.register_module(force=True)
class SevenLosses(BaseModel):
    """A model of one parameter a task, each pulled to zero at its own pace, and a loss of distillation beside them."""

    def __init__(self, names=RELEASED_ORDER):
        super().__init__()
        self.values = nn.Parameter(torch.arange(1.0, len(names) + 1))
        self.register_buffer('calls', torch.zeros(()))
        self.task_weights = TaskWeights(names)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.calls += 1
        noise = 1 + 0.01 * torch.stack(list(inputs)).mean()
        raw = dict(zip(self.task_weights.names, (self.values.square() * noise).unbind(), strict=True))
        losses = {f'loss_{name}': value for name, value in self.task_weights(raw).items()}
        return {**losses, **{name: value.detach() for name, value in zip(KD, raw.values(), strict=False)}}


def make_runner(work_dir, hook, *, epochs=8, kill_at=None, resume=False, model=None):
    class Kill(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if kill_at is not None and runner.iter + 1 == kill_at:
                raise Killed

    install_checkpoint_loader()
    runner = Runner(
        model=model or dict(type='mono_distill.SevenLosses'),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=Numbers(),
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(type='mono_distill.ResumableEpochLoop', max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.02)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False), logger=None),
        randomness=dict(seed=3),
        resume=resume,
        experiment_name=f'{work_dir.name}-{kill_at}-{resume}',
    )
    runner.register_hook(hook)
    runner.register_hook(Kill(), priority='LOWEST')
    return runner


@pytest.mark.parametrize('form', ['intended', 'shifted_as_coded'])
def test_weights_of_the_official_code(golden, form):
    file = golden('did_htl')
    names = [OURS[name] for name in file['did_order'].tolist()]
    assert tuple(names) == RELEASED_ORDER
    history, first = [], None
    for epoch, losses in enumerate(file['did_losses'].tolist()):
        time = min(max((epoch - 5) / 135, 0), 1)
        weights, first = htl_weights(np.array(history), first, names=names, parents=DID_PARENTS, time=time)
        expected = dict(
            zip([OURS[name] for name in file['out_order'].tolist()], file[f'weights_{form}'][epoch], strict=True)
        )
        assert weights == pytest.approx(expected, abs=1e-12)
        if epoch and form == 'intended':
            history.append(losses)
        elif epoch:
            history.append(released_row(dict(zip(names, losses, strict=True)), file['kd_losses'][epoch].tolist()))


def test_the_rule_by_hand():
    tree = dict(names=['size', 'depth'], parents=dict(depth=['size']))
    slow = np.array([[9.0, 5], [8, 5], [7, 5], [6, 5], [5, 5]])
    weights, first = htl_weights(slow[:4], None, time=0.5, **tree)
    assert (weights, first) == ({'size': 1.0, 'depth': 0.0}, None)
    weights, first = htl_weights(slow, None, time=0.5, **tree)
    assert first.tolist() == [2.0, 0.0]
    assert weights['depth'] == 0.5
    # A quarter of the first decrease: learned to three quarters.
    assert htl_weights(slow / 4, first, time=0.5, **tree)[0]['depth'] == pytest.approx(0.5**0.25)
    # Rising again counts as learned, falling faster than at first as less than nothing.
    assert htl_weights(-slow, first, time=0.5, **tree)[0]['depth'] == 1.0
    assert htl_weights(slow * 2, first, time=0.5, **tree)[0]['depth'] == 0.25


@pytest.mark.parametrize('time', [0.0, 0.3, 1.0])
def test_weights_stay_between_zero_and_one(time):
    rng = np.random.RandomState(0)
    first = None
    for _ in range(50):
        history = rng.randn(5, 7)
        weights, first = htl_weights(history, first, names=RELEASED_ORDER, parents=DID_PARENTS, time=time)
        assert all(0 <= value <= 1 for value in weights.values())


def test_before_every_epoch_the_rule_sets_the_weights_from_the_recorded_losses(tmp_path):
    seen, means = [], []

    class Watch(HTLHook):
        def before_train_epoch(self, runner):
            tasks = runner.model.task_weights
            if tasks.steps > 0:
                means.append((tasks.sums / tasks.steps).tolist())
            super().before_train_epoch(runner)
            seen.append(tasks.weights.tolist())

    make_runner(tmp_path, Watch(max_epoch=8, start=2), epochs=9).train()
    first = None
    for epoch, weights in enumerate(seen):
        # The last epoch's losses come into the history after the weights have been computed.
        history = np.array(means[: max(epoch - 1, 0)])
        time = min(max((epoch - 2) / 6, 0), 1)
        expected, first = htl_weights(history, first, names=RELEASED_ORDER, parents=DID_PARENTS, time=time)
        assert weights == pytest.approx([expected[name] for name in RELEASED_ORDER], abs=1e-6)
    assert seen[5][2] == 0
    assert 0 < seen[6][2] < 1
    assert seen[8] == [1.0] * 7


@pytest.mark.parametrize('released', [(), KD])
@pytest.mark.parametrize('kill_at', [19, 20, 21])
def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path, kill_at, released):
    options = dict(max_epoch=20, start=2, released_order=released)
    whole = make_runner(tmp_path / 'whole', HTLHook(**options))
    expected = whole.train().state_dict()
    with pytest.raises(Killed):
        make_runner(tmp_path / 'parts', HTLHook(**options), kill_at=kill_at).train()
    hook = HTLHook(**options)
    resumed = make_runner(tmp_path / 'parts', hook, resume=True).train()
    assert 0 < hook.weights['depth'] < 1
    assert torch.equal(resumed.state_dict()['values'], expected['values'])


def test_the_released_order_takes_other_losses_for_the_tasks(tmp_path):
    hook = HTLHook(released_order=KD)
    make_runner(tmp_path, hook, epochs=3).train()
    # The toy's losses of distillation are its first three losses, so positions 0 to 2 stay and the others move up.
    row = dict(zip(RELEASED_ORDER, hook.history[-1], strict=True))
    assert row['offset_3d'] == pytest.approx(row['offset_2d'])
    assert row['size_3d'] == pytest.approx(row['size_2d'])
    assert row['heading'] == pytest.approx(row['depth'])


def test_the_initial_pass_begins_the_history_and_leaves_no_other_trace(tmp_path):
    plain, passing = HTLHook(), HTLHook(initial_pass=True)
    a = make_runner(tmp_path / 'plain', plain, epochs=2).train().state_dict()
    b = make_runner(tmp_path / 'passing', passing, epochs=2).train().state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert len(plain.history) == 1
    assert passing.history[1] == plain.history[0]
    # Before learning, the losses are the squares of 1 to 7, with the mean of the noise.
    assert passing.history[0] == pytest.approx([1.025 * i**2 for i in range(1, 8)])


def test_without_parents_all_weights_are_one(tmp_path):
    hook = HTLHook(parents={})
    make_runner(tmp_path, hook, epochs=2).train()
    assert hook.parents == {}
    assert set(hook.weights.values()) == {1.0}


def test_errors_are_named(tmp_path):
    with pytest.raises(ConfigError, match='max_epoch=5 must lie after start=5'):
        HTLHook(max_epoch=5)
    with pytest.raises(ConfigError, match="no loss 'dept'; did you mean 'depth'"):
        HTLHook(parents=dict(dept=['size_2d'])).before_train(SimpleNamespace(model=SevenLosses(), iter=0))
    with pytest.raises(ConfigError, match='needs a head with task weights.*the model has 0'):
        HTLHook().before_train(SimpleNamespace(model=nn.Linear(1, 1), iter=0))
    with pytest.raises(ConfigError, match="released_order: no loss 'kd_afinity'; did you mean 'kd_affinity'"):
        make_runner(tmp_path, HTLHook(released_order=('kd_afinity',)), epochs=1).train()


def test_a_checkpoint_of_other_losses_is_refused():
    hook = HTLHook(parents=dict(b=['a']))
    hook._pending = dict(names=['x'])
    model = SevenLosses(names=('a', 'b'))
    with pytest.raises(ConfigError, match='the checkpoint weighs the losses x, the model has a, b'):
        hook.before_train(SimpleNamespace(model=model, iter=0, logger=MMLogger.get_current_instance()))
