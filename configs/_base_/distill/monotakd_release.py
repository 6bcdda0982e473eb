# MonoTAKD as released (pcdet/models/detectors/cmkd_TAKD.py), for comparison: the assistant is a branch of the student's
# own trunk, IMD has no gradient (weight 0), the residual is absolute, with thresholds and extremes of the batch, and the
# head does not see the spatial map (no fusion).
_base_ = './monotakd.py'
distill = dict(
    taps=dict(a_visual='student:assistant'),
    targets=dict(
        residual=dict(mode='absolute', threshold=0.6, normalize='assistant_minmax', statistics='batch'),
    ),
    losses=dict(
        imd=dict(weight=0.0, normalize='minmax', statistics='batch'),
        cmrd=dict(weight=0.2),
        response=dict(confidence='sum', cls_images='sum'),
    ),
)
