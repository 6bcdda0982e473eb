# MonoDETR's schedule: AdamW without warm-up, a tenth of the rate after 125 and 165 epochs. The published numbers are the
# best of 195 evaluations on the validation split; report the last epoch, too.
max_epochs = 195
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={'bias': dict(decay_mult=0.0)}),
)
param_scheduler = [
    dict(type='MultiStepLR', milestones=[125, 165], gamma=0.1, begin=0, end=max_epochs, by_epoch=True),
]
train_cfg = dict(type='mono_distill.ResumableEpochLoop', max_epochs=max_epochs, val_begin=100, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# With fewer images per step training often collapses.
auto_scale_lr = dict(enable=False, base_batch_size=16)
