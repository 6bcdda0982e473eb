from types import SimpleNamespace

from mmengine.model import BaseModel
from toy import build_distiller, distiller_config

from mono_distill.hooks import DistillScheduleHook


def test_the_weight_follows_the_iteration():
    schedule = dict(until=2, start=0.0, end=1.0)
    model = build_distiller(losses=dict(feature=dict(distiller_config()['losses']['feature'], schedule=schedule)))
    runner = SimpleNamespace(model=model, iter=5, train_dataloader=range(10))
    DistillScheduleHook().before_train_iter(runner, 5)
    assert model.graph.weight_feature.item() == 0.5 * 0.25


def test_other_models_are_left_alone():
    class Other(BaseModel):
        def forward(self, inputs=None, data_samples=None, mode='tensor'):
            return None

    model = Other()
    before = dict(vars(model))
    DistillScheduleHook().before_train_iter(SimpleNamespace(model=model, iter=0, train_dataloader=[1]), 0)
    assert vars(model) == before
