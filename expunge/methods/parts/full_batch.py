"""Gradient descent on all the data: the steps that theorems on descent speak of, with a constant rate, nothing else."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.train import minibatch_count
from expunge.methods.parts.noisy_steps import move
from expunge.methods.parts.objective import decay_of, objective_gradient
from expunge.methods.parts.walks import recipe_loss
from expunge.suites.recipe import Recipe
from expunge.suites.suite import Split


def retained_gradient(student: Ensemble, split: Split) -> Float[Tensor, "models d"]:
    """Of ``mean loss + decay / 2 ||w||^2`` of what is kept, by the recipe's loss and decay, in evaluation mode."""
    return objective_gradient(student.eval(), split.retain, recipe_loss(split), decay_of(student, split))


def descend_fully(
    student: Ensemble, split: Split, *, lr: float, steps: int, after: Callable[[int], None] = lambda step: None
) -> Ensemble:
    """``steps`` of ``w <- w - lr gradient`` in place; ``after`` is told how many were taken, after each."""
    for step in range(1, steps + 1):
        move(student, -lr * retained_gradient(student, split).double())
        after(step)
    return student


def steps_of_recipe(recipe: Recipe, examples: int) -> int:
    """As many steps as a training by the recipe takes."""
    return recipe.epochs * minibatch_count(examples, recipe.batch_size)
