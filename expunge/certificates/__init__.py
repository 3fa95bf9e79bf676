"""Certificates of unlearning: what theorems let one claim, a claim checked again, what a sequence of requests costs."""
