# MonoSKD's schedule: as MonoDLE's with a lower rate, for 150 epochs.
max_epochs = 150
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-5),
    paramwise_cfg=dict(custom_keys={'bias': dict(decay_mult=0.0)}),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=5, eta_min=1e-3, begin=0, end=6, by_epoch=True),
    dict(type='MultiStepLR', milestones=[90, 120], gamma=0.1, begin=5, end=max_epochs, by_epoch=True),
]
train_cfg = dict(type='mono_distill.ResumableEpochLoop', max_epochs=max_epochs, val_begin=90, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
