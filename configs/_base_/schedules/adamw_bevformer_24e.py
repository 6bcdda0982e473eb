# BEVFormer's schedule: AdamW at 2e-4 for 8 samples a step (8 GPUs with one), a tenth of it for the image backbone, 500 steps
# of warm-up, cosine decay over 24 epochs, half precision.
max_epochs = 24
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-2),
    paramwise_cfg=dict(custom_keys={'img_backbone': dict(lr_mult=0.1)}),
    clip_grad=dict(max_norm=35.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 3, begin=0, end=500, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=2e-7, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(type='mono_distill.ResumableEpochLoop', max_epochs=max_epochs, val_begin=20, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)
