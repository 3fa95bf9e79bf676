"""Audits: what is left, what a proof is worth."""
