"""Filter pruning with the Taylor criterion (Sec. II-D, step 2; Molchanov et al., 2017)."""

import contextlib
import copy
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
import torch_pruning
from torch import nn

from lib import InputError
from lib.geometry import FLOOR
from lib.networks import structure
from lib.speed import convolutions

Scores = dict[str, torch.Tensor]  # by layer


def taylor_scores(model: nn.Module, batches: Iterable, pool: int) -> Scores:
    """{layer: scores [filters]} of the convolutions before the split.

    A filter's score is the mean over examples of |mean over space of activation × gradient|, after batch norm
    and ReLU, L2-normalised in each layer. Of filters that additions tie together, which have one score, the effects
    are summed over all blocks that add to their stream, after the sum (and its ReLU, if it has one): the slope of the
    loss as all of them fade at once. `batches` yields (normalised float images, labels). Batch norm uses
    its running statistics, so how examples are batched does not matter. The model is left as it was.
    Raises InputError without a batch.
    """
    watched = {path: filters.name for filters in structure.filters_before(model, pool) for path in filters.seen}
    # In double precision and summed over all batches: the ranking must not hang on their order.
    sums = {name: 0.0 for name in structure.convolutions(model, pool)}
    effects = {}  # of the examples of one batch, [N, filters]
    examples = 0

    def watch(path):
        def forward_hook(module, inputs, activation):
            if not activation.requires_grad:  # the first of all: what lies before it needs no gradients
                activation = activation.detach().requires_grad_()
            values = activation.detach()  # of the activation itself, its hook would never let go
            activation.register_hook(lambda gradient: accumulate(watched[path], values, gradient))
            return activation
        return forward_hook

    def accumulate(name, activation, gradient):
        effects[name] = effects.get(name, 0.0) + (activation * gradient).mean((2, 3))

    with _as_it_was(model, {model.get_submodule(path): watch(path) for path in watched}):
        for images, labels in batches:
            examples += len(labels)
            # A sum, not a mean: each example's gradient is then its own, whatever else is in its batch.
            loss = F.cross_entropy(model(images).float(), labels, reduction="sum")
            loss.backward()
            for name in list(effects):
                # Absolute for each example: a signed sum over a batch cancels (Molchanov et al., Eq. 8).
                sums[name] = sums[name] + effects.pop(name).abs().double().sum(0)
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
    sums = {name: 0.0 for name in structure.convolutions(model, pool)}

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
    with _as_it_was(model, {module: watch(name) for name, module in structure.convolutions(model, pool).items()}):
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
            for name, convolution in structure.convolutions(model, pool).items()}


def random_scores(model: nn.Module, pool: int, generator: torch.Generator) -> Scores:
    """{layer: uniform random scores}: an ablation of the criterion."""
    return {name: torch.rand(convolution.out_channels, generator=generator, dtype=torch.double)
            for name, convolution in structure.convolutions(model, pool).items()}


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

    What depends on them goes too, as Torch-Pruning traces it: batch norm with its running statistics, the inputs of
    following layers, depthwise convolutions, and all filters that additions tie to them. The new model equals the old
    one with those channels zeroed after batch norm and ReLU, of a stream after every sum. Raises InputError (a
    ValueError) for an unknown layer or filter and when a layer would be emptied.
    """
    layers = structure.every_convolution(model)
    for name, indices in removed.items():
        if name not in layers:
            raise InputError(f"There is no convolution {name!r} in the network.")
        _check(name, layers[name].out_channels, {int(index) for index in indices})
    smaller = copy.deepcopy(model).requires_grad_()
    with torch.enable_grad():  # the graph is read off the gradients' functions
        # Any size that the network takes will do: dependencies do not hang on it.
        image = torch.zeros(1, 3, 32, 32, device=next(model.parameters()).device)
        graph = torch_pruning.DependencyGraph().build_dependency(smaller, image)
    for name, indices in removed.items():
        chosen = sorted({int(index) for index in indices})
        if chosen:
            graph.get_pruning_group(
                smaller.get_submodule(name), torch_pruning.prune_conv_out_channels, chosen).prune()
    # Mode and flags as they were, which tracing changes.
    for (_, module), (_, before) in zip(smaller.named_modules(), model.named_modules(), strict=True):
        module.training = before.training
    for name, parameter in smaller.named_parameters():
        parameter.requires_grad_(model.get_parameter(name).requires_grad)
        parameter.grad = None
    return smaller


def _check(name, filters, removed):
    if not removed <= set(range(filters)):
        raise InputError(f"Layer {name!r} has filters 0 to {filters - 1} only.")
    if len(removed) == filters:
        raise InputError(f"Layer {name!r} would be emptied.")
