# As the default, for many short runs on CPU cores: one checkpoint, no TensorBoard.
_base_ = './default_runtime.py'
default_hooks = dict(
    logger=dict(interval=40, ignore_last=False), checkpoint=dict(interval=1000, max_keep_ckpts=1, save_optimizer=False)
)
custom_hooks = [
    dict(type='mono_distill.RandomStateHook'),
    dict(type='mono_distill.StrictLoadHook'),
    dict(type='mono_distill.ChannelsLastHook'),
]
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
