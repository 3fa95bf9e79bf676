"""Pages on proofs of unlearning."""
