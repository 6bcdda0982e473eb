"""Adapters."""

from mono_distill.adapters.conv import ConvAdapter

__all__ = [
    'ConvAdapter',
]
