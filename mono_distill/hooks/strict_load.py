"""Refuses a checkpoint that does not fit the model, which mmengine would load as far as it goes."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mono_distill.distillers.checkpoint_keys import DISTILL_PREFIX
from mono_distill.registry import HOOKS
from mono_distill.utils.errors import CheckpointError


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Checks names and shapes when a checkpoint is loaded for testing, resuming or as the start of a training.

    A distillation's checkpoint given to the plain student loses its ``distill.`` entries here. A plain student's
    checkpoint given to a distiller is complete but for the adapters, and accepted.

    Raises:
        CheckpointError: Parameters are missing or have another shape; the message counts and names them.
    """

    priority = 'VERY_LOW'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check a checkpoint that was read and not yet copied into the model."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        state = checkpoint.get('state_dict', checkpoint)
        own = model.state_dict()
        if not any(key.startswith(DISTILL_PREFIX) for key in own):
            for key in [key for key in state if key.startswith(DISTILL_PREFIX)]:
                del state[key]
        names = {key.removeprefix('module.'): value for key, value in state.items()}
        needed = [key for key in own if not key.endswith('num_batches_tracked') and not key.startswith(DISTILL_PREFIX)]
        missing = [key for key in needed if key not in names]
        shapes = [key for key in own if key in names and names[key].shape != own[key].shape]
        if missing or shapes:
            wrong = [
                f'{len(keys)} {what} ({", ".join(keys[:3])}{" …" if len(keys) > 3 else ""})'
                for what, keys in (('parameters missing', missing), ('of another shape', shapes))
                if keys
            ]
            raise CheckpointError(
                f'the checkpoint does not fit {type(model).__name__}: {"; ".join(wrong)} of {len(needed)}. Load the '
                'checkpoint that was trained with this config, or test it with the config it was trained with'
            )
