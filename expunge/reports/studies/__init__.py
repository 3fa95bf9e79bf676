"""Studies: questions that several benches answer together, each with the page that it writes."""
