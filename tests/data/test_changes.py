"""`transform` and `binarize`: what is drawn for a batch, and that it repeats."""

import keras
import numpy as np
import pytest

from keras_dlparts.data import Source, Spec, Splits
from keras_dlparts.data.batches import JoinedBatches
from keras_dlparts.distribute.shares import Share

kl = keras.layers
X = np.random.default_rng(0).random((20, 6, 6, 1), "float32")
Y = np.eye(4, dtype="float32")[np.arange(20) % 4]


class Given(Source):
    def __init__(self, train=(X, Y), test=None, **arguments):
        super().__init__(**arguments)
        self.given = Splits(train, test=test)

    def load(self):
        return self.given


def given(transform=None, **arguments):
    fixed = {"batch_size": 8, "validation_split": 0.2, "seed": 3}
    return Given(**fixed | {"transform": transform} | arguments)


def read(batches, epoch):
    batches.epoch = epoch
    return [tuple(map(np.array, batch)) for batch in batches]


def equal(ours, theirs):
    return all(
        np.array_equal(a, b)
        for one, other in zip(ours, theirs, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def layers():
    return [
        kl.RandomFlip("horizontal"),
        [kl.ZeroPadding2D(1), kl.RandomCrop(6, 6)],
        kl.RandomRotation(0.2),
        kl.Dropout(0.5),
        kl.GaussianNoise(0.1),
        kl.MixUp(),
    ]


# MixUp asks for int64, which JAX has not.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype")


@pytest.mark.parametrize("layer", layers(), ids=lambda layer: type(layer).__name__)
def test_an_epoch_repeats_in_a_source_of_the_same_seed(layer):
    one = given(layer)
    first, second = read(one.train, 1), read(one.train, 2)
    assert equal(first, read(one.train, 1))
    several = layer if isinstance(layer, list) else [layer]
    again = given([type(each).from_config(each.get_config()) for each in several])
    assert equal(second, read(again.train, 2))
    assert not equal(first, second)
    other = given(layer, shuffle=False)
    assert not equal(read(other.train, 1), read(other.train, 2))


def test_other_splits_are_left_as_they_are():
    source = given([kl.Dropout(0.5), kl.RandomFlip()], test=(X, Y))
    assert source.element_spec[0] == Spec((6, 6, 1), "float32")
    for batches in (source.validation, source.test, source.train.still()):
        for epoch in (0, 1):
            got = np.concatenate([x for x, _ in read(batches, epoch)])
            np.testing.assert_array_equal(got, X[batches.rows])
    x, y = source.train.arrays()  # in the data's order, nothing drawn
    np.testing.assert_array_equal(x, X[source.train.rows])
    np.testing.assert_array_equal(y, Y[source.train.rows])


def test_parts_of_a_batch_are_cut_from_the_whole():
    """So replicas and workers see what one device would, and long calls too."""
    train = given(kl.RandomFlip()).train
    batches = read(train, 5)
    train.epoch = 5
    parts = [Share(train, 2, range(r, r + 1)) for r in (0, 1)]
    for i, batch in enumerate(batches):
        both = [part[i] for part in parts]
        assert equal([batch], [tuple(map(np.concatenate, zip(*both, strict=True)))])
    joined = JoinedBatches(train, 2)[0]
    first = tuple(map(np.concatenate, zip(*batches, strict=True)))
    assert equal([joined], [first])
    assert [len(a) for a in JoinedBatches(train, 2)[1]] == [0, 0]
    assert equal([train.samples(np.array([9, 0]))], [[a[[9, 0]] for a in first]])


def test_a_tf_data_pass_is_the_same():
    pytest.importorskip("tensorflow")
    train = given(kl.RandomFlip()).train
    train.epoch = 2
    got = [*train.to_tf_data().as_numpy_iterator()]
    assert equal(got, read(train, 2))


def test_targets_go_along():
    x = Y @ np.arange(4, dtype="float32")
    x = np.broadcast_to(x[:, None, None, None], X.shape).copy()
    for a, b in read(given(kl.MixUp(), train=(x, Y)).train, 0):
        np.testing.assert_allclose(a[:, 0, 0, 0], b @ np.arange(4), rtol=1e-5)
    flips = [kl.Pipeline([kl.RandomFlip(), kl.Rescaling(1.0)])]
    for source in (given(flips, train=(X, X.copy())), given(flips, targets="inputs")):
        for a, b in read(source.train, 0):
            np.testing.assert_array_equal(a, b)
        assert not equal(read(source.train, 0), [*source.train.still()])


def test_whole_numbers_stay_so():
    y = np.arange(20)
    source = given(kl.RandomFlip(), train=(X, y))
    assert source.element_spec[1] == Spec((), "int64")
    assert read(source.train, 0)[0][1].dtype == "int64"
    images = (X * 255).astype("uint8")
    flipped = given(kl.RandomFlip(), train=(images, y)).train
    for x, y in read(flipped, 0):
        assert x.dtype == "uint8"
        np.testing.assert_array_equal(x.sum((1, 2)), images[y].sum((1, 2)))


@pytest.mark.parametrize("more", [{}, {"targets": "inputs"}])
@pytest.mark.parametrize("binarize", ["once", "anew"])
def test_weights_of_samples_stay_theirs(binarize, more):
    sample_weight = np.arange(20)
    arguments = {"train": (X, Y, sample_weight), "binarize": binarize} | more
    source = given(kl.RandomFlip(), **arguments)
    seen = []
    for batches in (source.train, source.validation):
        weights = [w for _, _, w in read(batches, 0)]
        seen += np.concatenate(weights).tolist()
        joined = JoinedBatches(batches, 2)[0]
        np.testing.assert_array_equal(joined[2], np.concatenate(weights[:2]))
    assert sorted(seen) == sample_weight.tolist()


class Unseeded(kl.Layer):
    def call(self, x):
        return x + float(np.random.default_rng().random())


class Halved(kl.Layer):
    def call(self, x):
        return x[: len(x) // 2]


class WiderInTraining(kl.Layer):
    def call(self, x, training=False):
        return keras.ops.concatenate([x, x], 1) if training else x


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"transform": "RandomFlip"}, TypeError, "must be a layer or a list of layers"),
        ({"transform": [kl.Rescaling(1.0), 3]}, TypeError, "must be a layer"),
        ({"transform": kl.Dense(3)}, ValueError, "nothing to learn.*Dense of 6 weig"),
        ({"transform": kl.Normalization()}, ValueError, "has to learn from the data"),
        ({"transform": Halved()}, ValueError, r"of the samples.*\(1, 6, 6, 1\)"),
        ({"transform": kl.RandomCrop(4, 4)}, ValueError, r"makes \(2, 4, 4, 1\)"),
        ({"transform": kl.Rescaling(2.0)}, ValueError, "training data only.*Rescal"),
        ({"transform": Unseeded()}, ValueError, "so that a run repeats"),
        ({"transform": WiderInTraining()}, ValueError, r"makes \(2, 12, 6, 1\)"),
        (
            {"transform": kl.MixUp(), "train": (X, Y.astype("float64")[:, 1])},
            ValueError,
            r"dtype of the targets.*MixUp, which makes \(2, 2\).*one-hot",
        ),
        (
            {"transform": kl.RandomFlip(), "train": (X[:, 0, 0], Y)},
            ValueError,
            "RandomFlip, which raises: Expected image tensor to have rank 3",
        ),
        (
            {"transform": kl.Rescaling(1.0), "train": ({"a": X, "b": X}, Y)},
            ValueError,
            "`transform` needs data with one input.*a, b",
        ),
        ({"binarize": "always"}, ValueError, "`binarize` must be one of 'once'"),
        ({"binarize": "once", "train": (X + 1, Y)}, ValueError, r"in \[0, 1\]. Rec"),
        ({"binarize": "anew", "train": (X - 1, Y)}, ValueError, r"in \[0, 1\]. Rec"),
    ],
)
def test_bad_changes(arguments, error, message):
    with pytest.raises(error, match=message):
        _ = given(**arguments).train[0]


