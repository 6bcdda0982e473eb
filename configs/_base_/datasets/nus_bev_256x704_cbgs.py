# As nus_bev_256x704.py, with every class in equally many training samples (CBGS): 4.4 times as many samples an epoch. The
# pipeline of another detector is set one level further in: train_dataloader = dict(dataset=dict(dataset=dict(pipeline=...))).
_base_ = ['./nus_bev_256x704.py']
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mono_distill.SafeCBGSDataset',
        dataset=dict(
            type='mono_distill.NuScenesBEVDataset',
            data_root=_base_.data_root,
            ann_file='nuscenes_infos_train.pkl',
            pipeline=_base_.train_pipeline,
            metainfo=dict(classes=_base_.classes),
        ),
    )
)
