import numpy as np
import pytest

from densecorr.errors import EmptyInstanceError
from densecorr.pseudolabels.choose import Variant, choose_variant, variants
from densecorr.pseudolabels.zero_shot import ZeroShotSettings

LINE = np.abs(np.subtract.outer(np.arange(4.0), np.arange(4.0))).astype(np.float32).__getitem__
FRONT = ((-10.0, 10.0),)


def rows(front: np.ndarray, back: np.ndarray) -> list[list[float]]:
    return np.concatenate([front, back], axis=1).tolist()


def good() -> np.ndarray:
    """Each cell is like its own vertex."""
    return np.where(np.eye(4) > 0, 0.9, 0.1)


def attractor() -> np.ndarray:
    """Every cell is most like vertex 0, the last one most of all."""
    out = np.full((4, 4), 0.1)
    out[:, 0] = [0.99, 0.991, 0.992, 0.993]
    return out


def test_a_view_that_draws_all_cells_to_one_vertex_is_left_out_by_the_azimuths(
    plain_views, make_scores
) -> None:
    views = plain_views(2, 4, [0.0, 180.0])
    settings = ZeroShotSettings(pooling="auto", azimuths=FRONT)
    scored = [make_scores(rows(good(), attractor()), views) for _ in range(3)]
    variant, errors = choose_variant(scored, LINE, 3.0, settings)
    assert variant == Variant("max", FRONT)
    assert errors["max, azimuths of the data"] == 0.0
    assert all(errors[f"{pooling}, all views"] > 0.1 for pooling in ("max", "mean", "best"))
    assert len(errors) == 6


def test_the_best_view_wins_when_a_few_cells_stray_to_another(plain_views, make_scores) -> None:
    views = plain_views(2, 4, [0.0, 180.0])
    back = np.full((4, 4), 0.0)
    back[0, 3], back[1, 3] = 0.99, 0.995  # two cells prefer vertex 3 of the back view
    variant, errors = choose_variant(
        [make_scores(rows(good(), back), views)], LINE, 3.0, ZeroShotSettings(pooling="auto")
    )
    assert variant == Variant("best", ())
    assert errors["best, all views"] == 0.0
    # cells 0 and 3 go to vertex 3 and come back to cell 1: 4 and 8 of 16 crop pixels, two points of four
    assert errors["max, all views"] == pytest.approx((4 + 8) / 16 / 4, abs=1e-5)


def test_errors_are_shares_of_the_crop_whatever_the_image_s_size(plain_views, make_scores) -> None:
    views = plain_views(2, 4, [0.0, 180.0])
    similarity, settings = rows(good(), attractor()), ZeroShotSettings(pooling="auto")
    answers = [
        choose_variant([make_scores(similarity, views, scale)], LINE, 3.0, settings) for scale in (0.25, 4.0)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("azimuths", [(), FRONT])
def test_among_equals_the_simplest_pooling_comes_first(plain_views, make_scores, azimuths) -> None:
    views = plain_views(2, 4, [0.0, 180.0])
    settings = ZeroShotSettings(pooling="auto", azimuths=azimuths)
    variant, _ = choose_variant([make_scores(rows(good(), good()), views)], LINE, 3.0, settings)
    assert variant == Variant("max", azimuths)


def test_azimuths_that_are_given_are_kept_even_if_all_views_come_back_closer(
    plain_views, make_scores
) -> None:
    views = plain_views(2, 4, [0.0, 180.0])
    settings = ZeroShotSettings(pooling="auto", azimuths=FRONT)
    shy = 0.5 * attractor()
    variant, errors = choose_variant([make_scores(rows(shy, good()), views)], LINE, 3.0, settings)
    assert errors["max, all views"] == 0.0
    assert errors["max, azimuths of the data"] > 0.1
    assert variant.azimuths == FRONT


def test_variants_double_when_there_are_azimuths() -> None:
    assert [v.pooling for v in variants(())] == ["max", "mean", "best"]
    assert [v.azimuths for v in variants(FRONT)] == [()] * 3 + [FRONT] * 3


def test_no_instance_is_an_error() -> None:
    with pytest.raises(EmptyInstanceError, match="silhouette"):
        choose_variant([], LINE, 3.0, ZeroShotSettings(pooling="auto"))
