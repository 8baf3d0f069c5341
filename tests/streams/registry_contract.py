"""What every registry keeps to; one subclass per adapter."""

import json

import pytest

from domain.errors import NotFound, Unavailable
from schemas import catalogue
from schemas.outcome import Outcome
from streams.registry import Registry, record_subjects, register_all

LONG = json.dumps({"type": "record", "name": "Note", "fields": [{"name": "x", "type": "long"}]})
TEXT = json.dumps({"type": "record", "name": "Note", "fields": [{"name": "x", "type": "string"}]})


class RegistryContract:
    """Subclasses give `registry`, empty, over the topics that it was made for."""

    def test_what_is_registered_first_is_version_1(self, registry: Registry) -> None:
        (one,) = registry.register({"a": LONG})
        assert (one.subject, one.version) == ("a", 1)
        assert registry.version("a", "latest") == registry.version("a", 1) == one
        assert registry.schema(one.id) == LONG
        assert list(registry.subjects()) == ["a"]

    def test_what_is_registered_again_is_not_new(self, registry: Registry) -> None:
        registry.register({"a": LONG})
        assert list(registry.register({"a": LONG})) == []
        assert list(registry.versions("a")) == [1]

    def test_an_older_schema_is_still_found_below_a_newer(self, registry: Registry) -> None:
        (old,) = registry.register({"a": LONG})
        (new,) = registry.register({"a": '"string"'})
        assert registry.version("a", "latest") == new
        assert registry.find("a", LONG) == old
        assert list(registry.versions("a")) == [1, 2]

    def test_what_is_not_there_is_none_or_not_found(self, registry: Registry) -> None:
        registry.register({"a": LONG})
        assert registry.schema(99) is None
        assert registry.find("a", TEXT) is None
        assert registry.find("b", LONG) is None
        assert list(registry.versions("b")) == []
        with pytest.raises(NotFound, match="has no version latest"):
            registry.version("b", "latest")
        with pytest.raises(NotFound, match="has no version 2"):
            registry.version("a", 2)

    def test_every_record_of_the_catalogue_gets_an_id(self, registry: Registry) -> None:
        with pytest.raises(Unavailable, match="not registered"):
            registry.codec()
        assert register_all(registry, registry.topics) == list(record_subjects(registry.topics))
        assert registry.ids().keys() == catalogue.records().keys()
        answer = Outcome("p1", (1, 2), "pipeline/0@7", "", "")
        assert registry.codec().decode(registry.codec().encode(answer)) == answer
        assert register_all(registry, registry.topics) == []
