"""Filter pruning with the Taylor criterion (Sec. II-D, step 2; Molchanov et al., 2017)."""

import contextlib
import copy
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import nn

from lib import InputError, vgg
from lib.geometry import FLOOR
from lib.speed import convolutions

Scores = dict[str, torch.Tensor]  # by layer


def taylor_scores(model: nn.Module, batches: Iterable, pool: int) -> Scores:
    """{layer: scores [filters]} of the convolutions before the split.

    A filter's score is the mean over examples of |mean over space of activation × gradient|, after batch norm
    and ReLU, L2-normalised in each layer. `batches` yields (normalised float images, labels). Batch norm uses
    its running statistics, so how examples are batched does not matter. The model is left as it was.
    Raises InputError without a batch.
    """
    names = list(vgg.convolutions(model, pool))
    # In double precision and summed over all batches: the ranking must not hang on their order.
    sums = {name: 0.0 for name in names}
    examples = 0

    def watch(name):
        def forward_hook(module, inputs, activation):
            if name == names[0]:
                activation = activation.detach().requires_grad_()  # what lies before it needs no gradients
            values = activation.detach()  # of the activation itself, its hook would never let go
            activation.register_hook(lambda gradient: accumulate(name, values, gradient))
            return activation
        return forward_hook

    def accumulate(name, activation, gradient):
        # The absolute value is taken of each example: a signed sum over a batch cancels (Molchanov et al., Eq. 8).
        effects = (activation * gradient).mean((2, 3)).abs()
        sums[name] = sums[name] + effects.double().sum(0)

    # Two modules after each convolution comes its ReLU. Before batch norm the effects would sum to zero.
    watched = {name: model.features[int(name.split(".")[1]) + 2] for name in names}
    with _as_it_was(model, {module: watch(name) for name, module in watched.items()}):
        for images, labels in batches:
            examples += len(labels)
            # A sum, not a mean: then each example's gradient is its own, whatever else is in its
            # batch.
            loss = F.cross_entropy(model(images).float(), labels, reduction="sum")
            loss.backward()
    if not examples:
        raise InputError("Taylor scores need at least one batch of images.")
    return {name: _unit_norm(total / examples) for name, total in sums.items()}


@contextlib.contextmanager
def _as_it_was(model, forward_hooks):
    """For the time of the context: evaluation mode, no gradients of weights, these hooks; then all as before."""
    # Scoring happens between two trainings: mode, flags and hooks must be theirs again afterwards.
    modes = {module: module.training for module in model.modules()}
    trainable = {parameter: parameter.requires_grad for parameter in model.parameters()}
    hooks = [module.register_forward_hook(hook) for module, hook in forward_hooks.items()]
    try:
        # Only activations need gradients here, not weights.
        model.eval().requires_grad_(False)
        with torch.enable_grad(), convolutions.matrix_convolutions():
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
        for parameter, flag in trainable.items():
            parameter.requires_grad_(flag)


def signed_taylor_scores(model: nn.Module, batches: Iterable, pool: int) -> Scores:
    """{layer: scores [filters]} as a widely copied implementation has them: another reading of the criterion.

    Activation × gradient of the convolution's own output, summed with its sign over all examples and over space, batch
    norm with the batch's statistics; the absolute value of that sum, L2-normalised in each layer. Batch norm undoes
    any scaling of its input, so that each batch's sum is zero but for rounding: what ranks the filters is noise.
    `batches` as in `taylor_scores`; the model is left as it was. Raises InputError without a batch.
    """
    # Batch norm in training mode changes its running statistics: on a copy, then.
    model = copy.deepcopy(model)
    sums = {name: 0.0 for name in vgg.convolutions(model, pool)}

    def watch(name):
        def forward_hook(module, inputs, activation):
            activation.requires_grad_()
            values = activation.detach()
            activation.register_hook(lambda gradient: accumulate(name, values, gradient))
            return activation
        return forward_hook

    def accumulate(name, activation, gradient):
        sums[name] = sums[name] + (activation * gradient).sum((0, 2, 3)).double()

    examples = 0
    with _as_it_was(model, {module: watch(name) for name, module in vgg.convolutions(model, pool).items()}):
        for module in model.modules():
            # Batch norm alone: it is what makes each batch's sum vanish.
            module.train(isinstance(module, nn.BatchNorm2d))
        for images, labels in batches:
            examples += len(labels)
            F.cross_entropy(model(images).float(), labels).backward()
    if not examples:
        raise InputError("Taylor scores need at least one batch of images.")
    return {name: _unit_norm(total.abs()) for name, total in sums.items()}


