"""Hierarchical task learning: losses that build on others wait until those have been learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from numpy.typing import NDArray

from mono_distill.hooks.random_state import random_state, set_random_state
from mono_distill.registry import HOOKS
from mono_distill.utils.errors import ConfigError, did_you_mean

KEY = 'htl'
# What each loss of DID-M3D builds on (lib/losses/loss_function.py of DID-M3D); those that are not listed always count.
DID_PARENTS: dict[str, tuple[str, ...]] = dict(
    offset_3d=('size_2d', 'offset_2d'),
    size_3d=('size_2d', 'offset_2d'),
    heading=('size_2d', 'offset_2d'),
    depth=('size_2d', 'size_3d', 'offset_2d'),
)
# The order in which the released code lists its losses: positions are all it remembers of them.
RELEASED_ORDER = ('offset_2d', 'size_2d', 'depth', 'offset_3d', 'size_3d', 'heading', 'heatmap')
WINDOW = 5

Floats = NDArray[np.float64]


def htl_weights(
    history: Floats,
    first_trend: Floats | None,
    *,
    names: Sequence[str],
    parents: Mapping[str, Sequence[str]],
    time: float,
) -> tuple[dict[str, float], Floats | None]:
    r"""Weights of hierarchical task learning (Lu et al., GUPNet, ICCV 2021).

    The trend of a loss is its mean decrease over two epochs, :math:`d = \operatorname{mean}_i (L_i - L_{i+2})`, in a
    window of five epochs. A loss has been learned to the degree :math:`c = 1 - \max(d / d_0, 0)`, where :math:`d_0` is
    the first trend. A loss with parents P has the weight :math:`t^{\,1 - \prod_{p \in P} c_p}`, where t grows from 0 to
    1 in the course of the training; others have weight 1. Until the window is full, losses with parents have weight 0.

    As in the released code, c is not kept from becoming negative where a loss falls faster than at first; a weight is
    at most 1 all the same.

    Args:
        history: ``(E, T)``: the mean of every loss in the last epochs; at most the last five count.
        first_trend: ``(T,)`` :math:`d_0`, None until it is known.
        names: The T losses.
        parents: Loss to the losses it builds on.
        time: t in [0, 1].

    Returns:
        The weight of every loss, and ``first_trend`` for the next call.

    Example:
        >>> losses = np.array([[4.0, 9], [3, 9], [2, 9], [1, 9], [0, 9]])
        >>> tree = dict(names=['size', 'depth'], parents={'depth': ['size']}, time=0.25)
        >>> weights, first = htl_weights(losses, None, **tree)
        >>> weights  # size still falls as fast as at first: nothing of it is learned
        {'size': 1.0, 'depth': 0.25}
        >>> htl_weights(losses / 2, first, **tree)[0]  # half as fast
        {'size': 1.0, 'depth': 0.5}
    """
    weights = {name: 0.0 if parents.get(name) else 1.0 for name in names}
    if len(history) < WINDOW:
        return weights, first_trend
    recent = history[-WINDOW:]
    trend: Floats = (recent[:-2] - recent[2:]).mean(axis=0)
    first = trend if first_trend is None else first_trend
    # A loss without any first trend cannot be compared with it; it counts as learned.
    ratio = np.divide(trend, first, out=np.zeros_like(trend), where=first != 0)
    learned = dict(zip(names, 1 - np.maximum(ratio, 0), strict=True))
    for name in names:
        if parents.get(name):
            unlearned = 1 - np.prod([learned[parent] for parent in parents[name]])
            weights[name] = float(time ** max(unlearned, 0.0))
    return weights, first


def released_row(losses: Mapping[str, float], distilled: Sequence[float]) -> list[float]:
    """Return the losses of an epoch as MonoSKD's released code mistakes them, in :data:`RELEASED_ORDER`.

    It lists the distillation losses first but looks losses up by their position in a list without them
    (``lib/helpers/trainer_helper.py`` and ``lib/losses/loss_function.py``), so that every loss is taken for another
    one: with three of them affinity for offset_2d, responses for size_2d and size_2d for size_3d.

    Args:
        losses: Loss of each task by name.
        distilled: Losses of distillation, in the order in which they are listed.

    Example:
        >>> released_row({name: i for i, name in enumerate(RELEASED_ORDER)}, [7, 8, 9])
        [7, 8, 9, 0, 1, 2, 3]
    """
    return [*distilled, *(losses[name] for name in RELEASED_ORDER)][: len(RELEASED_ORDER)]


@HOOKS.register_module()
class HTLHook(Hook):
    """Sets the weights of a head's losses (its ``task_weights``) before every epoch, see :func:`htl_weights`.

    The weights of an epoch follow from the mean losses, over all ranks, of the epochs up to the one before the last, as
    in the released code, which computes them before it appends the last epoch. Losses are told apart by name. What a
    resumed run needs is in the checkpoint, also in the middle of an epoch.

    Args:
        max_epoch: The epoch from which all weights are 1 (t = 1).
        start: The epoch until which t is 0.
        parents: Loss to the losses it builds on, by default DID-M3D's; empty: all weights are 1.
        initial_pass: Whether to begin the history with one pass over the training data before the first epoch, without
            learning, as DID-M3D's released code does; it takes about half the time of an epoch. MonoSKD's released code
            makes that pass and leaves it out of the history, so that the losses with parents start an epoch later;
            that is ``False``. Unlike theirs, the pass leaves running statistics and random numbers as they were.
        released_order: Names, in the training log, of the distillation losses that are to push the others off their
            positions, see :func:`released_row`: ``('kd_affinity', 'kd_response', 'kd_spearman')`` reproduces MonoSKD's
            released training. Empty (default) for the intended weights.

    Raises:
        ConfigError: A loss does not exist, the schedule is empty, or the model has no task weights.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        max_epoch: int = 140,
        start: int = 5,
        *,
        parents: Mapping[str, Sequence[str]] | None = None,
        initial_pass: bool = False,
        released_order: Sequence[str] = (),
    ) -> None:
        if max_epoch <= start:
            raise ConfigError(f'HTLHook: max_epoch={max_epoch} must lie after start={start}')
        self.max_epoch = max_epoch
        self.start = start
        chosen = DID_PARENTS if parents is None else parents
        self.parents = {name: tuple(value) for name, value in chosen.items()}
        self.initial_pass = initial_pass
        self.released_order = tuple(released_order)
        self.history: list[list[float]] = []
        self.first_trend: Floats | None = None
        self.weights: dict[str, float] = {}
        self.epoch = -1
        self._tasks: Any = None
        self._distilled: torch.Tensor | None = None
        self._pending: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Find the task weights, take up the state of a checkpoint, and make the initial pass if there is to be one."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._tasks = find_task_weights(model)
        self._check_names()
        self._tasks.recording = True
        if self._pending is not None:
            self._restore(self._pending)
            self._pending = None
        elif self.initial_pass and runner.iter == 0:
            self._run_initial_pass(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the weights of this epoch, unless it is one that is being resumed in its middle."""
        if runner.epoch == self.epoch:
            return
        time = min(max((runner.epoch - self.start) / (self.max_epoch - self.start), 0.0), 1.0)
        self.weights, self.first_trend = htl_weights(
            np.array(self.history), self.first_trend, names=self._tasks.names, parents=self.parents, time=time
        )
        self._tasks.set(self.weights)
        self.epoch = runner.epoch
        self._append(runner.epoch)
        text = ', '.join(f'{name} {value:.4f}' for name, value in self.weights.items() if name in self.parents)
        runner.logger.info(f'HTL weights of epoch {runner.epoch + 1}: {text}')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Sum up the distillation losses, if the released order is asked for."""
        if not self.released_order:
            return
        missing = [name for name in self.released_order if name not in (outputs or {})]
        if missing or outputs is None:
            raise ConfigError(
                f"HTLHook.released_order: no loss '{missing[0]}'; {did_you_mean(missing[0], outputs or {})}"
            )
        step = torch.stack([outputs[name].detach().double() for name in self.released_order])
        all_reduce(step, op='mean')
        self._distilled = step if self._distilled is None else self._distilled + step

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the state into the checkpoint."""
        if self._tasks is None:
            return
        checkpoint[KEY] = dict(
            names=list(self._tasks.names),
            history=torch.tensor(self.history, dtype=torch.float64),
            first_trend=None if self.first_trend is None else torch.from_numpy(self.first_trend),
            weights=self.weights,
            epoch=self.epoch,
            sums=self._tasks.sums.cpu(),
            steps=self._tasks.steps.cpu(),
            distilled=None if self._distilled is None else self._distilled.cpu(),
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the state of a run that is resumed."""
        if runner._resume:
            self._pending = checkpoint.get(KEY)

    def _restore(self, state: Mapping[str, Any]) -> None:
        if tuple(state['names']) != self._tasks.names:
            raise ConfigError(
                f'HTLHook: the checkpoint weighs the losses {", ".join(state["names"])}, the model has '
                f'{", ".join(self._tasks.names)}'
            )
        self.history = state['history'].tolist()
        self.first_trend = None if state['first_trend'] is None else state['first_trend'].cpu().numpy()
        self.weights, self.epoch = dict(state['weights']), int(state['epoch'])
        self._tasks.set(self.weights)
        self._tasks.sums.copy_(state['sums'])
        self._tasks.steps.copy_(state['steps'])
        distilled = state['distilled']
        self._distilled = None if distilled is None else distilled.to(self._tasks.sums.device)

    def _append(self, epoch: int) -> None:
        """Add what was recorded since the last call to the history."""
        steps = float(self._tasks.steps)
        means = self._tasks.pop_means()
        if means is None:
            return
        # The released code has the shifted list from the second entry on; the first comes from the initial pass.
        if self.released_order and epoch > 0 and self._distilled is not None:
            row = released_row(means, (self._distilled / steps).tolist())
            by_position = dict(zip(RELEASED_ORDER, row, strict=True))
            means = {name: by_position[name] for name in self._tasks.names}
        self._distilled = None
        self.history = [*self.history, [means[name] for name in self._tasks.names]][-WINDOW:]

    def _check_names(self) -> None:
        names = self._tasks.names
        for name in (*self.parents, *(parent for group in self.parents.values() for parent in group)):
            if name not in names:
                raise ConfigError(f"HTLHook.parents: the model has no loss '{name}'; {did_you_mean(name, names)}")
        if self.released_order and set(names) != set(RELEASED_ORDER):
            raise ConfigError(f'HTLHook.released_order needs the losses of DID-M3D, the model has {", ".join(names)}')

    @torch.no_grad()
    def _run_initial_pass(self, runner: Runner) -> None:
        """Record the losses of one pass in training mode; buffers and random numbers end as they began."""
        runner.logger.info('HTL: one pass over the training data without learning')
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model = getattr(model, 'student', model)
        kept = {self._tasks.get_buffer(name) for name in ('sums', 'steps')}
        buffers = {buffer: buffer.clone() for buffer in model.buffers() if buffer not in kept}
        loader = runner.train_dataloader
        generator = getattr(loader, 'generator', None)
        state, loader_state = random_state(), None if generator is None else generator.get_state()
        model.train()
        for batch in loader:
            data = model.data_preprocessor(batch, True)
            model(**data, mode='loss')
        for buffer, value in buffers.items():
            buffer.copy_(value)
        set_random_state(state)
        if generator is not None:
            generator.set_state(loader_state)


def find_task_weights(model: torch.nn.Module) -> Any:
    """Return the one module of a model that weighs the losses of tasks.

    Raises:
        ConfigError: There is none, or several.
    """
    found = [module for module in model.modules() if hasattr(module, 'pop_means') and hasattr(module, 'recording')]
    if len(found) != 1:
        raise ConfigError(
            f'HTLHook needs a head with task weights (mono_distill.DIDHead), the model has {len(found)}; remove the '
            'hook or change the head'
        )
    return found[0]
