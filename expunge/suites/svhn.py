"""``svhn``: house numbers seen from the street, 32 x 32 colour pixels, and a small convolutional network."""

from functools import lru_cache, partial

from expunge.suites.data import Data, Examples
from expunge.suites.derived import with_derived
from expunge.suites.formats import read_parquet, read_svhn
from expunge.suites.networks import small_vgg
from expunge.suites.pictures import derived_forget_sets, examples, picture_sets, random_sets
from expunge.suites.recipe import Recipe
from expunge.suites.sources import FileSet, Source, read_source
from expunge.suites.suite import ForgetSets, Suite

SOURCE = Source(
    name="svhn",
    sizes=(73_257, 26_032),
    shape=(3, 32, 32),
    classes=10,
    layouts=(
        FileSet(
            (
                ("train_32x32.mat", "sha256:435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
                ("test_32x32.mat", "sha256:cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
            ),
            read_svhn,
        ),
    ),
    repo="ufldl-stanford/svhn",
    revision="f9e1717d73324ebbc1ece84267ccd80d0aca0690",
    hub=FileSet(
        (
            ("cropped_digits/train-00000-of-00001.parquet", ""),
            ("cropped_digits/test-00000-of-00001.parquet", ""),
        ),
        partial(read_parquet, image="image", label="label"),
    ),
    advice="train_32x32.mat and test_32x32.mat into $EXPUNGE_DATA/svhn, or let the hub be reached",
)


@lru_cache(maxsize=1)  # the jobs of one process share the examples
def load_all() -> tuple[Examples, Examples]:
    """73,257 training and 26,032 test examples."""
    return examples(read_source(SOURCE))


def svhn() -> Suite:
    """The cropped digits, without the 531,131 extra ones."""
    data = Data.deferred(load_all, SOURCE.sizes, SOURCE.classes, SOURCE.content)
    made = picture_sets(data, whole=(3, "the digit 3"), part=(1, "digit 1"))
    return with_derived(
        Suite(
            name="svhn",
            version=1,
            data=data,
            network=small_vgg,
            architecture="3 x (3x3 convolution, BatchNorm, 2x2 max-pool, ReLU), linear",
            recipe=Recipe(epochs=10, batch_size=256, lr=0.2),
            forget_sets=ForgetSets.of(*random_sets(SOURCE.sizes[0], 100, 1000), *made),
            derive=partial(derived_forget_sets, size=100),
            models=200,
            subsets=1000,
            chunk=10,
            images=(32, 32),
        )
    )
