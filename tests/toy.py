"""A detector small enough to train in milliseconds, with the interface of an OpenMMLab one."""

from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mono_distill.registry import MODELS


@MODELS.register_module(force=True)
class ToyPreprocessor(BaseDataPreprocessor):
    """Stacks one named input into ``imgs``."""

    def __init__(self, key: str = 'img') -> None:
        super().__init__()
        self.key = key
        self.register_buffer('scale', torch.tensor(1.0), persistent=False)

    def forward(self, data, training=False):
        data = self.cast_data(data)
        images = data['inputs'][self.key]
        images = torch.stack(list(images)) if not isinstance(images, Tensor) else images
        return dict(inputs=dict(imgs=images * self.scale), data_samples=data.get('data_samples'))


@MODELS.register_module(force=True)
class ToyDetector(BaseModel):
    """Two convolutions and a linear head that regresses the image's mean."""

    def __init__(self, channels: int = 4, data_preprocessor=None, norm: bool = True, init_cfg=None) -> None:
        super().__init__(data_preprocessor or dict(type='mono_distill.ToyPreprocessor'), init_cfg)
        self.backbone = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels) if norm else nn.ReLU()
        )
        self.neck = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.bbox_head = nn.Linear(channels, 1)

    def extract_feat(self, batch_inputs):
        fine = self.backbone(batch_inputs['imgs'])
        return fine, self.neck(fine)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.bbox_head(self.extract_feat(inputs)[1].mean(dim=(2, 3)))
        if mode == 'loss':
            return dict(loss_mean=(out[:, 0] - inputs['imgs'].mean(dim=(1, 2, 3))).abs().mean())
        if mode == 'predict':
            return [BaseDataElement(pred=value) for value in out.detach()]
        return out


@MODELS.register_module(force=True)
class ToyLoss(nn.Module):
    """Mean squared difference."""

    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        from mono_distill.utils.errors import ShapeError

        if student.shape != teacher.shape:
            raise ShapeError(f'ToyLoss: student {tuple(student.shape)} and teacher {tuple(teacher.shape)} differ.')
        return (student - teacher).abs().pow(self.power).mean()


@MODELS.register_module(force=True)
class ToyAdapter(nn.Module):
    """A 1x1 convolution."""

    def __init__(self, channels: int = 4, out_channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def distiller_config(**changes):
    """Return a distiller of toys: a camera student, a depth teacher, one adapter, one loss."""
    config = dict(
        type='mono_distill.CrossModalDistiller',
        student=dict(type='mono_distill.ToyDetector'),
        teachers=dict(
            depth=dict(
                detector=dict(
                    type='mono_distill.ToyDetector',
                    data_preprocessor=dict(type='mono_distill.ToyPreprocessor', key='depth_map'),
                ),
                allow_random=True,
            )
        ),
        taps=dict(s='student:neck', t='depth:neck'),
        adapters=dict(s_a=dict(type='mono_distill.ToyAdapter', inputs='s')),
        losses=dict(feature=dict(type='mono_distill.ToyLoss', inputs=dict(student='s_a', teacher='t'), weight=0.5)),
    )
    config.update(changes)
    return config


def build_distiller(**changes):
    """Build :func:`distiller_config`."""
    return MODELS.build(distiller_config(**changes))


def batch(size: int = 2, seed: int = 0):
    """Return a collated batch as a data loader gives it."""
    generator = torch.Generator().manual_seed(seed)
    images = [torch.rand(1, 8, 8, generator=generator) for _ in range(size)]
    samples = [BaseDataElement(metainfo=dict(sample_id=f'{i:06d}')) for i in range(size)]
    return dict(inputs=dict(img=images, depth_map=[1 - image for image in images]), data_samples=samples)


def train_losses(model, size: int = 2, seed: int = 0):
    """Return the loss dictionary of one training forward pass."""
    return model(**model.data_preprocessor(batch(size, seed), True), mode='loss')
