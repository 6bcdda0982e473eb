"""The straightforward form of MonoDETR's training step that benchmarks/monodetr_step.py compares with.

It follows the description of the official code step by step: attention that returns its weights and is given masks
without a single masked token, frozen batch norms as products and sums over maps, the PyTorch form of deformable
attention that samples map by map, projections whose output nobody uses, branches that run in the decoder and again in
the head, a matching per decoder layer against the objects of the whole batch, a GIoU matrix whose diagonal is kept, and
loops over boxes. Written anew for comparison; nothing else uses it. It has the parameters of the detector that it is
made from.
"""

from __future__ import annotations

import copy

import torch
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
from mmdet.models.backbones.resnet import Bottleneck
from mmdet.structures.bbox import bbox_overlaps
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.models.backbones.frozen_norm import FoldingBottleneck
from mono_distill.models.monodetr.attention import Attention
from mono_distill.models.monodetr.decoder_layer import DepthAwareDecoderLayer
from mono_distill.models.monodetr.deformable_attention import DeformableAttention
from mono_distill.models.monodetr.depth_predictor import DepthEncoderLayer, MonoDETRDepthPredictor
from mono_distill.models.monodetr.head import MonoDETRHead
from mono_distill.models.task_modules.group_hungarian_assigner import _class_costs
from mono_distill.models.task_modules.monodetr_boxes import edges_to_corners
from mono_distill.ops.pointwise import Linear

WEIGHTS = dict(cls=2.0, bbox=5.0, giou=2.0, center=10.0)


