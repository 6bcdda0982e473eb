# MonoTAKD's distillation: AdamW, one cycle to 2e-4. Its repository has 10 to 100 epochs at different times, 10 last.
max_epochs = 40
peak = 2e-4
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=peak, betas=(0.9, 0.999), weight_decay=0.01),
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
train_cfg = dict(type='mono_distill.ResumableEpochLoop', max_epochs=max_epochs, val_begin=10, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
