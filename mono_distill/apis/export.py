"""A trained detector alone: its weights, and the config that builds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mono_distill.apis.launch import load_config
from mono_distill.apis.plain_config import build_detector, check_config_file, config_meta, plain_config, write_config
from mono_distill.apis.weights_file import check_output, sha256, write_weights
from mono_distill.compat.checkpoints import load_checkpoint_file
from mono_distill.compat.safetensors_files import SUFFIX
from mono_distill.distillers.checkpoint_keys import DISTILL_PREFIX
from mono_distill.models.converters.key_report import OPTIONAL_SUFFIX, compare_state
from mono_distill.models.converters.recognise import recognise
from mono_distill.utils.errors import CheckpointError
from mono_distill.version import __version__

_DATA_PARALLEL = 'module.'
_OFFICIAL_KINDS = ('monodle', 'didm3d', 'monodetr', 'monodle pair', 'didm3d pair')


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        out: The weights.
        config_file: The plain config, beside them.
        tensors: How many tensors were written.
        dropped: How many were left out: adapters and other parts of the distillation.
        weights: ``'averaged'`` or ``'last'``.
    """

    out: Path
    config_file: Path
    tensors: int
    dropped: int
    weights: str


def export_student(
    config: str,
    checkpoint: str | Path,
    *,
    out: str | Path | None = None,
    safetensors: bool = False,
    ema: bool | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Exported:
    """Write a detector's weights without anything of its training.

    The file holds ``state_dict`` and ``meta`` with the detector's config (``cfg``), ``dataset_meta`` and where the
    weights come from. Beside it the same config is written as ``<name>_config.py``, for tools that want a file.

    Args:
        config: Config of a distillation or of a plain detector.
        checkpoint: What was trained with it.
        out: Where to; by default ``<checkpoint>_student.pth`` (or ``.safetensors``) beside the checkpoint.
        safetensors: Write safetensors; the same as a name that ends so.
        ema: ``True``: the averaged weights, and refuse a file without any. ``False``: those of the last step, also if
            the file holds averaged ones. ``None``: averaged ones if there are any, as testing does.
        cfg_options: Overrides of the config.

    Raises:
        CheckpointError: The checkpoint cannot be read or does not fit the config, or has no averaged weights.
        ConfigError: The config or an option of it does not exist, or ``out`` cannot be used.
    """
    checkpoint = Path(checkpoint).expanduser()
    suffix = SUFFIX if safetensors else '.pth'
    out = Path(out) if out else checkpoint.with_name(f'{checkpoint.stem}_student{suffix}')
    check_output(out, (checkpoint, Path(config)), (SUFFIX,) if safetensors else ('.pth', SUFFIX))
    check_config_file(out, config)
    detector = plain_config(load_config(config, cfg_options))
    content = load_checkpoint_file(checkpoint)
    trained, weights = choose_weights(content, checkpoint, ema)
    state = student_state(trained, build_detector(detector).state_dict(), checkpoint)
    write_weights(out, state, _meta(checkpoint, content, weights) | {'config': config} | config_meta(detector))
    config_file = write_config(detector, out)
    return Exported(out, config_file, len(state), sum(key.startswith(DISTILL_PREFIX) for key in trained), weights)


def choose_weights(content: Mapping[str, Any], file: Path, ema: bool | None) -> tuple[dict[str, Tensor], str]:
    """Return the averaged weights or those of the last step.

    mmengine's ``EMAHook`` saves the averaged ones as ``state_dict`` and the model's own, which a resumed run goes on
    from, as ``module.…`` in ``ema_state_dict``.

    Args:
        content: A training checkpoint.
        file: Its name, for messages.
        ema: See :func:`export_student`.

    Returns:
        Key to tensor, and ``'averaged'`` or ``'last'``.

    Raises:
        CheckpointError: There are no weights, or no averaged ones and ``ema`` asks for them.
    """
    state = content.get('state_dict')
    if not isinstance(state, Mapping) or not state:
        look = recognise([str(key).removeprefix(_DATA_PARALLEL) for key in content.get('model_state') or content])
        raise CheckpointError(
            f"{file} has no weights under 'state_dict', as mmengine saves them; it looks like {look.title}; "
            f'{look.advice}'
        )
    other = content.get('ema_state_dict')
    if not other:
        if ema:
            raise CheckpointError(f'{file} holds no averaged weights: it was trained without EMAHook; leave --ema out')
        return dict(state), 'last'
    if ema is not False:
        return dict(state), 'averaged'
    last = {key.removeprefix(_DATA_PARALLEL): value for key, value in other.items() if key.startswith(_DATA_PARALLEL)}
    return {**state, **last}, 'last'


def student_state(trained: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Return the tensors of the detector alone, exactly those its model has and in its order.

    Args:
        trained: Weights of a distiller or of a plain detector.
        expected: ``state_dict()`` of the detector.
        file: Where the weights come from, for messages.

    Raises:
        CheckpointError: Keys are missing, foreign or of another shape.
    """
    own = {key.removeprefix(_DATA_PARALLEL): value for key, value in trained.items()}
    own = {key: value for key, value in own.items() if not key.startswith(DISTILL_PREFIX)}
    report = compare_state(own, expected)
    if not report.complete:
        look = recognise(list(own))
        hint = f' It looks like {look.title}: {look.advice}.' if look.kind in _OFFICIAL_KINDS else ''
        raise CheckpointError(
            f'{file} does not fit the config: {report.summary()}. Export it with the config it was trained with; '
            f'nothing was written.{hint}'
        )
    values = {key: own.get(key, value) for key, value in expected.items() if key in own or _is_counter(key)}
    return {key: value.detach().to('cpu', copy=True).contiguous() for key, value in values.items()}


def _is_counter(key: str) -> bool:
    return key.endswith(OPTIONAL_SUFFIX)


def _meta(file: Path, content: Mapping[str, Any], weights: str) -> dict[str, Any]:
    training = content.get('meta') or {}
    origin = {'file': file.name, 'sha256': sha256(file), 'weights': weights}
    origin.update({name: training[name] for name in ('epoch', 'iter') if isinstance(training.get(name), int)})
    return {'mono_distill_version': __version__, 'exported_from': origin}
