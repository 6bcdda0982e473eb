# CenterPoint with pillars of 0.2 m that also encodes past clouds, for STXD; its weights are those of
# centerpoint_pillar02_nus.py.
_base_ = ['./centerpoint_pillar02_nus.py']
model = dict(data_preprocessor=dict(past=True))
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=[_base_.past_sweeps, *_base_.points_train_pipeline[1:]])))
val_dataloader = dict(dataset=dict(pipeline=[_base_.past_sweeps, *_base_.points_test_pipeline[1:]]))
test_dataloader = val_dataloader
