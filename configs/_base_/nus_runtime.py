# As the default, with an exponential moving average of the weights, which is what is evaluated.
_base_ = './default_runtime.py'
custom_hooks = [
    dict(type='mono_distill.RandomStateHook'),
    dict(type='mono_distill.StrictLoadHook'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.001, update_buffers=True),
]
