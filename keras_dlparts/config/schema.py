"""The sections of a config. Parts are checked against their own signatures.

The text below a key says what it is: editors show it, see `json_schema.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from keras_dlparts import distribute

Part = Any  # checked by `parts.py`
# Keys of a config are text, and Keras needs the numbers of classes.
ClassWeight = dict[
    Annotated[int, BeforeValidator(lambda k: int(k) if str(k).isdigit() else k)], float
]


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Compile(Section):
    """What `Model.compile` takes besides optimizer, loss and metrics."""

    jit_compile: bool | Literal["auto"] = "auto"
    """Whether XLA compiles the step; `auto`: where the backend can."""
    run_eagerly: bool = False
    """Whether each operation runs by itself, for debugging."""
    steps_per_execution: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """How many batches one call trains on; `auto`: the training measures how many
    are worth while."""


class Distribute(Section):
    """Which devices share each batch. The other keys are the strategy's options."""

    model_config = ConfigDict(extra="allow", strict=True)
    use: Literal[distribute.NAMES] = "none"
    """The strategy; `auto`: by what the machine has."""
    remainder: Literal["drop", "error"] = "drop"
    """What becomes of a batch that the replicas cannot share evenly."""
    scale_learning_rate: bool = False
    """Whether the learning rate is multiplied by the number of replicas."""

    def options(self):
        return dict(self.model_extra)


def _used(value):
    """A bare name, as a section."""
    return {"use": value} if isinstance(value, str) else value


class Fit(Section):
    """How long and on what `Model.fit` trains."""

    epochs: int = Field(10, ge=1)
    """How often the training data is gone through."""
    class_weight: ClassWeight | None = None
    """A factor of the loss for each class, as `{0: 1.0, 1: 5.0}`."""
    validation_freq: int = Field(1, ge=1)
    """Validation takes place each so many epochs."""
    checkpoint_every: int | None = Field(None, ge=1)
    """How many steps lie between two checkpoints. None: one at the end of each
    epoch."""

    def arguments(self):
        """Those that `Model.fit` itself takes."""
        return self.model_dump(exclude={"checkpoint_every"})


class Pretrain(Section):
    """Learning layer by layer before `fit`, of a model that has a `pretrain` (DBN, DBM,
    Autoencoder). The other keys are options of that method."""

    model_config = ConfigDict(extra="allow", strict=True)
    epochs: int = Field(0, ge=0)
    """Of each layer; 0: no pre-training."""
    samples: Literal["all"] | None = None
    """all: also those training samples that `data.samples` leaves out."""


class Best(Section):
    """Which epoch is kept as best.keras."""

    monitor: str | None = None
    """A column of the history. None: `val_loss`, or `loss` without validation data."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether less or more of it is better; `auto`: by its name."""


class Search(Section):
    """How `dlparts search` looks for the best values of what is searched."""

    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = "random"
    """How the next trial's values are chosen."""
    trials: int | None = Field(None, ge=1)
    """How many trials there are at most."""
    objective: str = Field("val_loss", min_length=1)
    """The column of the history by which trials are compared."""
    direction: Literal["auto", "min", "max"] = "auto"
    """Whether less or more of the objective is better; `auto`: by its name."""
    seed: int | None = Field(None, ge=0, lt=2**31)
    """Of the choices. None: the config's seed."""
    workers: int = Field(1, ge=0, le=1000)
    """How many processes train at once; 0, if only others do, which join by
    `--listen`."""
    isolate: bool = False
    """Whether each trial has a process of its own."""
    retries: int = Field(1, ge=0)
    """How often a trial that failed is tried again."""
    median_rule: bool = False
    """Whether a trial ends early that is worse than the median of the others."""
    grace_epochs: int = Field(2, ge=1)
    """With `median_rule`: no trial ends before so many epochs."""
    startup_trials: int = Field(5, ge=1)
    """With `median_rule`: so many trials are always trained to the end."""
    factor: int = Field(3, ge=2)
    """Of hyperband: one of so many trials goes on to the next round."""


class Config(Section):
    """A whole config."""

    dlparts: Literal[1] = 1
    """The version of the config language."""
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")
    """Names the run. None: the file's name."""
    data: Part | None = None
    """The source of the data that the model is trained and tested on."""
    model: Any
    """Layers in order, or one model by its name."""
    optimizer: Part = "Adam"
    """What changes the weights, by the gradients."""
    loss: Part | None = None
    """What is made small."""
    metrics: list[Part] = []
    """What else is measured."""
    callbacks: list[Part] = []
    """What takes part in the training."""
    compile: Compile = Compile()
    distribute: Annotated[Distribute, BeforeValidator(_used)] = Distribute()
    pretrain: Pretrain = Pretrain()
    fit: Fit = Fit()
    best: Best = Best()
    search: Search = Search()
    seed: int = Field(0, ge=0, lt=2**32)
    """Seeds everything that is drawn at random."""
    deterministic: bool = True
    """Whether operations repeat bit by bit, which is slower on a GPU."""
    dtype_policy: Literal[
        "float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"
    ] = "float32"
    """In what numbers layers compute and keep their weights."""
    backend: Literal["tensorflow", "jax", "torch"] | None = None
    """What computes. A run of a resolved config warns on another backend."""
    versions: dict[str, str] = {}
    """Of a resolved config: what it ran on. A run on other versions warns."""
