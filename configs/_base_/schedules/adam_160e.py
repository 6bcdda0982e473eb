# MonoDistill's schedule: as MonoDLE's, for 160 epochs.
_base_ = './adam_140e.py'
max_epochs = 160
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=5, eta_min=1.25e-3, begin=0, end=6, by_epoch=True),
    dict(type='MultiStepLR', milestones=[90, 120], gamma=0.1, begin=5, end=max_epochs, by_epoch=True),
]
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=12)
