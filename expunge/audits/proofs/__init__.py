"""Proofs of unlearning: recorded by who trains, replayed by who doubts, and how they are circumvented."""
