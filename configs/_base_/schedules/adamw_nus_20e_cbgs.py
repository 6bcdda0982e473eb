# As adamw_nus_24e.py, over class-balanced samples: 20 of the 4.4 times longer epochs, drops after 16 and 19.
_base_ = './adamw_nus_24e.py'
max_epochs = 20
param_scheduler = [
    dict(type='MultiStepLR', milestones=[16, 19], gamma=0.1, begin=0, end=max_epochs, by_epoch=True),
]
train_cfg = dict(max_epochs=max_epochs, val_begin=16)
