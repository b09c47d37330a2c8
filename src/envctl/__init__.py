"""One namespace per checkout inside shared servers."""

__version__ = "0.1.0"
