"""Layers of nets that give back their input: codes, ties, unpooling, corruption."""
