"""What an autoencoder shows of itself in a run's report."""


def figures(model, run):
    return {}