class PlainDeformableAttention(DeformableAttention):
    """Shapes as a tensor, a mask, and sampling map by map."""

    def forward(self, query, *, query_pos, references, memory):
        """See :class:`DeformableAttention`."""
        identity, query = query, query if query_pos is None else query + query_pos
        shapes = torch.tensor(memory.shapes)
        mask = torch.zeros(memory.tokens.shape[:2], dtype=torch.bool)
        value = self.value_proj(memory.tokens).masked_fill(mask[..., None], 0.0)
        batch, queries = query.shape[:2]
        value = value.view(batch, -1, self.num_heads, self.embed_dims // self.num_heads)
        offsets = self.sampling_offsets(query).view(batch, queries, self.num_heads, self.num_levels, self.num_points, 2)
        weights = self.attention_weights(query).view(batch, queries, self.num_heads, -1).softmax(-1)
        weights = weights.view(offsets.shape[:-1])
        references = references.expand(batch, -1, -1)[:, :, None] * torch.ones(self.num_levels, references.shape[-1])
        if references.shape[-1] == 2:
            size = torch.stack([shapes[..., 1], shapes[..., 0]], -1)
            locations = references[:, :, None, :, None] + offsets / size[None, None, None, :, None]
        else:
            extent = references[:, :, None, :, None, 2:] * 0.5
            locations = references[:, :, None, :, None, :2] + offsets / self.num_points * extent
        output = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
        return self.dropout(self.output_proj(output)) + identity


class PlainFrozenNorm(nn.BatchNorm2d):
    """A frozen batch norm as a product and a sum over the map."""

    def forward(self, x):
        """See ``torch.nn.BatchNorm2d`` in inference."""
        scale = (self.weight * (self.running_var + self.eps).rsqrt()).view(1, -1, 1, 1)
        return x * scale + (self.bias.view(1, -1, 1, 1) - self.running_mean.view(1, -1, 1, 1) * scale)


class PlainDepthEncoderLayer(DepthEncoderLayer):
    """Attention with weights and a mask."""

    def forward(self, tokens, pos):
        """See :class:`DepthEncoderLayer`."""
        query = tokens + pos
        mask = torch.zeros(tokens.shape[:2], dtype=torch.bool)
        attended = self.self_attn(query, query, tokens, key_padding_mask=mask)[0]
        tokens = self.norm1(tokens + self.dropout(attended))
        hidden = self.dropout(self.linear1(tokens).relu())
        return self.norm2(tokens + self.dropout(self.linear2(hidden)))


class PlainDecoderLayer(DepthAwareDecoderLayer):
    """Attention with weights and masks, four projections and one more that is not used, groups split and joined."""

    def forward(self, query, query_pos, *, depth_tokens, memory, references, num_groups):
        """See :class:`DepthAwareDecoderLayer`."""
        mask = torch.zeros(depth_tokens.shape[:2], dtype=torch.bool)
        attended = self.cross_attn_depth(query, depth_tokens, depth_tokens, key_padding_mask=mask)[0]
        query = self.norms[0](query + self.dropout(attended))
        x = query + query_pos
        q = self.sa_qcontent_proj(x) + self.sa_qpos_proj(x)
        k = self.sa_kcontent_proj(x) + self.sa_kpos_proj(x)
        self.sa_qcontent_proj(query)
        size = query.shape[1] // num_groups
        grouped = [torch.cat(value.split(size, dim=1), dim=0) for value in (q, k, query)]
        attended = self.self_attn(*grouped)[0]
        attended = torch.cat(attended.split(len(query), dim=0), dim=1)
        query = self.norms[1](query + self.dropout(attended))
        query = self.norms[2](self.cross_attn(query, query_pos=query_pos, references=references, memory=memory))
        return self.norms[3](self.ffn(query))


class PlainDepthPredictor(MonoDETRDepthPredictor):
    """The coarse map is enlarged before it is projected."""

    def _fused(self, maps):
        fine, middle, coarse = maps[:3]
        enlarged = F.interpolate(coarse, size=middle.shape[2:], mode='bilinear')
        return (self.downsample(fine) + self.proj(middle) + self.upsample(enlarged)) / 3


class PlainHead(MonoDETRHead):
    """Box branches once more, and losses layer by layer, image by image, box by box."""

    def forward(self, queries, depth, batch_img_metas):
        """See :class:`MonoDETRHead`."""
        # The decoder has run these, too.
        for layer, hidden in enumerate(queries.hidden):
            self.bbox_branches[layer](hidden)
            self.dim_branches[layer](hidden)
        return super().forward(queries, depth, batch_img_metas)

    def loss_by_targets(self, outs, targets):
        """See :class:`MonoDETRHead`."""
        counts = targets['mask_2d'].sum(1).tolist()
        images = [{name: value[b, :n] for name, value in targets.items()} for b, n in enumerate(counts)]
        groups = outs['cls_scores'].shape[2] // self.assigner.num_queries
        number = max(sum(counts) * groups, 1)
        losses = {}
        for layer in range(len(outs['cls_scores'])):
            current = {name: outs[name][layer] for name in ('cls_scores', 'bboxes', 'dims', 'depth', 'heading')}
            matches = match(current, images, groups, self.assigner.num_queries)
            losses.update({f'{layer}.{k}': v for k, v in layer_losses(current, images, matches, number).items()})
        losses['depth_map'] = depth_map_loss(outs['depth_logits'], images)
        return losses, dict(queries=None, mask=None)


def match(outs, images, groups: int, size: int) -> list[tuple[Tensor, Tensor]]:
    """One matching per image: queries and objects of all groups, one group after the other."""
    labels = torch.cat([image['labels'] for image in images])
    boxes = torch.cat([image['boxes'] for image in images])
    with torch.no_grad():
        pred = outs['bboxes'].flatten(0, 1)
        cost = 2 * _class_costs(outs['cls_scores'].flatten(0, 1)[None, None], labels[None])[0, 0]
        boxes = boxes.to(pred.dtype)
        cost = cost + 10 * torch.cdist(pred[:, :2], boxes[:, :2], p=1) + 5 * torch.cdist(pred[:, 2:], boxes[:, 2:], p=1)
        cost = cost - 2 * bbox_overlaps(edges_to_corners(pred), edges_to_corners(boxes), mode='giou')
        cost = cost.view(len(images), groups * size, -1).cpu()
    sizes = [len(image['labels']) for image in images]
    matches = [[] for _ in images]
    for g in range(groups):
        part = cost[:, g * size : (g + 1) * size].split(sizes, -1)
        for b, matrix in enumerate(part):
            rows, columns = linear_sum_assignment(matrix[b])
            matches[b].append((torch.as_tensor(rows) + g * size, torch.as_tensor(columns)))
    return [tuple(torch.cat(side) for side in zip(*image, strict=True)) for image in matches]


def layer_losses(outs, images, matches, number: int) -> dict[str, Tensor]:
    """All losses of one decoder layer but that of the depth map."""
    batch = torch.cat([torch.full_like(rows, b) for b, (rows, _) in enumerate(matches)])
    rows = torch.cat([rows for rows, _ in matches])
    pred = {name: value[batch, rows] for name, value in outs.items()}
    goal = {
        name: torch.cat([image[name][columns] for image, (_, columns) in zip(images, matches, strict=True)])
        for name in ('labels', 'boxes', 'size_3d', 'depth', 'heading_bin', 'heading_res')
    }
    classes = outs['cls_scores'].shape[-1]
    target = torch.full(outs['cls_scores'].shape[:2], classes)
    target[batch, rows] = goal['labels']
    one_hot = F.one_hot(target, classes + 1)[..., :-1].to(outs['cls_scores'].dtype)
    p = outs['cls_scores'].sigmoid()
    ce = F.binary_cross_entropy_with_logits(outs['cls_scores'], one_hot, reduction='none')
    p_t = p * one_hot + (1 - p) * (1 - one_hot)
    focal = (0.25 * one_hot + 0.75 * (1 - one_hot)) * ce * (1 - p_t) ** 2
    boxes, truth = edges_to_corners(pred['bboxes']), edges_to_corners(goal['boxes'])
    giou = 1 - torch.diag(bbox_overlaps(boxes, truth, mode='giou'))
    relative = (pred['dims'] - goal['size_3d']).abs() / goal['size_3d'].detach()
    with torch.no_grad():
        factor = F.l1_loss(pred['dims'], goal['size_3d']) / relative.mean()
    logits, residuals = pred['heading'][:, :12], pred['heading'][:, 12:]
    chosen = (residuals * F.one_hot(goal['heading_bin'], 12)).sum(1)
    heading = F.cross_entropy(logits, goal['heading_bin'], reduction='none') + (chosen - goal['heading_res']).abs()
    depth, log_scale = pred['depth'].unbind(-1)
    laplace = 1.4142 * torch.exp(-log_scale) * (depth - goal['depth']).abs() + log_scale
    terms = dict(
        cls=focal.sum(),
        center=(pred['bboxes'][:, :2] - goal['boxes'][:, :2]).abs().sum(),
        bbox=(pred['bboxes'][:, 2:] - goal['boxes'][:, 2:]).abs().sum(),
        giou=giou.sum(),
        dims=(relative * factor).sum(),
        heading=heading.sum(),
        depth=laplace.sum(),
    )
    return {name: WEIGHTS.get(name, 1.0) * value / number for name, value in terms.items()}


def depth_map_loss(logits: Tensor, images) -> Tensor:
    """Depth and foreground painted box by box, then the focal loss of a one-hot target."""
    batch, classes, height, width = logits.shape
    depth, foreground = torch.zeros(batch, height, width), torch.zeros(batch, height, width, dtype=torch.bool)
    for b, image in enumerate(images):
        corners = edges_to_corners(image['boxes']) * torch.tensor([width, height, width, height])
        order = image['depth'].argsort(descending=True)
        for box, z in zip(corners[order], image['depth'][order], strict=True):
            x1, y1, x2, y2 = (int(v) for v in torch.cat([box[:2].floor().clamp(min=0), box[2:].ceil()]))
            depth[b, y1:y2, x1:x2] = z
        for box in corners:
            x1, y1, x2, y2 = (int(v) for v in torch.cat([box[:2].floor().clamp(min=0), box[2:].ceil()]))
            foreground[b, y1:y2, x1:x2] = True
    bins = classes - 1
    delta = 2 * (60 - 1e-3) / (bins * (bins + 1))
    index = -0.5 + 0.5 * torch.sqrt(1 + 8 * (depth - 1e-3) / delta)
    index = torch.where((index < 0) | (index > bins) | ~index.isfinite(), float(bins), index).long()
    one_hot = F.one_hot(index, classes).permute(0, 3, 1, 2).to(logits.dtype)
    log_p = logits.log_softmax(1)
    focal = (one_hot * -0.25 * (1 - log_p.exp()) ** 2 * log_p).sum(1)
    return (focal * torch.where(foreground, 13.0, 1.0)).sum() / (batch * height * width)


_PLAIN = {
    Linear: nn.Linear,
    Attention: nn.MultiheadAttention,
    FoldingBottleneck: Bottleneck,
    nn.BatchNorm2d: PlainFrozenNorm,
    DeformableAttention: PlainDeformableAttention,
    DepthEncoderLayer: PlainDepthEncoderLayer,
    DepthAwareDecoderLayer: PlainDecoderLayer,
    MonoDETRDepthPredictor: PlainDepthPredictor,
    MonoDETRHead: PlainHead,
}


def plain_form(detector: nn.Module) -> nn.Module:
    """Return the straightforward form of a detector of this package; both have the same parameters, not copies."""
    plain = copy.deepcopy(detector)
    for module, original in zip(plain.modules(), detector.modules(), strict=True):
        # Norms that are trained, as in the tiny form, stay.
        if not isinstance(original, nn.BatchNorm2d) or not original.weight.requires_grad:
            module.__class__ = _PLAIN.get(type(module), type(module))
        module._parameters = original._parameters
    return plain
