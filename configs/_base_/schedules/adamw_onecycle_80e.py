# OpenPCDet's adam_onecycle as far as mmengine has it: AdamW, one cycle of the learning rate, without that of beta1.
max_epochs = 80
peak = 1e-3
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=peak, betas=(0.9, 0.99), weight_decay=0.01),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=peak,
        total_steps=max_epochs,
        pct_start=0.4,
        div_factor=10.0,
        final_div_factor=1000.0,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(type='mono_distill.ResumableEpochLoop', max_epochs=max_epochs, val_begin=40, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
