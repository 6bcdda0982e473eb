"""Renaming of official checkpoints to the parameter names of this package."""

from mono_distill.models.converters.did_keys import convert_did_keys
from mono_distill.models.converters.dla_keys import rename_dla_keys
from mono_distill.models.converters.key_report import KeyReport, compare_state
from mono_distill.models.converters.monodetr_keys import convert_monodetr_keys
from mono_distill.models.converters.monodle_keys import convert_monodle_keys

__all__ = [
    'KeyReport',
    'compare_state',
    'convert_did_keys',
    'convert_monodetr_keys',
    'convert_monodle_keys',
    'rename_dla_keys',
]
