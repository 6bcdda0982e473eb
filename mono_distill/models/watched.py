"""Whether somebody listens to a module."""

from __future__ import annotations

from torch import nn


def is_watched(module: nn.Module) -> bool:
    """Whether a hook, that of a tap for example, is on a module or on a part of it.

    Code that does the work of modules in a faster way of its own would pass their hooks by; it must let them run then.

    Example:
        >>> layer = nn.Sequential(nn.Linear(2, 2))
        >>> is_watched(layer)
        False
        >>> handle = layer[0].register_forward_hook(print)
        >>> is_watched(layer)
        True
    """
    return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
