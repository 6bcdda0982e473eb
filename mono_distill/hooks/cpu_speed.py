"""Faster training on a CPU: bfloat16 and the memory layout its convolutions prefer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mono_distill.registry import HOOKS, OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Autocast to bfloat16 in training, on a CPU or a GPU.

    mmengine's ``AmpOptimWrapper`` refuses to work without a GPU. bfloat16 has the range of float32, so no loss scale is
    needed. Convolutions gain where the processor has instructions for it (AVX512-BF16, AMX); elsewhere it is slower.
    Losses of this package compute in float32 regardless.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast inside the forward pass of a training step."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Puts the model's convolutions, the teachers' included, into channels-last memory layout before training.

    Values do not change. On a CPU with oneDNN convolutions of small maps become 10 to 20 % faster.
    """

    def before_train(self, runner: Runner) -> None:
        """Change the layout of the weights; activations follow."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.to(memory_format=torch.channels_last)
        for teacher in model.bank.teachers.values() if hasattr(model, 'bank') else ():
            teacher.model.to(memory_format=torch.channels_last)
