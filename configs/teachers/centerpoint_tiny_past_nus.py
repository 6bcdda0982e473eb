# The small CenterPoint that also encodes past clouds, for STXD; its weights are those of centerpoint_tiny_nus.py.
_base_ = ['./centerpoint_tiny_nus.py']
model = dict(data_preprocessor=dict(past=True))
train_dataloader = dict(dataset=dict(pipeline=[_base_.past_sweeps, *_base_.points_train_pipeline[1:]]))
val_dataloader = dict(dataset=dict(pipeline=[_base_.past_sweeps, *_base_.points_test_pipeline[1:]]))
test_dataloader = val_dataloader
