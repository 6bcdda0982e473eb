"""Decoding as released: candidates by torch, then box by box in Python and NumPy.

Written after the description of ``lib/helpers/decode_helper.py`` of MonoDLE, MonoDistill and MonoDETR: one array of
detections per batch, a loop over images and rows, and for each row small NumPy calls for the heading, the camera and
the lists that a result file is written from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

INPUT = np.array([1280.0, 384.0])
THRESHOLD = 0.2
BINS = 12
# Added to every size; zero in the published settings.
MEAN_SIZES = np.zeros((3, 3), dtype=np.float32)


class Calibration:
    """The camera of one image, with methods for arrays of points that are called with one point."""

    def __init__(self, cam2img: NDArray) -> None:
        self.fu, self.fv = cam2img[0, 0], cam2img[1, 1]
        self.cu, self.cv = cam2img[0, 2], cam2img[1, 2]
        self.tx, self.ty = cam2img[0, 3] / -self.fu, cam2img[1, 3] / -self.fv

    def img_to_rect(self, u: NDArray, v: NDArray, depth: NDArray) -> NDArray:
        """Pixels and depths to points."""
        x = ((u - self.cu) * depth) / self.fu + self.tx
        y = ((v - self.cv) * depth) / self.fv + self.ty
        return np.concatenate((x.reshape(-1, 1), y.reshape(-1, 1), depth.reshape(-1, 1)), axis=1)

    def alpha2ry(self, alpha: float, u: float) -> float:
        """Observation angle to yaw."""
        yaw = alpha + np.arctan2(u - self.cu, self.fu)
        if yaw > np.pi:
            yaw -= 2 * np.pi
        if yaw < -np.pi:
            yaw += 2 * np.pi
        return yaw


def heading_angle(heading: NDArray) -> float:
    """Angle of one detection."""
    heading_bin, heading_res = heading[:BINS], heading[BINS:]
    index = np.argmax(heading_bin)
    angle = index * (2 * np.pi / BINS) + heading_res[index]
    return angle - 2 * np.pi if angle > np.pi else angle


def monodetr_detections(outs: Mapping[str, Tensor]) -> NDArray:
    """From the network's last layer to one array of detections in fractions of the image, (B, 50, 37)."""
    logits, boxes = outs['cls_scores'][-1], outs['bboxes'][-1]
    scores, index = logits.sigmoid().view(len(logits), -1).topk(50, dim=1)
    labels, rows = index % logits.shape[2], (index // logits.shape[2]).unsqueeze(-1)

    def at(values: Tensor) -> Tensor:
        return torch.gather(values, 1, rows.repeat(1, 1, values.shape[-1]))

    x, y, left, right, top, bottom = boxes.unbind(-1)
    corners = torch.stack([x - left, y - top, x + right, y + bottom], -1)
    x1, y1, x2, y2 = corners.unbind(-1)
    flat = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], -1)
    depth, sigma = outs['depth'][-1][..., :1], torch.exp(-outs['depth'][-1][..., 1:])
    columns = [at(flat), at(depth), at(outs['heading'][-1]), at(outs['dims'][-1]), at(boxes[..., :2]), at(sigma)]
    detections = torch.cat([labels.float().unsqueeze(-1), scores.unsqueeze(-1), *columns], dim=2)
    return detections.detach().cpu().numpy()


def decode_monodetr(detections: NDArray, metas: Sequence[Mapping[str, Any]]) -> list[list[list[float]]]:
    """From the array of detections to rows of class, alpha, 2D box, h, w, l, x, y, z, yaw, score."""
    return _rows(detections, metas, np.ones(2), ray_of_box=True)


def monodle_detections(outs: Mapping[str, Tensor]) -> NDArray:
    """From the maps to one array of detections in cells, (B, 50, 37)."""
    heat = outs['heatmap'].sigmoid().clamp(1e-4, 1 - 1e-4)
    heat = heat * (F.max_pool2d(heat, 3, stride=1, padding=1) == heat)
    batch, _, height, width = heat.shape
    # The best of every class, then the best of those.
    by_class, cells = heat.view(batch, -1, height * width).topk(50)
    cells = cells % (height * width)
    scores, best = by_class.view(batch, -1).topk(50)
    labels, cells = (best // 50).float(), cells.view(batch, -1).gather(1, best)

    def at(name: str) -> Tensor:
        values = outs[name].permute(0, 2, 3, 1).contiguous().view(batch, -1, outs[name].shape[1])
        return values.gather(1, cells.unsqueeze(-1).expand(-1, -1, values.shape[2]))

    place = torch.stack([cells % width, cells // width], -1).float()
    depth = at('depth')
    metres, sigma = 1 / (depth[..., :1].sigmoid() + 1e-6) - 1, torch.exp(-depth[..., 1:])
    columns = [place + at('offset_2d'), at('size_2d'), metres, at('heading'), at('size_3d')]
    columns += [place + at('offset_3d'), sigma]
    return torch.cat([labels.unsqueeze(-1), scores.unsqueeze(-1), *columns], dim=2).detach().cpu().numpy()


def decode_monodle(detections: NDArray, metas: Sequence[Mapping[str, Any]]) -> list[list[list[float]]]:
    """From the array of detections to rows as of :func:`decode_monodetr`."""
    return _rows(detections, metas, INPUT / 4, ray_of_box=False)


def _rows(
    detections: NDArray, metas: Sequence[Mapping[str, Any]], unit: NDArray, *, ray_of_box: bool
) -> list[list[list[float]]]:
    """Go through images and detections; lengths are in ``unit`` parts of the image."""
    info = {'img_size': np.array([meta['ori_shape'][::-1] for meta in metas])}
    calibrations = [Calibration(meta['ori_cam2img']) for meta in metas]
    results = []
    for i in range(detections.shape[0]):
        rows = []
        for j in range(detections.shape[1]):
            label, score = int(detections[i, j, 0]), detections[i, j, 1]
            if score < THRESHOLD:
                continue
            x = detections[i, j, 2] * info['img_size'][i][0] / unit[0]
            y = detections[i, j, 3] * info['img_size'][i][1] / unit[1]
            w = detections[i, j, 4] * info['img_size'][i][0] / unit[0]
            h = detections[i, j, 5] * info['img_size'][i][1] / unit[1]
            box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
            depth = detections[i, j, 6]
            dimensions = detections[i, j, 31:34]
            dimensions += MEAN_SIZES[label]
            x3d = detections[i, j, 34] * info['img_size'][i][0] / unit[0]
            y3d = detections[i, j, 35] * info['img_size'][i][1] / unit[1]
            location = calibrations[i].img_to_rect(x3d, y3d, depth).reshape(-1)
            location[1] += dimensions[0] / 2
            alpha = heading_angle(detections[i, j, 7:31])
            yaw = calibrations[i].alpha2ry(alpha, x if ray_of_box else x3d)
            score = score * detections[i, j, -1]
            rows.append([label, alpha, *box, *dimensions.tolist(), *location.tolist(), yaw, score])
        results.append(rows)
    return results