def test_binarized_once():
    source = given(binarize="once", test=(X, Y))
    x, y = source.train.arrays()
    assert {*np.unique(x)} == {0, 1}
    assert source.element_spec[0] == Spec((6, 6, 1), "float32")
    assert equal([given(binarize="once", batch_size=3).train.arrays()], [(x, y)])
    assert {*np.unique(source.test.arrays()[0])} == {0, 1}
    assert not np.array_equal(source.test.arrays()[0][source.train.rows], x)


def test_binarized_anew():
    big = np.broadcast_to(np.linspace(0, 1, 5, dtype="float32"), (4000, 5))
    source = given(
        binarize="anew", train=(big, None), batch_size=4000, validation_split=0.5
    )
    (first,), (second,) = read(source.train, 0) + read(source.train, 1)
    assert {*np.unique(first)} == {0, 1}
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(first.mean(0), big[0], atol=4 * 0.5 / 2000**0.5)
    assert equal(read(source.validation, 0), read(source.validation, 1))
    assert {*np.unique(source.validation.arrays()[0])} == {0, 1}
    # An autoencoder's targets are the same draw.
    both = given(binarize="anew", targets="inputs")
    for a, b in read(both.train, 2) + read(both.validation, 0):
        np.testing.assert_array_equal(a, b)
