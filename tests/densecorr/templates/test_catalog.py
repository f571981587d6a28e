import numpy as np
import pytest

from densecorr.errors import MeshError
from densecorr.templates.catalog import catalog_names, load_catalog_mesh, load_catalog_shape
from densecorr.templates.checks import check_mesh
from densecorr.templates.posable import PosableShape


@pytest.mark.parametrize("name", catalog_names())
def test_every_name_is_a_closed_posable_mesh_in_metres(name: str) -> None:
    V, F = load_catalog_mesh(name)
    assert (V.dtype, F.dtype) == (np.float64, np.int64)
    report = check_mesh(V, F, "m")
    assert report.is_usable, str(report)
    assert report.is_closed
    assert 0.3 < report.size[1] < 3.0  # height
    assert isinstance(load_catalog_shape(name), PosableShape)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(MeshError, match="body, quadruped"):
        load_catalog_mesh("dragon")
