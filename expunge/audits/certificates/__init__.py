"""Certificates of unlearning: what may be claimed, what is known to be false, and what a sequence of requests costs."""
