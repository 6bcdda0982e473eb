"""ResNet with ImageNet weights that are loaded whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmdet.models.backbones import ResNet
from mmdet.models.backbones.resnet import BasicBlock
from mmengine.logging import MMLogger
from torch import Tensor

from mono_distill.models.backbones.frozen_norm import FoldingBasicBlock, FoldingBottleneck
from mono_distill.models.converters.key_report import KeyReport, compare_state
from mono_distill.registry import MODELS
from mono_distill.utils.errors import CheckpointError, ConfigError

TIMM = 'timm'
_CLASSIFIER = 'fc.'
_STAGES = 4


@MODELS.register_module()
class ImageNetResNet(ResNet):
    """mmdet's ResNet with an explicit choice of ImageNet weights, and cheap frozen batch norms.

    The numbers are those of mmdet's. Batch norms that are frozen (``norm_cfg=dict(requires_grad=False)`` and
    ``norm_eval``) are taken into the convolutions, see :func:`mono_distill.models.backbones.frozen_norm.conv_norm`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pretrained: ImageNet weights, loaded strictly by :meth:`init_weights`: a local file with torchvision's names
            (torchvision, timm; ``.pth`` or ``.safetensors``), or ``'timm'`` for torchvision's first weights from
            ``timm.create_model('resnet50.tv_in1k', pretrained=True)``, which needs timm and either network access or
            its cache. ``None`` or ``'none'``: Kaiming initialisation.
        options: Further arguments of :class:`mmdet.models.backbones.ResNet`.

    Raises:
        ConfigError: If ``pretrained`` is a URL.
    """

    arch_settings = {
        depth: (FoldingBasicBlock if block is BasicBlock else FoldingBottleneck, stages)
        for depth, (block, stages) in ResNet.arch_settings.items()
    }

    def __init__(self, depth: int = 50, *, pretrained: str | None = None, **options: Any) -> None:
        if pretrained is not None and '://' in pretrained:
            raise ConfigError(
                f'ImageNetResNet: pretrained={pretrained!r} is a URL; download the file and give its path, or use '
                "'timm'."
            )
        super().__init__(depth, **options)
        # Configs that take the value from an environment variable can only give a string.
        self.imagenet_weights = None if pretrained in ('none', 'None', '') else pretrained

    def init_weights(self) -> None:
        """Initialise, then load the ImageNet weights if ``pretrained`` names any.

        Raises:
            ConfigError: If timm cannot provide the weights.
            CheckpointError: If the file is missing or does not fit.
        """
        super().init_weights()
        source = self.imagenet_weights
        if source is None:
            return
        weights = self._timm_weights() if source == TIMM else _file_weights(Path(source))
        report = self.load_imagenet_weights(weights, source=source)
        MMLogger.get_current_instance().info(f'ImageNetResNet: ImageNet weights from {source}: {report.summary()}')

    def load_imagenet_weights(self, weights: Mapping[str, Tensor], *, source: str = 'the checkpoint') -> KeyReport:
        """Load a state dict with torchvision's names, all or nothing.

        Args:
            weights: The state dict.
            source: Where it comes from, for error messages.

        Returns:
            What became of every key.

        Raises:
            CheckpointError: If keys are missing, unexpected or of another shape.
        """
        # Stages that this model does without (num_stages below 4) are as little of it as the classifier.
        absent = (_CLASSIFIER, *(f'layer{stage}.' for stage in range(self.num_stages + 1, _STAGES + 1)))
        kept = {key: value for key, value in weights.items() if not key.startswith(absent)}
        dropped = [key for key in weights if key not in kept]
        report = compare_state(kept, self.state_dict(), dropped=dropped)
        report.require_complete(source)
        self.load_state_dict(kept, strict=False)
        return report

    def _timm_weights(self) -> Mapping[str, Tensor]:
        # Not only ImportError: timm imports torchvision, and one built for another torch raises RuntimeError. A failed
        # download is an OSError or, from the hub client, a RuntimeError or ValueError.
        try:
            import timm

            weights: Mapping[str, Tensor] = timm.create_model(
                f'resnet{self.depth}.tv_in1k', pretrained=True
            ).state_dict()
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"ImageNetResNet: pretrained='timm' failed ({type(error).__name__}: {error}). Give a local file "
                f"instead, pretrained='path/to/resnet{self.depth}.pth', or pretrained=None for random weights."
            ) from error
        return weights


def _file_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(
            f'ImageNetResNet: no file {path} with ImageNet weights. Download one of torchvision or timm and give its '
            'path as pretrained=, or use pretrained=None.'
        )
    if path.suffix == '.safetensors':
        from safetensors.torch import load_file

        loaded: Mapping[str, Tensor] = load_file(path)
    else:
        loaded = torch.load(path, map_location='cpu', weights_only=True)
    return loaded
