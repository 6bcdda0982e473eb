"""What each process of the distributed test runs (importable by name from a spawned process)."""

import torch
from mmengine.model import MMDistributedDataParallel
from toy import batch, build_distiller, distiller_config


def model():
    torch.manual_seed(1)
    # Batch statistics differ between one process and two: the comparison is about the distiller, not about BN.
    plain = dict(type='mono_distill.ToyDetector', norm=False)
    return build_distiller(student=plain, teachers=dict(depth=dict(distiller_config()['teachers']['depth'])))


def halves(rank):
    whole = batch(4)
    pick = slice(2 * rank, 2 * rank + 2)
    inputs = {key: value[pick] for key, value in whole['inputs'].items()}
    return dict(inputs=inputs, data_samples=whole['data_samples'][pick])


def work(rank, results):
    wrapped = MMDistributedDataParallel(model(), broadcast_buffers=False, find_unused_parameters=False)
    for _ in range(2):
        wrapped.zero_grad()
        data = wrapped.module.data_preprocessor(halves(rank), True)
        losses = wrapped(**data, mode='loss')
        sum(value for key, value in losses.items() if 'loss' in key).backward()
    if rank == 0:
        torch.save({name: p.grad for name, p in wrapped.module.named_parameters()}, results)
