"""The page that explains itself: one HTML file, drawn without a network."""
