"""Users' weights: learnt from choices, kept, handed out, deleted."""
