# BEVDepth's schedule: AdamW at 2e-4 for 64 samples a step (8 GPUs with 8), a tenth after 19 and 23 of 24 epochs, half
# precision.
max_epochs = 24
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-7),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='MultiStepLR', milestones=[19, 23], gamma=0.1, begin=0, end=max_epochs, by_epoch=True),
]
train_cfg = dict(type='mono_distill.ResumableEpochLoop', max_epochs=max_epochs, val_begin=20, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=64)
