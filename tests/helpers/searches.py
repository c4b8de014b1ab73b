"""A small config with a search space, whose trials train in a moment."""

CONFIG = {
    "data": {"use": "spirals", "samples": 60},
    "model": [
        {
            "search": "one_of",
            "of": [
                {"use": "Dense", "units": {"search": "int", "min": 2, "max": 9}},
                {
                    "use": "RandomDropout",
                    "rate": {"search": "float", "min": 0.0, "max": 0.5},
                },
            ],
        },
        {"use": "Dense", "units": 2},
    ],
    "optimizer": {
        "use": "Adam",
        "learning_rate": {
            "search": "float",
            "min": 1e-4,
            "max": 1e-1,
            "scale": "log",
            "default": 1e-3,
        },
    },
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "fit": {"epochs": 2},
    # Two steps an epoch: tracing would take longer than training.
    "compile": {"run_eagerly": True},
}
