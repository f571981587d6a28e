"""Reference meshes by name, and lists of images."""

import json
from pathlib import Path

import pytest

from densecorr.datasets import densepose
from densecorr.datasets.image_lists import images_in_list, is_listed
from densecorr.datasets.reference_meshes import (
    REFERENCE_MESHES,
    VERTEX_COUNTS,
    check_reference_mesh,
    reference_mesh_of,
)
from densecorr.errors import AnnotationError, DatasetNotFoundError, MeshError


def test_the_eleven_meshes_say_their_count_in_their_name() -> None:
    assert len(REFERENCE_MESHES) == 11
    assert all(
        name == mesh.name == f"{name.split('_')[0]}_{mesh.n_vertices}"
        for name, mesh in REFERENCE_MESHES.items()
    )
    assert densepose.VERTEX_COUNTS is VERTEX_COUNTS
    assert len({mesh.category for mesh in REFERENCE_MESHES.values()}) == 11


def test_a_category_has_its_mesh() -> None:
    found = reference_mesh_of("cow")
    assert found is not None
    assert found.name == "cow_5002"
    assert reference_mesh_of("unicorn") is None


def test_a_mesh_that_goes_by_a_reference_name_must_have_its_vertices() -> None:
    assert check_reference_mesh("cow_5002", 5002) is REFERENCE_MESHES["cow_5002"]
    assert check_reference_mesh("cow-v1", 12) is None
    with pytest.raises(
        MeshError, match=r"5002 vertices in cow_5002; received 4999\. Labels of cow_5002 fit only"
    ):
        check_reference_mesh("cow_5002", 4999)


def test_every_form_of_an_image_list(tmp_path: Path) -> None:
    forms = {
        "a.txt": "# minival\n785\nval2014/COCO_val2014_000000000012.jpg  # the second\n\n",
        "b.json": json.dumps([785, "COCO_val2014_000000000012.jpg"]),
        "c.json": json.dumps({"images": [{"id": 785.0}, {"id": "COCO_val2014_000000000012.jpg"}]}),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        names = images_in_list(tmp_path / name)
        assert names == {"785", "COCO_val2014_000000000012.jpg"}
        assert is_listed(names, "785", "x.jpg")
        assert is_listed(names, "12", "val2014/COCO_val2014_000000000012.jpg")
        assert not is_listed(names, "7", "785.jpg")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n# nothing\n", "a list that names images; received none"),
        ("[1, 2", "a list of images in JSON"),
        ('{"a": 1}', "a JSON list, or an object with `images`"),
        ("[1.5]", r"image ids or file names; received 1\.5"),
        ('{"images": [{"file": 1}]}', "image ids or file names; received None"),
    ],
)
def test_bad_lists_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(AnnotationError, match=said):
        images_in_list(tmp_path / "list")


def test_an_absent_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="a list of images"):
        images_in_list(tmp_path / "none.txt")
