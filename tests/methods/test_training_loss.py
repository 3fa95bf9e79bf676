"""What methods walk down, and take gradients of, is the loss that the models were trained on, smoothing included."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles.optimizers import Descent
from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.methods.parts.curvature import weight_decay
from expunge.methods.parts.walks import training_loss
from expunge.methods.zoo.boundary_shrink import BoundaryShrink, nearest_others
from expunge.methods.zoo.msg import _gradients
from expunge.methods.zoo.salun import salient_weights
from expunge.methods.zoo.unsir import Unsir, error_maximising
from expunge.suites import Examples, Recipe, Split
from tests.ensembles.plain import CLASSES, convolutional, ensemble_of, random_examples
from tests.methods.cases import ALONE, CASES

SMOOTH = Recipe(epochs=2, batch_size=32, lr=0.05, label_smoothing=0.2)


@pytest.fixture
def smooth() -> Split:
    torch.manual_seed(0)
    data = random_examples(190, torch.float32)
    retain, forget = Examples(data.x[:150], data.y[:150]), Examples(data.x[150:], data.y[150:])
    return Split(retain, forget, CLASSES, SMOOTH, convolutional)


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_labels_are_smoothed_as_in_training(name: str, smooth: Split) -> None:
    torch.manual_seed(0)
    ensemble, method = ensemble_of([convolutional() for _ in range(2)]), METHODS[name]
    ensemble.sample_shape = tuple(smooth.retain.x.shape[1:])

    def outcome(split: Split) -> Tensor:
        assert method.unlearn
        *_, after = method.unlearn(ensemble, split, method.config(), Generators([0, 1]))
        return torch.cat([each.double().flatten() for each in after.state().values()])

    hard = replace(smooth, recipe=replace(SMOOTH, label_smoothing=0.0))
    assert torch.equal(outcome(smooth), outcome(hard)) != CASES[name].smoothed


def test_weights_are_salient_by_the_loss_of_training(smooth: Split) -> None:
    ensemble = ensemble_of([convolutional() for _ in range(2)])
    masks = salient_weights(ensemble.copy(), smooth, 0.3, 64)
    for row, model in enumerate(ensemble):
        model.eval()
        F.cross_entropy(model(smooth.forget.x), smooth.forget.y, label_smoothing=0.2).backward()
        slopes = {key: each.grad.abs() for key, each in model.named_parameters() if each.grad is not None}
        least = min(float(slopes[key][mask[row]].min()) for key, mask in masks.items() if mask[row].any())
        most = max(float(slopes[key][~mask[row]].max()) for key, mask in masks.items() if (~mask[row]).any())
        assert least > most * (1 - 1e-4)


@pytest.mark.parametrize("what", ["msg", "unsir", "boundary-shrink"])
def test_what_is_measured_before_the_walk_is_of_the_loss_of_training(what: str, smooth: Split) -> None:
    """The gradients that choose weights, inputs and classes are those that ``label_smoothing`` of torch gives."""
    torch.manual_seed(1)
    ensemble, rng = ensemble_of([convolutional()]).eval(), Generators([0])
    (model,), forget = ensemble, smooth.forget
    model.eval()
    if what == "msg":
        some = Generators([0]).permutation(len(smooth.retain))[0, : len(forget)]
        for (key, found), kernel in zip(_gradients(ensemble, smooth, 7, rng).items(), kernels(model), strict=True):
            plus = F.cross_entropy(model(smooth.retain.x[some]), smooth.retain.y[some], label_smoothing=0.2)
            minus = F.cross_entropy(model(forget.x), forget.y, label_smoothing=0.2)
            torch.testing.assert_close(found[0], torch.autograd.grad(plus - minus, kernel)[0], msg=key)
    elif what == "unsir":
        start, labels = error_maximising(ensemble, smooth, Unsir(noise=3, noise_steps=0), Generators([0]))
        noise, _ = error_maximising(ensemble, smooth, Unsir(noise=3, noise_steps=1, noise_lr=0.5, lam=0.0), rng)
        inputs = start[0].clone().requires_grad_()
        error = 3 * F.cross_entropy(model(inputs), labels[0], label_smoothing=0.2)
        torch.testing.assert_close(noise[0], start[0] + 0.5 * torch.autograd.grad(error, inputs)[0])
    else:  # of models that are surer than smoothed labels, so that the slope turns
        for layer in (*ensemble.network.modules(), *model.modules()):
            if isinstance(layer, nn.Linear):
                layer.weight.data *= 30
        forget = Examples(forget.x, model(forget.x).argmax(1))
        smooth = replace(smooth, forget=forget)
        found = nearest_others(ensemble, smooth, BoundaryShrink(bound=3.0))[0]
        inputs = forget.x.clone().requires_grad_()
        slope = torch.autograd.grad(F.cross_entropy(model(inputs), forget.y, label_smoothing=0.2), inputs)[0]
        logits = model(forget.x + 3.0 * slope.sign()).scatter(1, forget.y[:, None], -torch.inf)
        assert torch.equal(found, logits.argmax(1))


def kernels(model: nn.Module) -> list[Tensor]:
    return [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def test_training_loss_is_that_of_torch_with_smoothed_labels(smooth: Split) -> None:
    ensemble = ensemble_of([convolutional() for _ in range(2)]).eval()
    x, y = smooth.retain.x[:30], smooth.retain.y[:30]
    found = training_loss(smooth)(ensemble, (x.expand(2, *x.shape), y.expand(2, -1)))
    for row, model in enumerate(ensemble):
        torch.testing.assert_close(found[row], F.cross_entropy(model.eval()(x), y, label_smoothing=0.2))


def test_a_regulariser_that_spares_norms_has_no_curvature_there() -> None:
    """The weights that a step of training decays, one by one, are those that closed forms take to be decayed."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.normal_(layer.bias)
    ensemble = ensemble_of([network])
    for decay_norm in (True, False):
        student = ensemble.copy()
        recipe = replace(SMOOTH, weight_decay=0.01, decay_norm=decay_norm)
        optimizer = Descent(student, lr=1.0, momentum=0.0, weight_decay=0.01, decay_norm=decay_norm)
        for parameter in student.parameters():
            parameter.grad = torch.zeros_like(parameter)
        before = torch.cat([each.detach().flatten() for each in student.parameters()])
        optimizer.step()
        after = torch.cat([each.detach().flatten() for each in student.parameters()])
        torch.testing.assert_close(before - after, weight_decay(ensemble, recipe) * before)
