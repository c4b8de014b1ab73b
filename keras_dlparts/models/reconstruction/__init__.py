"""Models that give back their input."""
