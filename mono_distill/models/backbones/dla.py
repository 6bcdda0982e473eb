"""DLA-34 (Yu et al., CVPR 2018) as MonoDLE, DID-M3D and their distilled variants use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet3d.models.backbones.dla import DLANet as MMDet3dDLANet
from mmdet3d.models.backbones.dla import Tree
from mmengine.logging import MMLogger
from torch import Tensor

from mono_distill.models.converters.dla_keys import rename_dla_keys
from mono_distill.models.converters.key_report import KeyReport, compare_state
from mono_distill.registry import MODELS
from mono_distill.utils.errors import CheckpointError, ConfigError

TIMM = 'timm'


@MODELS.register_module()
class DLANet(MMDet3dDLANet):
    """mmdet3d's DLA-34 (same numbers) that loads official weights whole and trains under DDP without unused parameters.

    * Official parameter names (``bn1``, ``bn2``, ``root.bn``, ``fc``) are accepted by every ``load_state_dict``.
      Without renaming, only 84 of the 234 tensors match mmdet3d's names.
    * The projections of the outer trees (``level3.project``, ``level4.project``) feed nothing, in the official code as
      here; they stay for the sake of checkpoints but have ``requires_grad=False``.

    Args:
        depth: Only 34 exists.
        in_channels: Channels of the image.
        out_indices: Levels to return; level i has stride 2**i and 16, 32, 64, 128, 256 or 512 channels (level 0: 16).
        frozen_stages: See mmdet3d.
        norm_cfg: Normalisation; ImageNet weights need ``BN``.
        pretrained: ImageNet weights, loaded strictly by :meth:`init_weights`: a local file with official or timm names
            (``.pth`` or ``.safetensors``), or ``'timm'`` for ``timm.create_model('dla34', pretrained=True)``, which
            needs timm and either network access or its cache. ``None`` or ``'none'``: Kaiming initialisation.
        init_cfg: See mmengine.

    Raises:
        ConfigError: If ``pretrained`` is a URL.
    """

    def __init__(
        self,
        depth: int = 34,
        *,
        in_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4, 5),
        frozen_stages: int = -1,
        norm_cfg: dict[str, Any] | None = None,
        pretrained: str | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if pretrained is not None and '://' in pretrained:
            raise ConfigError(
                f"DLANet: pretrained={pretrained!r} is a URL; download the file and give its path, or use 'timm'."
            )
        super().__init__(
            depth,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg or dict(type='BN'),
            init_cfg=init_cfg,
        )
        # Configs that take the value from an environment variable can only give a string.
        self.pretrained = None if pretrained in ('none', 'None', '') else pretrained
        for name, parameter in self.named_parameters():
            if name.startswith(self.unused_projections):
                parameter.requires_grad = False
        self._register_load_state_dict_pre_hook(_accept_official_names)

    @property
    def unused_projections(self) -> tuple[str, ...]:
        """Prefixes of the parameters that no output depends on."""
        return tuple(_outer_projections(self))

    def init_weights(self) -> None:
        """Initialise, then load the ImageNet weights if ``pretrained`` names any.

        Raises:
            ConfigError: If timm cannot provide the weights.
            CheckpointError: If the file is missing or does not fit.
        """
        super().init_weights()
        if self.pretrained is None:
            return
        weights = _timm_weights() if self.pretrained == TIMM else _file_weights(Path(self.pretrained))
        report = self.load_imagenet_weights(weights, source=self.pretrained)
        MMLogger.get_current_instance().info(f'DLANet: ImageNet weights from {self.pretrained}: {report.summary()}')

    def load_imagenet_weights(self, weights: Mapping[str, Tensor], *, source: str = 'the checkpoint') -> KeyReport:
        """Load a DLA-34 state dict with official, timm or mmdet3d names, all or nothing.

        Only the outer projections may be missing (timm removed them from its weights).

        Args:
            weights: The state dict.
            source: Where it comes from, for error messages.

        Returns:
            What became of every key.

        Raises:
            CheckpointError: If keys are missing, unexpected or of another shape.
        """
        renamed, dropped = rename_dla_keys(weights)
        expected = self.state_dict()
        may_miss = {key for key in expected if key.startswith(self.unused_projections)}
        report = compare_state(renamed, expected, dropped=dropped, may_miss=may_miss)
        report.require_complete(source)
        self.load_state_dict(renamed, strict=False)
        return report


def _outer_projections(backbone: MMDet3dDLANet) -> Iterator[str]:
    # A tree of several levels hands its projection to the inner tree, which computes its own and ignores it.
    for name, module in backbone.named_modules():
        if isinstance(module, Tree) and module.levels > 1 and module.project is not None:
            yield f'{name}.project.'


def _accept_official_names(state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    renamed, _dropped = rename_dla_keys(state_dict, prefix)
    state_dict.clear()
    state_dict.update(renamed)


def _file_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(
            f'DLANet: no file {path} with ImageNet weights. Download dla34-ba72cf86.pth (or timm/dla34.in1k) and give '
            'its path as pretrained=, or use pretrained=None.'
        )
    if path.suffix == '.safetensors':
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location='cpu', weights_only=True)


def _timm_weights() -> Mapping[str, Tensor]:
    # Not only ImportError: timm imports torchvision, and one built for another torch raises RuntimeError. A failed
    # download is an OSError or, from the hub client, a RuntimeError or ValueError.
    try:
        import timm

        return timm.create_model('dla34', pretrained=True).state_dict()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"DLANet: pretrained='timm' failed ({type(error).__name__}: {error}). Give a local file instead, "
            "pretrained='path/to/dla34-ba72cf86.pth', or pretrained=None for random weights."
        ) from error
