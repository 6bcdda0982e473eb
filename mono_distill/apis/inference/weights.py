"""Put a checkpoint into a detector that is used as it is: nothing may be missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import nn

from mono_distill.distillers.weights import read_state_dict
from mono_distill.utils.errors import CheckpointError

_SHOWN = 5


def load_detector_weights(model: nn.Module, checkpoint: str) -> None:
    """Load weights, of the student of a distillation or of a plain detector.

    Entries the detector does not have are counted and named in a warning and left out, as ``mono-distill test`` does.

    Args:
        model: The detector.
        checkpoint: ``.pth`` or ``.safetensors`` file, work directory (its last checkpoint) or URL.

    Raises:
        CheckpointError: The file cannot be read, or parameters are missing or have another shape; the message counts
            and names them.
    """
    source, state = read_state_dict(checkpoint)
    own = model.state_dict()
    needed = [key for key in own if not key.endswith('num_batches_tracked')]
    missing = [key for key in needed if key not in state]
    shapes = [
        f'{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    extra = [key for key in state if key not in own]
    found = (('parameters missing', missing), ('of another shape', shapes), ('unknown to the model', extra))
    problems = '; '.join(_listed(keys, what) for what, keys in found if keys)
    if missing or shapes:
        raise CheckpointError(
            f'{source} does not fit {type(model).__name__} with its {len(needed)} parameters: {problems}. Give the '
            'config the checkpoint was trained with, and check the number of classes'
        )
    if extra:
        logging.getLogger('mono_distill').warning('%s: %s; left out', source, problems)
    model.load_state_dict(state, strict=False)


def _listed(keys: Sequence[str], what: str) -> str:
    return f'{len(keys)} {what} ({", ".join(keys[:_SHOWN])}{", …" if len(keys) > _SHOWN else ""})'
