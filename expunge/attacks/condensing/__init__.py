"""Condensed training data: few pictures that teach a network as much as many records."""
