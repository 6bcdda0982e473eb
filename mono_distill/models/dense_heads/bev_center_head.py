"""CenterPoint's head (Yin et al., *Center-based 3D Object Detection and Tracking*, CVPR 2021) on a bird's-eye view."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet3d.models.dense_heads import CenterHead
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor

from mono_distill.losses.masked import as_float32, mean_over_ranks
from mono_distill.losses.tensor_dict import head_tasks
from mono_distill.models.dense_heads.joint_branches import can_join, joint_branches
from mono_distill.ops.center_head_targets import CenterHeadTargets, center_head_targets
from mono_distill.ops.pad_slots import pad_slots
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

# Probabilities stay so far from 0 and 1 in the loss, as in mmdet3d's clip_sigmoid.
HEAT_EPS = 1e-4
# mmdet3d's addend to the number of objects that divides the box loss.
BOX_EPS = 1e-4
# The code of a box: maps in this order, and how many columns of the targets each takes.
CODE = ('reg', 'height', 'dim', 'rot', 'vel')
PADDING_LABEL = -1
_GRID_KEYS = ('grid_size', 'point_cloud_range', 'voxel_size', 'out_size_factor')


@MODELS.register_module()
class BEVCenterHead(CenterHead):
    """mmdet3d's ``CenterHead`` with the same parameters, outputs, targets, losses and boxes, and other insides.

    What differs:

    - The outputs stay what they are: mmdet3d's loss turns the heatmap logits into probabilities in place
      (``clip_sigmoid`` calls ``sigmoid_``), so whatever reads them afterwards reads something else.
    - Targets of the whole batch are made at once, on the device, without a loop over objects
      (:func:`mono_distill.ops.center_head_targets`), and the loss never waits for the device.
    - With several processes the losses are means over the objects of all of them (``sync_num_pos``).
    - The heatmaps start at the probability of ``init_bias``, a tenth. mmdet3d never sets that bias: its branches lie
      in a plain ``ModuleList``, at which ``init_weights`` does not look, and start at a half.
    - A velocity that is not a number trains nothing; there, it makes the loss NaN.
    - The decoder's range can follow the model to another device.
    - On a GPU, the branches of a head that is not trained are computed in two convolutions (``joint_branches.py``).

    Use with ``type='mono_distill.BEVCenterHead'`` in place of ``'CenterHead'``. Boxes are in the frame of the map, the
    LiDAR frame of the key-frame: x right (columns), y forward (rows), z up.

    Args:
        args: See mmdet3d's ``CenterHead``.
        sync_num_pos: Divide by the mean number of objects of all processes, so that the gradient that DDP averages is
            that of one process on the global batch. False: by those of this process, as mmdet3d does.
        kwargs: See mmdet3d's ``CenterHead``. ``train_cfg`` holds ``grid_size``, ``point_cloud_range``, ``voxel_size``,
            ``out_size_factor``, ``max_objs``, ``gaussian_overlap``, ``min_radius``, ``code_weights``, and maybe
            ``max_radius``, a bound of the radii in cells that saves memory on a GPU. ``test_cfg['nms_type']`` is
            ``'rotate'`` (rotated IoU) or ``'circle'`` (centre distance; squared metres in ``min_radius``).

    Raises:
        ConfigError: ``train_cfg`` lacks the grid, or ``code_weights`` does not fit the code.
    """

    def __init__(self, *args: Any, sync_num_pos: bool = True, **kwargs: Any) -> None:
        # mmdet3d writes into the dictionaries that it is given.
        super().__init__(*copy.deepcopy(args), **copy.deepcopy(kwargs))
        self.sync_num_pos = sync_num_pos
        self.post_center_range = list(self.bbox_coder.post_center_range or ())
        first = self.task_heads[0]
        regressed = getattr(first, 'task_head', first).heads
        self.code_maps = [name for name in CODE if name in regressed]
        self.num_codes = sum(int(regressed[name][0]) for name in self.code_maps)
        weights = (self.train_cfg or {}).get('code_weights') or [1.0] * self.num_codes
        if len(weights) != self.num_codes:
            raise ConfigError(
                f'BEVCenterHead: train_cfg.code_weights has {len(weights)} numbers, but {"+".join(self.code_maps)} '
                f'regress {self.num_codes}.'
            )
        missing = [key for key in _GRID_KEYS if self.train_cfg is not None and key not in self.train_cfg]
        if missing:
            raise ConfigError(f'BEVCenterHead: train_cfg lacks {", ".join(missing)}.')
        # Not saved: checkpoints are those of mmdet3d's head.
        self.register_buffer('code_weights', torch.tensor(weights, dtype=torch.float32), persistent=False)

    def init_weights(self) -> None:
        """Initialise as PyTorch does, and the bias of the heatmaps by ``init_bias`` of the branches."""
        super().init_weights()
        for task in self.task_heads:
            branch = task.heatmap if hasattr(task, 'heatmap') else task.cls_head
            torch.nn.init.constant_(branch[-1].bias, task.init_bias)

    def heatmaps(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Compute the heatmap logits only, ``(B, classes, H, W)`` per task.

        Args:
            feats: Maps of the neck; the first is used.
        """
        shared = self.shared_conv(feats[0])
        branches = [getattr(task, 'heatmap', None) for task in self.task_heads]
        if can_join(self.task_heads, branches, shared):
            return joint_branches(branches, shared)
        return [
            task.heatmap(shared) if hasattr(task, 'heatmap') else task(shared)['heatmap'] for task in self.task_heads
        ]

    def forward_single(self, x: Tensor) -> list[dict[str, Tensor]]:
        """Compute the maps of every task.

        Args:
            x: Map of the neck.

        Returns:
            Per task ``heatmap`` and the maps of ``common_heads``, each ``(B, c, H, W)``.
        """
        shared = self.shared_conv(x)
        names = [list(getattr(task, 'heads', ())) for task in self.task_heads]
        branches = [getattr(task, name, None) for task, own in zip(self.task_heads, names, strict=True) for name in own]
        if all(names) and can_join(self.task_heads, branches, shared):
            maps = iter(joint_branches(branches, shared))
            return [{name: next(maps) for name in own} for own in names]
        return [task(shared) for task in self.task_heads]

    def get_targets(self, batch_gt_instances_3d: Sequence[InstanceData]) -> CenterHeadTargets:
        """Make the targets of a batch.

        Args:
            batch_gt_instances_3d: Each with ``bboxes_3d`` (LiDAR boxes, 9 columns if velocities are regressed, else 7
                or 9) and ``labels_3d``; labels that no task knows are left out.

        Returns:
            See :class:`mono_distill.ops.center_head_targets.CenterHeadTargets`.

        Raises:
            ConfigError: The head has no ``train_cfg``.
            ShapeError: The boxes have no velocity, but the head regresses one.
        """
        cfg = self.train_cfg
        if cfg is None:
            raise ConfigError('BEVCenterHead: targets need train_cfg, which says where the grid lies.')
        device = self.code_weights.device
        boxes = pad_slots([self._box_columns(each) for each in batch_gt_instances_3d], 0.0)
        labels = pad_slots([each.labels_3d for each in batch_gt_instances_3d], PADDING_LABEL)
        factor = cfg['out_size_factor']
        width, height = (int(cells) // factor for cells in cfg['grid_size'][:2])
        x_min, y_min = cfg['point_cloud_range'][:2]
        return center_head_targets(
            boxes.to(device, non_blocking=True),
            labels.to(device, non_blocking=True),
            self.num_classes,
            (height, width),
            x_range=(x_min, x_min + width * factor * cfg['voxel_size'][0]),
            y_range=(y_min, y_min + height * factor * cfg['voxel_size'][1]),
            max_objects=cfg['max_objs'] * cfg.get('dense_reg', 1),
            min_overlap=cfg['gaussian_overlap'],
            min_radius=cfg['min_radius'],
            log_sizes=self.norm_bbox,
            max_radius=cfg.get('max_radius'),
        )

    def get_targets_single(self, gt_instances_3d: InstanceData) -> tuple[list[Tensor], ...]:
        """Make the targets of one sample, per task without the batch dimension."""
        targets = self.get_targets([gt_instances_3d])
        return tuple([value[0] for value in values] for values in targets)

    def loss_by_feat(
        self, preds_dicts: Sequence[Any], batch_gt_instances_3d: Sequence[InstanceData], *args: Any, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Make the targets and compute the losses.

        Args:
            preds_dicts: Output of ``forward``; not changed.
            batch_gt_instances_3d: See :meth:`get_targets`.
            args: Not used.
            kwargs: Not used.

        Returns:
            ``task<i>.loss_heatmap`` and ``task<i>.loss_bbox``.
        """
        return self.loss_by_targets(preds_dicts, self.get_targets(batch_gt_instances_3d))

    def loss_by_targets(self, preds_dicts: Sequence[Any], targets: CenterHeadTargets) -> dict[str, Tensor]:
        """Compute the losses from targets, in float32 at least.

        Samples without objects train the heatmap only; every parameter receives a gradient, if only zero.

        Args:
            preds_dicts: Output of ``forward``; not changed.
            targets: Output of :meth:`get_targets`.

        Raises:
            ShapeError: Maps and targets have different sizes.
        """
        tasks = [{name: as_float32(value) for name, value in task.items()} for task in head_tasks(preds_dicts)]
        self._check_size(tasks, targets)
        num_peaks, num_boxes = self._counts(targets)
        losses: dict[str, Tensor] = {}
        for i, (maps, boxes, mask) in enumerate(zip(tasks, targets.boxes, targets.masks, strict=True)):
            heat = maps['heatmap'].sigmoid().clamp(HEAT_EPS, 1 - HEAT_EPS)
            losses[f'task{i}.loss_heatmap'] = self.loss_cls(heat, targets.heatmaps[i], avg_factor=num_peaks[i])
            code = torch.cat([maps[name] for name in self.code_maps], dim=1).flatten(2)
            places = targets.indices[i].unsqueeze(1).expand(-1, code.shape[1], -1)
            code = code.gather(2, places).transpose(1, 2)
            weight = (mask.unsqueeze(2) & boxes.isfinite()) * self.code_weights
            # Reduced here: given weights, mmdet's L1Loss asks on the host whether any is positive.
            error = self.loss_bbox(code, torch.where(weight > 0, boxes, 0), reduction_override='none')
            losses[f'task{i}.loss_bbox'] = (error * weight).sum() / (num_boxes[i] + BOX_EPS)
        return losses

    def predict_by_feat(
        self, preds_dicts: Sequence[Any], batch_input_metas: Sequence[Mapping[str, Any]], *args: Any, **kwargs: Any
    ) -> list[InstanceData]:
        """Decode as mmdet3d does, in float32 at least.

        Args:
            preds_dicts: Output of ``forward``; not changed.
            batch_input_metas: Each with ``box_type_3d``.
            args: Not used.
            kwargs: Not used.

        Returns:
            Per sample ``bboxes_3d``, ``scores_3d`` and ``labels_3d``.

        Raises:
            DataError: The samples do not say what kind of boxes they have.
        """
        if any('box_type_3d' not in meta for meta in batch_input_metas):
            raise DataError(
                "BEVCenterHead: a sample has no 'box_type_3d' in its meta information; end the pipeline with "
                'mono_distill.PackBEVInputs.'
            )
        tasks = [[{name: as_float32(value) for name, value in task.items()}] for task in head_tasks(preds_dicts)]
        # The decoder leaves a tensor there, which stays on the device of the first batch.
        self.bbox_coder.post_center_range = self.post_center_range
        results: list[InstanceData] = super().predict_by_feat(tasks, batch_input_metas)
        return results

    def _box_columns(self, instances: InstanceData) -> Tensor:
        """Boxes around their gravity centre, with as many columns as the targets need."""
        boxes = instances.bboxes_3d
        columns = 9 if 'vel' in self.code_maps else 7
        if not len(boxes):
            return boxes.tensor.new_zeros(0, columns)
        if boxes.tensor.shape[1] < columns:
            raise ShapeError(
                f'BEVCenterHead: the boxes have {boxes.tensor.shape[1]} columns, but the head regresses velocities and '
                "needs 9; load them with with_velocity=True, or leave 'vel' out of common_heads."
            )
        return torch.cat([boxes.gravity_center, boxes.tensor[:, 3:columns]], dim=1)

    def _counts(self, targets: CenterHeadTargets) -> tuple[Tensor, Tensor]:
        """Divisors of the heatmap and box losses of each task."""
        peaks = torch.stack([heatmap.eq(1).sum() for heatmap in targets.heatmaps])
        objects = torch.stack([mask.sum() for mask in targets.masks])
        counts = torch.stack([peaks, objects]).float()
        if not self.sync_num_pos:
            return counts[0].clamp(min=1), counts[1]
        num_peaks, num_boxes = mean_over_ranks(counts).unbind()
        return num_peaks.clamp(min=1 / get_world_size()), num_boxes

    def _check_size(self, tasks: Sequence[Mapping[str, Tensor]], targets: CenterHeadTargets) -> None:
        ours, theirs = tasks[0]['heatmap'].shape[-2:], targets.heatmaps[0].shape[-2:]
        if ours != theirs:
            raise ShapeError(
                f'BEVCenterHead: the map has {tuple(ours)} cells, but grid_size {list(self.train_cfg["grid_size"])} '
                f'and out_size_factor {self.train_cfg["out_size_factor"]} of train_cfg say {tuple(theirs)} (y, x).'
            )
