"""A small shop: a catalogue, carts, orders, and the statements that customers get."""
