"""Recorded training steps (CUDA graphs): on a GPU beside the usual ones; their learning rates anywhere."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib import codec, training, vgg
from lib.schedule import Schedule
from lib.schemes.bottlenet import BottleNet

# At these rates training is no chaos yet: weights changed by a millionth end up to 2 % of the way apart (at a
# hundred times the rates, 60 to 80 %), while one step left out of the 21 is 14 % or more.
SCHEDULES = [
    Schedule(epochs=3, lr=3e-5, batch_size=16, decay="step", milestones=[1, 2]),
    Schedule(epochs=3, lr=3e-5, batch_size=16, nesterov=True, decay="one_cycle"),
    Schedule(epochs=3, lr=3e-6, batch_size=16, optimizer="adam", weight_decay=0.0)]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def fitted(schedule, model, recorded):
    images = torch.randint(0, 256, (100, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(100) % 10
    engine = training.Engine(torch.device("cuda"), cuda_graphs=recorded)
    history = training.fit(model, images, labels, F.cross_entropy, schedule, seed=0, augmented=True, engine=engine,
                           prepare=lambda x: x.float() / 255, report=lambda line: None)
    return model.cpu(), history


@needs_gpu
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_recorded_steps_train_as_the_usual_ones_do(schedule, make_network, monkeypatch):
    for library in (torch.backends.cuda.matmul, torch.backends.cudnn):
        monkeypatch.setattr(library, "allow_tf32", False)
    before = make_network()
    (usual, expected), (model, history) = (fitted(schedule, make_network(), recorded) for recorded in (False, True))
    assert history.loss.tolist() == pytest.approx(expected.loss.tolist(), rel=1e-3)
    assert history.lr.tolist() == pytest.approx(expected.lr.tolist(), rel=1e-5)
    moved, apart = (torch.cat([(a - b).flatten() for a, b in zip(one.parameters(), other.parameters(), strict=True)])
                    .norm() for one, other in ((before, model), (usual, model)))
    assert apart < 0.07 * moved


@needs_gpu
def test_every_replay_draws_its_own_noise():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.channel = nn.Parameter(torch.zeros(1)), codec.AWGN(0.0)

        def forward(self, x):
            return self.channel(x) * (1 + self.weight)

    images = torch.zeros(1280, 8)
    engine = training.Engine(torch.device("cuda"), cuda_graphs=True)
    curves = [training.fit(Noisy(), images, None, lambda o, t: o.square().mean(),
                           Schedule(epochs=4, lr=1e-9, batch_size=8), seed=seed, engine=engine,
                           report=lambda line: None).loss.tolist() for seed in (0, 0, 1)]
    assert curves[0] == curves[1] != curves[2]  # the seed decides
    assert len(set(curves[0])) == 4  # each epoch has its own
    assert curves[0] == pytest.approx([1.0] * 4, abs=0.06)  # of 10,240 draws; of a batch's 64 it would spread by 0.18


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_that_are_tensors_are_the_same_rates(schedule):
    def rates(recorded):
        model = nn.Linear(2, 2)
        optimizer, peaks = training._optimizer(model, schedule, recorded)
        scheduler, found = training._scheduler(optimizer, peaks, schedule, 5), []
        for _ in range(15):
            found.append([float(group["lr"]) for group in optimizer.param_groups])
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            scheduler.step()
        return sum(found, []), model.weight.detach()

    torch.manual_seed(0)
    expected, weights = rates(False)
    torch.manual_seed(0)
    found, others = rates(schedule.optimizer == "sgd")
    assert found == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(others, weights)


def test_pictures_coded_on_the_cpu_are_not_recorded():
    pipeline = codec.Pipeline(vgg.vgg16_bn(10, 0.125), 2, BottleNet(2, 16, 4))
    assert not all(getattr(module, "capturable", True) for module in pipeline.modules())
