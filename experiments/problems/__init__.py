"""Real problems, each solved beside an honest baseline."""
