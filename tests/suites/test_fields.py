"""Fields of a suite and of its parts that are something else than they should be: one line that names the field."""

import json
import re
import subprocess
import sys

import pytest

SETTING = """
import json, sys
import numpy as np
from torch import nn
from expunge.errors import UserError
from expunge.suites import *
from expunge.suites.target import Classification

x, y = np.random.default_rng(0).random((12, 4)), np.arange(12) % 3
data = data_from_arrays(x, y, x, y)
recipe = Recipe(epochs=1, batch_size=4, lr=0.1)

def suite(**given):
    fields = dict(name="u", version=1, data=data, network=lambda: nn.Linear(4, 3), recipe=recipe, models=4, chunk=2)
    return Suite(**(fields | dict(forget_sets={"few": [1, 2]}) | given))

def of(epochs=1, **given):
    return Recipe(epochs=epochs, batch_size=4, lr=0.1, **given)

def said(tried):
    try:
        eval(tried)
    except UserError as error:
        return str(error)
    return "nothing"

print(json.dumps([said(each) for each in json.load(sys.stdin)]))
"""

SAID = {
    "suite()": "^nothing$",
    "suite(version=np.int64(2), models=np.int32(6))": "^nothing$",
    "suite(data=(1, 2))": "suite 'u': expected data to be Data, as data_from_arrays.*got tuple",
    "suite(data=None)": "expected data to be Data.*got None",
    "suite(recipe={})": r"suite 'u': expected recipe to be a Recipe, such as Recipe\(epochs=30.*got dict",
    "suite(recipe=Recipe)": "expected recipe to be a Recipe.*got the class Recipe",
    "suite(name=3)": "suite: expected name to be a word, such as 'flowers', got 3",
    "suite(name=' ')": "expected name to be a word",
    "suite(network='Net')": "expected network to be the class or a function that makes one.*got 'Net'",
    "suite(network=nn.Linear(4, 3))": "expected network to be the class or a function that makes one.*got Linear",
    "suite(forget_sets=[1, 2])": "expected forget sets by name.*got list",
    "suite(version='1')": "expected version to be a whole number, got '1'",
    "suite(models='4')": "expected models to be a whole number, got '4'",
    "suite(models=True)": "expected models to be a whole number, got True",
    "suite(subsets=None)": "expected subsets to be a whole number, got None",
    "suite(chunk=2.5)": "expected chunk to be a whole number, got 2.5",
    "suite(derive=3)": r"expected derive to be a function \(margins, masks\)",
    "suite(images=8)": r"expected images to be \(height, width\)",
    "suite(architecture=None)": "expected architecture to be a name, got None",
    "of(epochs='3')": "recipe: expected epochs to be a whole number of at least 1, got '3'",
    "of(epochs=True)": "recipe: expected epochs to be a whole number of at least 1, got True",
    "of(rewind='a')": "recipe: expected rewind to be a whole number, or None, got 'a'",
    "of(prune=3)": "recipe: expected prune to be a word, got 3",
    "of(decay_norm='no')": "recipe: expected decay_norm to be True or False, got 'no'",
    "Data(data.train, data.test, 'x')": "expected classes to be how many there are, a whole number, got 'x'",
    "Data(data.train, data.test, 2.5)": "expected classes to be how many there are, a whole number, got 2.5",
    "Data(data.train, data.test, 3, target='class')": "expected a target, such as CLASSIFICATION, got 'class'",
    "Data(data.train, data.test, 3, target=Classification)": r"expected a target.*make one of it: target\(\)",
    "Data(data.train, data.test, 3, names=5)": "expected names of 3 classes, in a list, got 5",
    "Data(data.train, data.test, 3, names='abc')": "expected names of 3 classes, in a list, got 'abc'",
    "data_from_csv(3, label=0)": "expected the path of a file or folder, got int",
    "data_from_folder(None)": "expected the path of a file or folder, got NoneType",
    "data_from_npz(b'x')": "expected the path of a file or folder, got bytes",
    "from_file(3, 10)": "expected the path of a file or folder, got int",
}


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """In a process of its own, for in this one annotations are checked before any line of expunge is reached."""
    done = subprocess.run(
        [sys.executable, "-c", SETTING], input=json.dumps(list(SAID)), capture_output=True, text=True, check=True
    )
    return dict(zip(SAID, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("tried", SAID)
def test_what_is_no_such_field_is_one_line(tried: str, said: dict[str, str]) -> None:
    assert re.search(SAID[tried], said[tried])
    assert "\n" not in said[tried]
