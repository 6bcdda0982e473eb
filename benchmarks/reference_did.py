"""The straightforward form of DID-M3D's training step that benchmarks/did_step.py compares with.

It follows the description of the official code step by step: targets object by object, 2D offset and size as whole
maps, boxes of every cell of which a few are picked by a boolean mask, coordinates interpolated box by box, seven
branches one after the other, and losses that pick their objects anew, each from a copy of the map with its channels
last. Trunk and parameters are those of the detector that it is made from. Where mmcv has no compiled ops, RoIAlign is
this package's. Written anew for comparison; nothing else uses it.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from mmcv.ops import roi_align
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.models.dense_heads.did_head import DIDHead
from mono_distill.models.dense_heads.masked_batch_norm import MaskedBatchNorm2d

STRIDE, SLOTS, BINS, MARGIN = 4, 50, 7, 3.0
DENSE = ('heatmap', 'offset_2d', 'size_2d')
POOLED = ('offset_3d', 'size_3d', 'heading')
PER_BIN = ('vis_depth', 'att_depth', 'vis_depth_uncer', 'att_depth_uncer')


class PlainHead(DIDHead):
    """Both stages and the losses, as described above."""

    def loss(self, x, batch_data_samples, **kwargs):
        """See :class:`DIDHead`."""
        feat = x[0]
        targets = encode(batch_data_samples, self.num_classes, feat.shape[-2:])
        targets = {name: value.to(feat) if value.is_floating_point() else value for name, value in targets.items()}
        outs = {name: getattr(self, name)(feat) for name in DENSE}
        outs.update(self.look_into_boxes(feat, outs, targets, [sample.metainfo for sample in batch_data_samples]))
        return losses(outs, targets)

    def look_into_boxes(self, feat, outs, targets, metas):
        """The second stage on the objects of all images."""
        batch, _, height, width = feat.shape
        mask = targets['mask_2d']
        cells = torch.stack(
            [torch.arange(width).expand(height, width), torch.arange(height).view(-1, 1).expand(height, width)]
        ).to(feat)
        center = cells[None].repeat(batch, 1, 1, 1) + outs['offset_2d']
        boxes = torch.cat([center - outs['size_2d'] / 2, center + outs['size_2d'] / 2], dim=1)
        image = torch.arange(batch).view(-1, 1, 1, 1).repeat(1, 1, height, width).to(feat)
        boxes = pick(torch.cat([image, boxes], dim=1), targets)
        pooled = roi_align(feat, boxes.detach(), (BINS, BINS), 1.0, 0, 'avg', False)
        # Corners in pixels of the image, then on the plane 1 m in front of the camera.
        corners = (boxes[:, 1:] * STRIDE).view(-1, 2, 2)
        cameras = torch.stack([torch.from_numpy(np.asarray(meta['ori_cam2img'])) for meta in metas]).to(feat)
        cameras = cameras[boxes[:, 0].long()]
        focal = torch.stack([cameras[:, 0, 0], cameras[:, 1, 1]], dim=1)[:, None]
        corners = ((corners - cameras[:, None, :2, 2]) / focal - cameras[:, None, :2, 3] / focal).flatten(1)
        x = torch.cat([line(box[0], box[2])[None].repeat(BINS, 1)[None, None] for box in corners])
        y = torch.cat([line(box[1], box[3])[:, None].repeat(1, BINS)[None, None] for box in corners])
        labels = targets['labels'][mask]
        classes = torch.zeros(len(boxes), self.num_classes).to(feat)
        classes[torch.arange(len(boxes)), labels] = 1.0
        features = torch.cat([pooled, x, y, classes[..., None, None].repeat(1, 1, BINS, BINS)], dim=1)

        found = {name: getattr(self, name)(features)[:, :, 0, 0] for name in POOLED}
        found.update({name: getattr(self, name)(features).squeeze(1) for name in PER_BIN})
        found['size_3d'] = found['size_3d'] + self.mean_size[labels]
        rows = (boxes[:, 4] - boxes[:, 2]) * STRIDE
        # The input is the image, so that a box has as many rows in both.
        found['vis_depth'] = (-found['vis_depth']).exp() * (rows.clamp(min=1) / rows.clamp(min=1))[:, None, None]
        found['ins_depth'] = found['vis_depth'] + found['att_depth']
        both = torch.stack([found['vis_depth_uncer'], found['att_depth_uncer']], dim=-1)
        found['ins_depth_uncer'] = both.logsumexp(-1)
        return found


def line(first: Tensor, last: Tensor) -> Tensor:
    """Numbers between two, linearly."""
    return first + (last - first) * torch.linspace(0, 1, BINS).to(first)


def pick(maps: Tensor, targets) -> Tensor:
    """What maps say at the objects of all images: the maps are copied with their channels last."""
    batch, channels = maps.shape[:2]
    rows = maps.permute(0, 2, 3, 1).contiguous().view(batch, -1, channels)
    found = rows.gather(1, targets['indices'][..., None].expand(-1, -1, channels))
    return found[targets['mask_2d']]


def encode(samples, classes: int, size) -> dict[str, Tensor]:
    """Targets image by image and object by object."""
    batch = [encode_image(sample.gt_instances_3d, sample.metainfo, classes, size) for sample in samples]
    return {name: torch.from_numpy(np.stack([image[name] for image in batch])) for name in batch[0]}


def encode_image(instances, meta, classes: int, size) -> dict[str, np.ndarray]:
    """Targets of one image in 50 slots."""
    height, width = size
    pair = (SLOTS, 2)
    targets = dict(
        heatmap=np.zeros((classes, height, width), np.float32),
        indices=np.zeros(SLOTS, np.int64),
        labels=np.zeros(SLOTS, np.int64),
        mask_2d=np.zeros(SLOTS, bool),
        offset_2d=np.zeros(pair, np.float32),
        size_2d=np.zeros(pair, np.float32),
        offset_3d=np.zeros(pair, np.float32),
        size_3d=np.zeros((SLOTS, 3), np.float32),
        depth=np.zeros(SLOTS, np.float32),
        heading_bin=np.zeros(SLOTS, np.int64),
        heading_res=np.zeros(SLOTS, np.float32),
        vis_depth=np.zeros((SLOTS, BINS, BINS), np.float32),
        att_depth=np.zeros((SLOTS, BINS, BINS), np.float32),
        depth_mask=np.zeros((SLOTS, BINS, BINS), bool),
    )
    for i in range(len(instances)):
        box = instances.bboxes[i].numpy() / STRIDE
        center = instances.centers_2d[i].numpy() / STRIDE
        peak = np.floor(center).astype(int)
        if not (0 <= peak[0] < width and 0 <= peak[1] < height):
            continue
        label = int(instances.labels_3d[i])
        length, tall, wide, yaw = instances.bboxes_3d.tensor[i, 3:].tolist()
        draw(targets['heatmap'][label], peak, radius(float(box[3] - box[1]), float(box[2] - box[0])))
        targets['indices'][i], targets['labels'][i], targets['mask_2d'][i] = peak[1] * width + peak[0], label, True
        targets['offset_2d'][i] = (box[:2] + box[2:]) / 2 - peak
        targets['size_2d'][i], targets['offset_3d'][i] = box[2:] - box[:2], center - peak
        targets['size_3d'][i] = tall, wide, length
        middle, camera = (box[0] + box[2]) / 2 * STRIDE, np.asarray(meta['ori_cam2img'])
        angle = (yaw - math.atan((middle - camera[0, 2]) / camera[0, 0])) % (2 * math.pi)
        shifted = (angle + math.pi / 12) % (2 * math.pi)
        bin_ = int(shifted / (math.pi / 6))
        targets['heading_bin'][i] = bin_
        targets['heading_res'][i] = shifted - (bin_ * math.pi / 6 + math.pi / 12)
        z, seen = float(instances.depths[i]), instances.visual_depth[i].numpy()
        valid = (seen > z - MARGIN) & (seen < z + MARGIN) & (seen > 0)
        targets['depth'][i], targets['depth_mask'][i] = z, valid
        targets['vis_depth'][i][valid], targets['att_depth'][i][valid] = seen[valid], z - seen[valid]
    return targets


def radius(height: float, width: float, overlap: float = 0.7) -> int:
    """CornerNet's radius of the Gaussian of a box."""
    roots = []
    for a, b, c in (
        (1, height + width, width * height * (1 - overlap) / (1 + overlap)),
        (4, 2 * (height + width), (1 - overlap) * width * height),
        (4 * overlap, -2 * overlap * (height + width), (overlap - 1) * width * height),
    ):
        roots.append((b + math.sqrt(b**2 - 4 * a * c)) / 2)
    return max(0, int(min(roots)))


