# MonoDLE's schedule: Adam, five epochs of cosine warm-up, a tenth of the rate twice. The official step scheduler starts
# counting after the warm-up, so its drops "at 90 and 120" come after epochs 95 and 125; `begin=5` counts the same way.
max_epochs = 140
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-5),
    paramwise_cfg=dict(custom_keys={'bias': dict(decay_mult=0.0)}),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=5, eta_min=1.25e-3, begin=0, end=6, by_epoch=True),
    dict(type='MultiStepLR', milestones=[90, 120], gamma=0.1, begin=5, end=max_epochs, by_epoch=True),
]
train_cfg = dict(type='mono_distill.ResumableEpochLoop', max_epochs=max_epochs, val_begin=90, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
