# MonoSTL's schedule: as MonoDLE's, for 200 epochs with later drops.
_base_ = './adam_140e.py'
max_epochs = 200
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=5, eta_min=1.25e-3, begin=0, end=6, by_epoch=True),
    dict(type='MultiStepLR', milestones=[120, 160], gamma=0.1, begin=5, end=max_epochs, by_epoch=True),
]
train_cfg = dict(max_epochs=max_epochs, val_begin=120)
auto_scale_lr = dict(base_batch_size=12)
