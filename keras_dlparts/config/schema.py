"""The sections of a config. Parts are checked against their own signatures."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from keras_dlparts import distribute

Part = Any  # checked by `parts.py`
# Keys of a config are text, and Keras needs the numbers of classes.
ClassWeight = dict[
    Annotated[int, BeforeValidator(lambda k: int(k) if str(k).isdigit() else k)], float
]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Compile(Section):
    """What `Model.compile` takes besides optimizer, loss and metrics."""

    jit_compile: bool | Literal["auto"] = "auto"
    run_eagerly: bool = False
    # "auto": the training measures how many are worth while.
    steps_per_execution: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"


class Distribute(Section):
    """Which devices share each batch. The other keys are the strategy's options."""

    model_config = ConfigDict(extra="allow", strict=True)
    use: Literal[distribute.NAMES] = "none"
    # What becomes of a batch that the replicas cannot share evenly.
    remainder: Literal["drop", "error"] = "drop"
    scale_learning_rate: bool = False  # whether it is multiplied by their number

    def options(self):
        return dict(self.model_extra)


def _used(value):
    """A bare name, as a section."""
    return {"use": value} if isinstance(value, str) else value


class Fit(Section):
    """How long and on what `Model.fit` trains."""

    epochs: int = Field(10, ge=1)
    class_weight: ClassWeight | None = None
    validation_freq: int = Field(1, ge=1)
    # How many steps lie between two checkpoints. None: one at the end of each epoch.
    checkpoint_every: int | None = Field(None, ge=1)

    def arguments(self):
        """Those that `Model.fit` itself takes."""
        return self.model_dump(exclude={"checkpoint_every"})


class Pretrain(Section):
    """Greedy layer-wise learning before `fit`, of a model that offers it (DBN)."""

    epochs: int = Field(0, ge=0)  # of each layer
    learning_rate: float = Field(0.1, gt=0)
    momentum: float = Field(0.5, ge=0, lt=1)
    k: int = Field(1, ge=1)
    persistent: bool = False


class Best(Section):
    """Which epoch is kept as best.keras."""

    monitor: str | None = None
    mode: Literal["auto", "min", "max"] = "auto"


class Search(Section):
    """How `dlparts search` looks for the best values of what is searched."""

    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = "random"
    trials: int | None = Field(None, ge=1)
    objective: str = Field("val_loss", min_length=1)
    direction: Literal["auto", "min", "max"] = "auto"
    seed: int | None = Field(None, ge=0, lt=2**31)
    workers: int = Field(1, ge=0, le=1000)
    isolate: bool = False
    retries: int = Field(1, ge=0)
    median_rule: bool = False
    grace_epochs: int = Field(2, ge=1)
    startup_trials: int = Field(5, ge=1)
    factor: int = Field(3, ge=2)


class Config(Section):
    """A whole config."""

    dlparts: Literal[1] = 1
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")
    data: Part | None = None
    model: Any
    optimizer: Part = "Adam"
    loss: Part | None = None
    metrics: list[Part] = []
    callbacks: list[Part] = []
    compile: Compile = Compile()
    distribute: Annotated[Distribute, BeforeValidator(_used)] = Distribute()
    pretrain: Pretrain = Pretrain()
    fit: Fit = Fit()
    best: Best = Best()
    search: Search = Search()
    seed: int = Field(0, ge=0, lt=2**32)
    deterministic: bool = True
    dtype_policy: Literal[
        "float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"
    ] = "float32"
    # A resolved config has these two, and a run on other versions warns.
    backend: Literal["tensorflow", "jax", "torch"] | None = None
    versions: dict[str, str] = {}
