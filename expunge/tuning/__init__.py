"""Which settings suit a suite: searched on models, forget sets and oracles that no bench scores."""
