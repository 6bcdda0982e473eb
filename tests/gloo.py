"""Two processes with a gloo group between them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.multiprocessing as mp

WORLD_SIZE = 2
DEADLINE = 300.0


def run_ranks(function: Callable[..., None], folder: Path, *arguments: Any) -> None:
    """Call ``function(rank, *arguments)`` in each of two processes; fail if they do not end.

    ``function`` must be importable by name from a module on the path, since the processes are spawned.
    """
    context = mp.spawn(_rank, (folder / 'store', function, arguments), nprocs=WORLD_SIZE, join=False)
    end = time.monotonic() + DEADLINE
    while not context.join(timeout=1):
        if time.monotonic() > end:
            for process in context.processes:
                process.kill()
            raise TimeoutError(f'two processes were still running after {DEADLINE:.0f} s')


def _rank(rank: int, store: Path, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    dist.init_process_group('gloo', init_method=f'file://{store}', rank=rank, world_size=WORLD_SIZE)
    function(rank, *arguments)
    # DDP's reducer must be gone before its group, and no rank may leave while another still talks to it: otherwise a
    # process hangs at its end now and then.
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()
