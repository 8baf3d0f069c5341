"""What the layout promises and no type checker sees; the layers themselves are `.importlinter`'s."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata

import pytest

from tests.source_tree import PACKAGES, ROOT, source

ROOM_FOR = {"security"}
"""Packages whose name is kept and whose code comes later."""


def imported(module: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, those inside functions included."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


@cache
def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after `statement`."""
    script = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_every_package_is_known_here() -> None:
    there = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {
        "tests",
        "benchmarks",
        "tools",
    }
    assert there - ROOM_FOR == set(PACKAGES) - ROOM_FOR


def test_no_installed_distribution_owns_one_of_our_names() -> None:
    """`openai-agents`, for one, imports as `agents` and would be taken for ours, or ours for it."""
    owners = metadata.packages_distributions()
    foreign = {
        name: [owner for owner in owners[name] if owner != "flexcore"]
        for name in PACKAGES
        if name in owners
    }
    assert {name: by for name, by in foreign.items() if by} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_shadows_the_standard_library(package: str) -> None:
    assert package not in sys.stdlib_module_names


def test_the_domain_imports_the_standard_library_only() -> None:
    foreign = [
        f"{path}:{line} imports {name}"
        for path, module in source("domain")
        for line, name in imported(module)
        if name.partition(".")[0] not in sys.stdlib_module_names | {"domain"}
    ]
    assert foreign == []


def test_the_domain_loads_nothing_else_either() -> None:
    ours = loaded_by("import domain.contexts") - loaded_by("pass")
    known = sys.stdlib_module_names | {"domain"}
    foreign = {name for name in ours if name.partition(".")[0] not in known}
    # How Python was built, where zoneinfo looks for its database; named by the machine.
    assert {name for name in foreign if not name.startswith("_sysconfigdata")} == set()


def test_imports_say_in_full_where_they_come_from() -> None:
    relative = [
        f"{path}:{line}"
        for path, module in source(*PACKAGES)
        for line, name in imported(module)
        if name.startswith(".")
    ]
    assert relative == []


def test_nothing_reads_bytes_that_could_run_code() -> None:
    """Records, blobs and files come from anybody."""
    running = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    found = [
        f"{path}:{line} imports {name}"
        for path, module in source(*PACKAGES)
        for line, name in imported(module)
        if name.partition(".")[0] in running
    ]
    assert found == []


def test_yaml_is_loaded_safely_only() -> None:
    unsafe = {"load", "load_all", "unsafe_load", "full_load"}
    found = [
        f"{path}:{node.lineno}"
        for path, module in source(*PACKAGES)
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute)
        and node.attr in unsafe
        and isinstance(node.value, ast.Name)
        and node.value.id == "yaml"
    ]
    assert found == []


def calls(module: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module) if isinstance(node, ast.Call))


def test_faust_decodes_nothing() -> None:
    """Its JSON may name the class that is made of it; ours come through untouched."""
    places = [
        (f"{path}:{call.lineno}", {keyword.arg for keyword in call.keywords})
        for path, module in source("agents", "projections", "streams", "services")
        for call in calls(module)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("topic", "Table", "GlobalTable", "channel")
        and ast.unparse(call.func.value) in ("app", "self.app")
    ]
    assert len(places) >= 3
    assert [place for place, given in places if "schema" not in given] == []


def test_no_record_says_of_which_class_it_is() -> None:
    settings = {"allow_blessed_key", "key_serializer", "value_serializer", "serializer"}
    found = [
        f"{path}:{call.lineno} sets {keyword.arg}"
        for path, module in source(*PACKAGES)
        for call in calls(module)
        for keyword in call.keywords
        if keyword.arg in settings
    ]
    assert found == []


def test_faust_has_no_codec_that_could_run_code() -> None:
    script = "import streams.faust_host; from faust.serializers.codecs import codecs"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; print(*codecs)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == {"json", "binary", "raw"}


SERVICES = "import services.api, services.worker, services.projector, streams.topics_admin"


def test_no_service_process_loads_the_built_in_steps() -> None:
    """Steps run in child processes; what they import stays there."""
    loaded = loaded_by(SERVICES)
    assert {name for name in loaded if name.startswith("plugins.builtin.")} == set()


def test_the_external_registrys_client_is_loaded_only_where_one_is_set() -> None:
    """It takes more than a second."""
    assert {"authlib", "confluent_kafka.schema_registry"} & loaded_by(SERVICES) == set()


def test_a_worker_loads_no_database_driver() -> None:
    """It has no database, and its start is what a takeover waits for."""
    loaded = {name.partition(".")[0] for name in loaded_by("import services.worker")}
    assert loaded & {"psycopg", "alembic", "sqlalchemy"} == set()


def test_the_command_line_starts_without_kafka_faust_and_the_web() -> None:
    """Help is shown at once, not after everything was loaded that some command may need."""
    heavy = {"confluent_kafka", "aiokafka", "faust", "fastapi", "psycopg", "alembic", "fastavro"}
    loaded = {name.partition(".")[0] for name in loaded_by("import services.cli")}
    assert loaded & heavy == set()
