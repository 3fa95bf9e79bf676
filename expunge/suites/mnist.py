"""``mnist``: handwritten digits, 28 x 28 pixels, and a LeNet."""

from functools import lru_cache, partial

from expunge.suites.data import Data, Examples
from expunge.suites.derived import with_derived
from expunge.suites.fashion_mnist import ARCHITECTURE
from expunge.suites.formats import read_parquet
from expunge.suites.networks import lenet
from expunge.suites.pictures import derived_forget_sets, examples, picture_sets, random_sets
from expunge.suites.recipe import Recipe
from expunge.suites.sources import IDX, FileSet, Source, read_source
from expunge.suites.suite import ForgetSets, Suite

SOURCE = Source(
    name="mnist",
    sizes=(60_000, 10_000),
    shape=(1, 28, 28),
    classes=10,
    layouts=(IDX,),
    repo="ylecun/mnist",
    revision="77f3279092a1c1579b2250db8eafed0ad422088c",
    hub=FileSet(
        (
            (
                "mnist/train-00000-of-00001.parquet",
                "sha256:f2c01285a9f89399335b00ee4e8d499dc4e46db5e39c74903ce5618d895eb3bf",
            ),
            (
                "mnist/test-00000-of-00001.parquet",
                "sha256:d49fcf556ce25b002b302e318ce4a11098bbfe5d4499c3f35d7c72297c52374b",
            ),
        ),
        partial(read_parquet, image="image", label="label"),
    ),
    advice="train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz, packed or unpacked, into $EXPUNGE_DATA/mnist, or let the hub be reached",
    idx=(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


@lru_cache(maxsize=1)  # the jobs of one process share the examples
def load_all() -> tuple[Examples, Examples]:
    """60,000 training and 10,000 test examples."""
    return examples(read_source(SOURCE))


def mnist() -> Suite:
    """All 60,000 training examples."""
    data = Data.deferred(load_all, SOURCE.sizes, SOURCE.classes, " ".join(SOURCE.idx))
    made = picture_sets(data, whole=(3, "the digit 3"), part=(1, "digit 1"))
    return with_derived(
        Suite(
            name="mnist",
            version=1,
            data=data,
            network=lenet,
            architecture=ARCHITECTURE,
            recipe=Recipe(epochs=8, batch_size=256, lr=0.2),
            forget_sets=ForgetSets.of(*random_sets(SOURCE.sizes[0], 100, 1000), *made),
            derive=partial(derived_forget_sets, size=100),
            models=200,
            subsets=1000,
            chunk=10,
            images=(28, 28),
        )
    )
