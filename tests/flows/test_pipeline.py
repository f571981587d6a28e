"""Pipeline files: categories, references, templates, and every mistake named."""

import textwrap
from pathlib import Path

import pytest
import toys

from densecorr.errors import SettingsError
from flows.pipeline import Pipeline, RunSettings, read_pipeline, with_ids

WHOLE = """
    [templates]
    cow = "cow.obj"
    dog = { mesh = "dog.obj", unit = "cm" }

    [stages.total]
    command = "toys:TOTAL"
    counts = "@count"

    [stages.count]
    command = "toys:COUNT"
    words = "@words"
    settings.letter = "b"

    [stages.words]
    command = "toys:WORDS"
    text = "text.txt"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cow.obj", "dog.obj", "text.txt"):
        (tmp_path / name).write_text(f"{name} a b")
    return tmp_path


def read(folder: Path, text: str) -> Pipeline:
    path = folder / "pipeline.toml"
    path.write_text(textwrap.dedent(text))
    return read_pipeline(path)


def commands(pipeline: Pipeline) -> dict[str, object]:
    return {node.key: node.command for node in pipeline.nodes}


def mistake(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    return str(caught.value)


def test_a_stage_that_needs_a_category_runs_once_for_each(folder: Path) -> None:
    pipeline = read(folder, WHOLE)
    assert commands(pipeline) == {
        "words": toys.Words(str(folder / "text.txt")),
        "count[cow]": toys.Count("cow", "@words", str(folder / "cow.obj"), toys.CountSettings("b", "m")),
        "count[dog]": toys.Count("dog", "@words", str(folder / "dog.obj"), toys.CountSettings("b", "cm")),
        "total": toys.Total(("@count[cow]", "@count[dog]")),
    }
    assert pipeline.settings == RunSettings()


def test_every_stage_comes_after_those_it_needs(folder: Path) -> None:
    done: set[str] = set()
    for node in read(folder, WHOLE).nodes:
        assert done.issuperset(node.needs)
        done.add(node.key)


def test_inside_a_category_a_reference_means_the_same_category(folder: Path) -> None:
    chained = (
        WHOLE
        + """
    [stages.again]
    command = "toys:COUNT"
    words = "@count"

    [stages.of_dog]
    command = "toys:COUNT"
    category = "dog"
    words = "@count"

    [stages.chosen]
    command = "toys:TOTAL"
    counts = ["@count[dog]"]
    """
    )
    found = commands(read(folder, chained))
    assert found["again[cow]"].words == "@count[cow]"
    assert found["again[dog]"].words == "@count[dog]"
    assert found["of_dog"].words == "@count[dog]"
    assert found["of_dog"].mesh == str(folder / "dog.obj")
    assert found["chosen"].counts == ("@count[dog]",)


def test_a_stage_that_sets_its_own_mesh_keeps_it(folder: Path) -> None:
    own = WHOLE.replace('settings.letter = "b"', 'mesh = "text.txt"')
    found = commands(read(folder, own))
    assert {found[f"count[{name}]"].mesh for name in ("cow", "dog")} == {str(folder / "text.txt")}


def test_what_a_stage_sets_wins_over_the_template(folder: Path) -> None:
    found = commands(read(folder, WHOLE.replace('settings.letter = "b"', 'settings.unit = "mm"')))
    assert {found[f"count[{name}]"].settings.unit for name in ("cow", "dog")} == {"mm"}


def test_ids_take_the_place_of_references(folder: Path) -> None:
    nodes = {node.key: node for node in read(folder, WHOLE).nodes}
    ids = {"words": "1" * 20, "count[cow]": "2" * 20, "count[dog]": "3" * 20}
    assert with_ids(nodes["total"], ids).counts == ("2" * 20, "3" * 20)
    assert with_ids(nodes["count[cow]"], ids).words == "1" * 20
    assert with_ids(nodes["words"], ids) == nodes["words"].command


def test_a_path_inside_another_stages_artifact(folder: Path) -> None:
    inside = (
        WHOLE
        + """
    [stages.again]
    command = "toys:WORDS"
    text = "@words/words.txt"
    """
    )
    node = next(node for node in read(folder, inside).nodes if node.key == "again")
    assert node.needs == ("words",)
    assert with_ids(node, {"words": "1" * 20}).text == "1" * 20 + "/words.txt"


@pytest.mark.parametrize(
    ("wrong", "right", "named", "hint"),
    [
        ("settings.leter", "settings.letter", "stages.count.settings.leter", "Did you mean 'letter'?"),
        ("wrods = ", "words = ", "stages.count.wrods", "Did you mean 'words'?"),
        ("@wrods", "@words", "'@wrods' at 'stages.count.words'", "Did you mean 'words'?"),
        ("unti = ", "unit = ", "templates.dog.unti", "Did you mean 'unit'?"),
        ("[template]", "[templates]", "'template'", "Did you mean 'templates'?"),
        ('letter = 3', 'letter = "b"', "stages.count.settings.letter", "str"),
        ('counts = "@count[hen]"', 'counts = "@count"', "@count[hen]", "cow, dog"),
        ('words = "@words[cow]"', 'words = "@words"', "@words[cow]", "does not run once for each category"),
        ('words = "@"', 'words = "@words"', "'@'", "@ingest"),
        ('words = ["@words"]', 'words = "@words"', "stages.count.words", "str"),
        ('words = 3', 'words = "@words"', "stages.count.words", "3"),
        ('command = "toys:WORD"', 'command = "toys:WORDS"', "toys:WORD", "import path"),
        ('command = "toys:write_words"', 'command = "toys:WORDS"', "function", "toys:write_words"),
        ('command = "ingset"', 'command = "toys:WORDS"', "ingset", "Did you mean 'ingest'?"),
        ('comand = "toys:WORDS"', 'command = "toys:WORDS"', "stages.words.command", "command"),
        ('"we[ird" = "cow.obj"', 'cow = "cow.obj"', "we[ird", "Rename"),
        ("cow = 3", 'cow = "cow.obj"', "templates.cow", "3"),
        ('"wo rds"]', "words]", "wo rds", "Rename"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_a_way_out(
    folder: Path, wrong: str, right: str, named: str, hint: str
) -> None:
    message = mistake(folder, WHOLE.replace(right, wrong))
    assert named in message
    assert hint in message


def test_one_artifact_cannot_be_those_of_all_categories(folder: Path) -> None:
    text = (
        WHOLE
        + """
    [stages.again]
    command = "toys:WORDS"
    text = "@count/count.txt"
    """
    )
    message = mistake(folder, text)
    assert "stages.again.text" in message
    assert "2 categories" in message
    assert "@name[category]" in message


def test_a_circle_is_refused(folder: Path) -> None:
    circle = WHOLE.replace('text = "text.txt"', 'text = "@total/total.txt"')
    message = mistake(folder, circle)
    assert all(name in message for name in ("words", "count[", "total"))


def test_files_that_are_no_pipeline(folder: Path) -> None:
    assert "densecorr init" in mistake(folder, "")
    assert "run.max_workers" in mistake(folder, "    [run]\n    max_workers = 0\n" + WHOLE)
    assert "line 2" in mistake(folder, "\nx = = 3")
    with pytest.raises(SettingsError, match="densecorr init"):
        read_pipeline(folder / "nowhere.toml")
    with pytest.raises(SettingsError, match="TOML"):
        read_pipeline(folder)


def test_categories_need_templates(folder: Path) -> None:
    text = WHOLE[WHOLE.index("[stages.total]") :]
    assert "stages.count" in mistake(folder, text)
    without = commands(read(folder, WORDS_AND_VIEWS))
    assert without["views"] == toys.View("@words")
    with_templates = commands(
        read(folder, '[templates]\ncow = "cow.obj"\n' + textwrap.dedent(WORDS_AND_VIEWS))
    )
    assert with_templates["views[cow]"] == toys.View("@words", "cow")


WORDS_AND_VIEWS = """
    [stages.words]
    command = "toys:WORDS"
    text = "text.txt"

    [stages.views]
    command = "toys:VIEW"
    words = "@words"
"""
