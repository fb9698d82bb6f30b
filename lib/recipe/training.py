"""One rung: a codec trained on stored features after a pooling, and how often it is right on test images."""

from collections.abc import Callable, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from lib import codec, evaluation, training
from lib.recipe import codecs
from lib.recipe.parameters import Rung
from lib.training import CPU, Engine


class OnFeatures(nn.Module):
    """Link and edge half: stored features [N, C, H, W] to logits, or, without the edge half, to features again."""

    def __init__(self, link: codec.Link, edge: nn.Module):
        super().__init__()
        self.link, self.edge = link, edge

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.edge(self.link(features))


class OnImages(nn.Module):
    """The device half before what is trained on its features: images [N, 3, H, W] to logits."""

    def __init__(self, device_half: nn.Module, on_features: OnFeatures):
        super().__init__()
        self.device_half, self.on_features = device_half, on_features

    @property
    def link(self) -> codec.Link:
        """The codec, which may be trained at a rate of its own."""
        return self.on_features.link

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.on_features(self.device_half(images))


def task_loss(distil: float, temperature: float, smoothing: float = 0.0) -> Callable:
    """loss(logits [N, classes], target [N, 1 + classes]): cross-entropy, and the distance to a teacher's answer.

    `smoothing` is that of the labels. A target is the label, then the teacher's logits (Hinton et al., 2015): with both
    at a temperature T, the divergence is multiplied by T², so that its gradient keeps its size.
    """
    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        logits, labels = logits.float(), target[:, 0].long()
        value = (1 - distil) * F.cross_entropy(logits, labels, label_smoothing=smoothing)
        if distil:
            teacher = F.log_softmax(target[:, 1:].float() / temperature, 1)
            student = F.log_softmax(logits / temperature, 1)
            value = value + distil * temperature**2 * F.kl_div(student, teacher, reduction="batchmean",
                                                               log_target=True)
        return value
    return loss


def wrong(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The expected share of wrong answers of logits [N, classes] for a target as in `task_loss`: 1 − p(label).

    Cross-entropy asks for the true class to be likely for every image; this gives up those that are lost, as counting
    right answers does (Ghosh et al., 2017). It needs a start that is already right on many.
    """
    return 1 - logits.float().softmax(1).gather(1, target[:, :1].long()).mean()


def teacher_targets(classifier: nn.Module, features: torch.Tensor, labels: torch.Tensor,
                    engine: Engine = CPU) -> torch.Tensor:
    """Labels [N] and the classifier's logits on features [N, C, H, W], side by side: float [N, 1 + classes]."""
    logits = evaluation.forward(classifier, features, torch.Tensor.float, 1000, engine).cpu()
    return torch.cat([labels[:, None].float(), logits], 1)


def train(rung: Rung, classifier: nn.Module, features: torch.Tensor, targets: torch.Tensor, *, bandwidth: int,
          snr_db: float, seed: int, channel: nn.Module | None = None, engine: Engine = CPU,
          report: Callable = print) -> tuple[OnFeatures, pd.DataFrame]:
    """(the trained model, its learning curve) for stored features [N, C, H, W] and targets of `teacher_targets`.

    It is sent over `channel`, or else over AWGN.
    """
    torch.manual_seed(seed)
    classes = targets.shape[1] - 1
    link, edge = codecs.build(rung.start, classifier, tuple(features.shape[1:]), classes, bandwidth, snr_db,
                              rung.snr_range, targets if rung.neighbours else None, rung.pool)
    if channel is not None:
        link.channel = channel
    model = OnFeatures(link, edge)
    edge.requires_grad_(rung.train_edge)
    if rung.loss == "features":
        model.edge = nn.Identity()  # step 3 ends before it
        curve = training.fit(model, features, None, F.l1_loss, rung.schedule, seed=seed, engine=engine, report=report)
        model.edge = edge
    else:
        loss = wrong if rung.loss == "wrong" else task_loss(rung.distil, rung.temperature)
        curve = training.fit(model, features, targets, loss, rung.schedule, seed=seed, engine=engine, report=report)
    return model.eval(), curve


def accuracy(model: OnFeatures, features: torch.Tensor, labels: torch.Tensor, snrs_db: Sequence[float], draws: int,
             batch_size: int, engine: Engine = CPU) -> pd.DataFrame:
    """Accuracy on test features [N, C, H, W], a row an SNR and noise draw; the noise is that of other evaluations.

    Not the symbols but the features are shared by all SNRs, because an encoder may see the SNR.
    """
    model = engine.place(model).eval()
    return evaluation.over_snr(torch.clone, model, model.link.channel, features, labels, torch.Tensor.float, snrs_db,
                               draws, batch_size, engine)
