"""The ``mono-distill`` command: one module per sub-command."""
