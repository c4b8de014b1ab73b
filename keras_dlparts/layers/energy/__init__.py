"""Machines defined by an energy: restricted Boltzmann machines."""
