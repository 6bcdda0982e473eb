# MonoSKD (ECAI 2023): rank correlation and scene affinity on four levels of the neck, and the heads' responses. All
# weights are 1 (official trainer_helper.py). `channels` follows the neck.
distill_hooks = [
    dict(type='mono_distill.DistillScheduleHook'),
    dict(type='mono_distill.TeacherCheckHook', metric='KITTI/Car_3D_AP40_moderate_loose'),
]
distill = dict(
    taps=dict(
        s='student:neck',
        t='depth:neck',
        s_head='student:bbox_head',
        t_head='depth:bbox_head',
        targets='student:bbox_head.target_encoder',
    ),
    adapters=dict(s_adapted=dict(type='mono_distill.ConvAdapter', channels=(64, 128, 256, 512), inputs='s')),
    losses=dict(
        # The published numbers were trained with this closed form (a Pearson correlation, see docs/losses.md) over the
        # four images of a GPU; here it runs over the batch of a process. form='rank' is Spearman's coefficient as the
        # paper defines it.
        spearman=dict(type='mono_distill.SpearmanLoss', form='released', inputs=dict(student='s_adapted', teacher='t')),
        # The released training ran four images a GPU, and its affinity shrinks with that number.
        affinity=dict(
            type='mono_distill.SceneAffinityLoss', ref_batch=4, inputs=dict(student='s_adapted', teacher='t')
        ),
        response=dict(
            type='mono_distill.MonoDLEResponseLoss', inputs=dict(student='s_head', teacher='t_head', targets='targets')
        ),
    ),
)