def magnitude_scores(model: nn.Module, pool: int) -> Scores:
    """{layer: L2 norm of each filter's weights, L2-normalised in the layer}: an ablation of the criterion."""
    return {name: _unit_norm(convolution.weight.detach().double().flatten(1).norm(dim=1))
            for name, convolution in vgg.convolutions(model, pool).items()}


def random_scores(model: nn.Module, pool: int, generator: torch.Generator) -> Scores:
    """{layer: uniform random scores}: an ablation of the criterion."""
    return {name: torch.rand(convolution.out_channels, generator=generator, dtype=torch.double)
            for name, convolution in vgg.convolutions(model, pool).items()}


def _unit_norm(scores):
    # Gradients differ in scale from layer to layer, and the filters of all are ranked together.
    norm = scores.norm()
    return scores / norm if norm > 0 else scores


def select(scores: Scores, count: int, floor: int = FLOOR) -> dict[str, list[int]]:
    """{layer: indices} of the `count` lowest scores over all layers at once; every layer keeps `floor` filters.

    Raises InputError when the floor forbids so many.
    """
    # Without a floor a high ratio could empty a layer, and the network would be cut in two.
    room = {name: max(0, len(values) - floor) for name, values in scores.items()}
    if count > sum(room.values()):
        raise InputError(f"{count} filters cannot be removed: {floor} must stay in each layer.")
    # Ties are broken by layer and index, so that two machines cut the same filters.
    ranked = sorted((score, name, index) for name, values in scores.items()
                    for index, score in enumerate(values.tolist()))
    chosen = {name: [] for name in scores}
    for _, name, index in ranked:
        if count and room[name]:
            chosen[name].append(index)
            room[name] -= 1
            count -= 1
    return {name: sorted(indices) for name, indices in chosen.items() if indices}


def remove_filters(model: nn.Module, removed: Mapping[str, Iterable[int]]) -> nn.Module:
    """A new, smaller model without the filters {layer: indices}; the given model is not changed.

    Slices the convolution, its batch norm with the running statistics, and the next layer's inputs. The new
    model equals the old one with those channels zeroed after batch norm and ReLU. Raises InputError (a
    ValueError) for an unknown layer or filter and when a layer would be emptied.
    """
    model = copy.deepcopy(model)
    layers = vgg.convolutions(model, 5)
    names = list(layers)
    for name, indices in removed.items():
        if name not in layers:
            raise InputError(f"There is no convolution {name!r} in the network.")
        kept = _kept(name, layers[name].out_channels, indices)
        position = int(name.split(".")[1])
        _slice(model.features[position], kept, 0, "weight", "bias")
        # The mean and variance that batch norm keeps belong to channels too.
        _slice(model.features[position + 1], kept, 0, "weight", "bias", "running_mean", "running_var")
        model.features[position].out_channels = model.features[position + 1].num_features = len(kept)
        if name == names[-1]:
            _slice(model.classifier[1], kept, 1, "weight")  # the last map is 1×1: a channel is a column
            model.classifier[1].in_features = len(kept)
        else:
            # The next convolution loses the inputs that no longer arrive.
            following = layers[names[names.index(name) + 1]]
            _slice(following, kept, 1, "weight")
            following.in_channels = len(kept)
    return model


def _kept(name, filters, indices):
    removed = {int(index) for index in indices}
    if not removed <= set(range(filters)):
        raise InputError(f"Layer {name!r} has filters 0 to {filters - 1} only.")
    if len(removed) == filters:
        raise InputError(f"Layer {name!r} would be emptied.")
    return torch.tensor([index for index in range(filters) if index not in removed])


def _slice(module, kept, dim, *names):
    for name in names:
        old = getattr(module, name)
        if old is None:  # a convolution without bias
            continue
        # A copy, not a view: a view would keep the whole old tensor in memory and in the file.
        new = old.detach().index_select(dim, kept.to(old.device)).clone()
        setattr(module, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
