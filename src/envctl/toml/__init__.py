"""TOML into frozen dataclasses by their type hints, with the line of every key for errors."""
