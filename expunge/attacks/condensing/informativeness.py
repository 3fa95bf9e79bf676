"""How much examples teach: the accuracy of networks that are trained on nothing else."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.condensing.condensed import Condensed
from expunge.attacks.condensing.embeddings import fresh, network_for
from expunge.attacks.condensing.material import rows_by_class
from expunge.ensembles.device import chosen_device, exact_arithmetic, resident
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import minibatch_count, train
from expunge.errors import BadSetting
from expunge.jobs import one_thread
from expunge.suites.recipe import Recipe
from expunge.suites.suite import Examples, Suite

STEPS = 300  # that networks are trained for on few examples, unless the recipe takes more
AT_ONCE = 256  # test examples


def informativeness(
    suite: Suite,
    condensed: Condensed | Sequence[Condensed],
    models: int,
    networks: Sequence[str] | None = None,
    *,
    seed: int = 0,
) -> dict[str, tuple[Float[ndarray, " models"], Float[ndarray, " models"]]]:
    """Test accuracies of ``models`` networks of each name: trained on condensed data alone, and on real data alone.

    The real ones get as many records of each class, drawn anew for every model. Of several condensed sets each model
    has one, in turn. ``networks`` are names of NETWORKS, by default the suite's own beside one that it is not.
    """
    sets = [condensed] if isinstance(condensed, Condensed) else list(condensed)
    other = "convnet" if suite.data.train.x.ndim == 4 else "perceptron"
    taught = [sets[model % len(sets)].examples for model in range(models)]
    real = [suite.data.train.take(rows) for rows in _drawn(suite, sets[0].config.images, models, seed)]
    return {
        name: (
            trained_alone(suite, taught, name, models, seed),
            trained_alone(suite, real, name, models, seed),
        )
        for name in networks or ("suite", other)
    }


def trained_alone(
    suite: Suite,
    examples: Examples | Sequence[Examples],
    network: str,
    models: int,
    seed: int = 0,
    *,
    passes: int | None = None,
) -> Float[ndarray, " models"]:
    """Test accuracy, a share, of ``models`` networks trained on these examples alone; higher is more informative.

    ``examples`` are those of all models, or a list with as many of each model. The recipe is the suite's, without
    augmentation and pruning, with ``passes`` over the examples: by default as many as make 300 steps, or the recipe's
    own where they are more. ``network`` is a name of NETWORKS.
    """
    sets = [examples] * models if isinstance(examples, Examples) else list(examples)
    if models < 1 or len(sets) != models or len({len(each) for each in sets}) != 1:
        sizes = [len(each) for each in sets]
        raise BadSetting(f"expected as many examples for each of {models} models, at least one, got {sizes}")
    device = chosen_device()
    joined = Examples(torch.cat([each.x for each in sets]), torch.cat([each.y for each in sets]))
    rows = torch.arange(len(joined)).unflatten(0, (models, -1))
    seeds = [seed_of(suite.digest, "trained alone", network, seed, model) for model in range(models)]
    with one_thread():
        ensemble = fresh(suite, network_for(suite, network), seeds, joined.x.dtype).to(device)
        recipe = _recipe(suite.recipe, rows.shape[1], passes)
        train(ensemble, joined, rows, recipe, Generators(seeds, device), target=suite.target)
        return _accuracy(ensemble, suite)


def _recipe(recipe: Recipe, examples: int, passes: int | None) -> Recipe:
    least = math.ceil(STEPS / minibatch_count(examples, recipe.batch_size))
    epochs = max(recipe.epochs, least) if passes is None else passes
    return replace(recipe, epochs=epochs, augment="none", prune="", rewind=None)


@torch.no_grad()
def _accuracy(ensemble: Ensemble, suite: Suite) -> Float[ndarray, " models"]:
    test = resident(suite.data.test, ensemble.device)
    with exact_arithmetic():
        parts = [
            suite.target.correct(ensemble(x), y)
            for x, y in zip(test.x.split(AT_ONCE), test.y.split(AT_ONCE), strict=True)
        ]
    correct: Tensor = torch.cat(parts, dim=1)
    found: ndarray = correct.double().mean(1).cpu().numpy()
    return found


def _drawn(suite: Suite, images: int, models: int, seed: int) -> list[Int[ndarray, " rows"]]:
    """Training records, ``images`` of each class, drawn anew for every model."""
    classes = rows_by_class(suite, np.arange(len(suite.data.train)))
    chances = [np.random.default_rng(seed_of(suite.digest, "real examples", seed, model)) for model in range(models)]
    return [np.concatenate([rng.choice(rows, images, replace=False) for rows in classes]) for rng in chances]
