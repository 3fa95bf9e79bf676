"""A claim (epsilon, delta) is tried: which event tells two arms of models apart, its counts, and the verdict."""
