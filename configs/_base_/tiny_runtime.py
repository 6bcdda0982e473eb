# As the default, for runs of minutes.
_base_ = './default_runtime.py'
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=10, max_keep_ckpts=2))
