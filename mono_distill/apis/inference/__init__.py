"""Parts of :mod:`mono_distill.apis.inferencer`: what it reads, what it checks, what it writes."""
