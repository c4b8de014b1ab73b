"""Deep models of Boltzmann machines."""
