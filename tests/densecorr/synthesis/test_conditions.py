import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densecorr.errors import SettingsError
from densecorr.rendering.rasterize import Fragments
from densecorr.synthesis import Subject, Viewpoints
from densecorr.synthesis.conditions import Blend, blend_depths, check_blend, inverse_depth
from densecorr.synthesis.viewpoints import image_rng, sample_view


def view_of(subject: Subject, size: int = 48) -> Fragments:
    return subject.scene.fragments(sample_view(subject.V, Viewpoints(), size, image_rng(0, 0)).camera)


def test_near_is_bright_and_nothing_is_infinitely_far(lopsided: Subject) -> None:
    fragments = view_of(lopsided)
    inverse, hit = inverse_depth(fragments), fragments.face >= 0
    assert np.allclose(inverse[hit] * fragments.depth[hit], 1)
    assert (inverse[~hit] == 0).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(1e-3, 1e3),
    relief=st.floats(0.1, 0.8),
    gap=st.floats(0.02, 0.15),
)
def test_both_keep_their_order_and_the_background_lies_behind(
    lopsided: Subject, seed: int, scale: float, relief: float, gap: float
) -> None:
    fragments = view_of(lopsided)
    background = (scale * np.random.default_rng(seed).normal(size=(48, 48))).astype(np.float32)
    made = blend_depths(fragments, background, Blend(relief, gap))
    inside = made.silhouette
    assert (made.depth >= 0).all()
    assert (made.depth <= 1).all()
    assert made.depth.max() == 1
    by_depth = np.argsort(fragments.depth[inside], kind="stable")
    assert (np.diff(made.depth[inside][by_depth]) <= 0).all()
    assert made.depth[inside].min() == pytest.approx(1 - relief, abs=1e-6)
    order = np.argsort(background, axis=None)
    assert (np.diff(made.background.ravel()[order]) >= 0).all()
    assert made.background.max() <= made.depth[inside].min() - gap + 1e-6  # hidden pixels included
    assert (made.depth == made.background)[~inside].all()


def test_flat_depths_are_allowed(globe: Subject) -> None:
    fragments = view_of(globe)
    flat = Fragments(
        fragments.face, fragments.bary, np.where(fragments.face >= 0, 2.0, np.inf).astype(np.float32)
    )
    made = blend_depths(flat, np.zeros((48, 48), dtype=np.float32), Blend())
    assert set(np.unique(made.depth)) == {np.float32(1 - 0.6 - 0.05), np.float32(1)}


@pytest.mark.parametrize("blend", [Blend(0.0, 0.1), Blend(0.9, 0.1), Blend(0.5, 0.0), Blend(0.5, -0.1)])
def test_shares_that_leave_nothing_are_refused(blend: Blend) -> None:
    with pytest.raises(SettingsError, match="relief"):
        check_blend(blend)