def draw(heatmap: np.ndarray, peak: np.ndarray, reach: int) -> None:
    """Draw a Gaussian over what is there."""
    sigma = (2 * reach + 1) / 6
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    gaussian = np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    left, right = min(peak[0], reach), min(heatmap.shape[1] - peak[0], reach + 1)
    top, bottom = min(peak[1], reach), min(heatmap.shape[0] - peak[1], reach + 1)
    part = heatmap[peak[1] - top : peak[1] + bottom, peak[0] - left : peak[0] + right]
    np.maximum(part, gaussian[reach - top : reach + bottom, reach - left : reach + right], out=part)


def losses(outs, targets) -> dict[str, Tensor]:
    """The seven losses, each of which picks its objects."""
    mask = targets['mask_2d']
    result = {'loss_heatmap': heatmap_loss(outs['heatmap'].sigmoid().clamp(1e-4, 1 - 1e-4), targets['heatmap'])}
    for name in ('offset_2d', 'size_2d'):
        result[f'loss_{name}'] = F.l1_loss(pick(outs[name], targets), targets[name][mask])
    for name in ('offset_3d', 'size_3d'):
        result[f'loss_{name}'] = F.l1_loss(outs[name], targets[name][mask])
    valid = targets['depth_mask'][mask]
    parts = [
        laplace(outs[name][valid], targets[name][mask][valid], outs[f'{name}_uncer'][valid])
        for name in ('vis_depth', 'att_depth')
    ]
    depth = targets['depth'][mask].view(-1, 1, 1).expand_as(outs['ins_depth'])
    result['loss_depth'] = sum(parts) + laplace(outs['ins_depth'], depth, outs['ins_depth_uncer'])
    bins, residuals = targets['heading_bin'][mask], targets['heading_res'][mask]
    one_hot = torch.zeros(len(bins), 12).to(residuals).scatter_(1, bins.view(-1, 1), 1)
    chosen = (outs['heading'][:, 12:] * one_hot).sum(1)
    result['loss_heading'] = F.cross_entropy(outs['heading'][:, :12], bins) + F.l1_loss(chosen, residuals)
    return result


def heatmap_loss(p: Tensor, target: Tensor) -> Tensor:
    """CornerNet's focal loss."""
    positive, negative = target.eq(1).to(p), target.lt(1).to(p)
    gain = p.log() * (1 - p) ** 2 * positive
    loss = (1 - p).log() * p**2 * (1 - target) ** 4 * negative
    number = positive.sum()
    return -loss.sum() if number == 0 else -(gain.sum() + loss.sum()) / number


def laplace(value: Tensor, target: Tensor, log_variance: Tensor) -> Tensor:
    """Mean negative log likelihood."""
    return (1.4142 * (-0.5 * log_variance).exp() * (value - target).abs() + 0.5 * log_variance).mean()


_PLAIN = {DIDHead: PlainHead, MaskedBatchNorm2d: nn.BatchNorm2d}


def plain_form(detector: nn.Module) -> nn.Module:
    """Return the straightforward form of a detector of this package; both have the same parameters, not copies."""
    plain = copy.deepcopy(detector)
    for module, original in zip(plain.modules(), detector.modules(), strict=True):
        module.__class__ = _PLAIN.get(type(module), type(module))
        if type(original) is MaskedBatchNorm2d:
            module.affine = module.track_running_stats = True
        module._parameters = original._parameters
    return plain
