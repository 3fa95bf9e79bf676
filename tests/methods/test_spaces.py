"""Where tuning looks: at settings that a method has, and around what they are by default."""

import dataclasses

import pytest

from expunge.methods import METHODS, configure
from expunge.methods.spaces import Between, Published

SEARCHED = [(name, key) for name, method in METHODS.items() for key in method.search]


@pytest.mark.parametrize(("name", "key"), SEARCHED)
def test_a_default_lies_within_its_space_and_not_at_the_end_of_a_range_that_goes_on(name: str, key: str) -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(METHODS[name].config)}
    space, default = METHODS[name].search[key], defaults[key]
    if not isinstance(space, Between):
        assert default in space.values
        return
    assert isinstance(default, int | float)
    assert space.low <= default <= space.high
    assert not space.log or space.low < default < space.high


PUBLISHED = [(name, each) for name, method in METHODS.items() for each in method.published]


@pytest.mark.parametrize(("name", "published"), PUBLISHED, ids=[f"{name}-{each.source}" for name, each in PUBLISHED])
def test_what_authors_take_is_a_setting_and_lies_where_tuning_looks(name: str, published: Published) -> None:
    method = METHODS[name]
    config = configure(name, method, published.settings)
    assert published.source
    assert published.settings
    searched = {key: getattr(config, key) for key in published.settings if key in method.search}
    assert all(value in method.search[key] for key, value in searched.items()), searched
