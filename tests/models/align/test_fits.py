"""Maps between spaces whose relation is known, and the judgement between them."""

from __future__ import annotations

import numpy as np
import pytest

from models.align.alignment import METHODS, align
from models.align.linear_fits import Ridge, procrustes
from models.align.recall import neighbours, own_first, recall
from models.align.residual_fit import closeness, residual
from models.engine.types import Vectors
from models.errors import ArtifactError
from models.graph.space_map import SpaceMap, of_tensors, unit


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def inputs(count: int, dimensions: int, seed: int = 0) -> Vectors:
    """Vectors around a few dozen topics, as those of texts are."""
    made = generator(seed)
    topics = made.standard_normal((40, dimensions))
    return unit(topics[made.integers(0, 40, count)] + 0.7 * made.standard_normal((count, dimensions)))


def rotation(rows: int, columns: int) -> Vectors:
    """Orthonormal rows or columns, whichever are fewer."""
    left, _, right = np.linalg.svd(generator(9).standard_normal((rows, columns)), full_matrices=False)
    turned: Vectors = (left @ right).astype(np.float32)
    return turned


@pytest.mark.parametrize(("k", "m"), [(24, 24), (16, 32)], ids=["of equal dimensions", "into more dimensions"])
def test_a_rotation_is_found_exactly(k: int, m: int) -> None:
    new = inputs(400, k)
    old = unit(new @ rotation(k, m))
    found = procrustes(new[:200], old[:200])
    np.testing.assert_allclose(found(new[200:]), old[200:], atol=1e-5)


def test_a_rotation_into_fewer_dimensions_has_orthonormal_columns() -> None:
    new = inputs(400, 32)
    weight = procrustes(new, unit(new @ rotation(32, 12))).weight
    np.testing.assert_allclose(weight.T @ weight, np.eye(12), atol=1e-5)


def test_an_affine_map_is_found_where_a_rotation_is_not_enough() -> None:
    new = inputs(1200, 16)
    made = generator(2)
    old = unit(new @ made.standard_normal((16, 20)) + made.standard_normal(20))
    pairs, others = (new[:600], old[:600]), (new[600:], old[600:])
    assert closeness(Ridge(*pairs).affine(1e-3), *others) > 0.98 > closeness(procrustes(*pairs), *others)


def test_a_stronger_penalty_makes_a_smaller_weight() -> None:
    fits = Ridge(inputs(300, 16), inputs(300, 16, 1))
    sizes = [np.linalg.norm(fits.affine(strength).weight) for strength in (1e-6, 0.1, 10.0, 1e6)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1e-3


def test_a_low_rank_map_has_that_rank_and_loses_nothing_where_the_truth_has_it() -> None:
    new = inputs(800, 24)
    made = generator(3)
    old = unit(new @ made.standard_normal((24, 5)) @ made.standard_normal((5, 18)))
    fits = Ridge(new[:400], old[:400])
    low, full = fits.low_rank(1e-3, 5), fits.affine(1e-3)
    assert np.linalg.matrix_rank(low.weight, tol=1e-4) == 5
    assert closeness(low, new[400:], old[400:]) > closeness(full, new[400:], old[400:]) - 1e-3


def test_directions_without_variance_do_no_harm() -> None:
    new = inputs(300, 16)
    new[:, 8:] = 0
    assert np.isfinite(Ridge(new, inputs(300, 16, 1)).affine(0.0).weight).all()


def test_the_network_is_better_where_the_truth_is_bent() -> None:
    new = inputs(3000, 12)
    made = generator(4)
    old = unit(np.abs(new @ made.standard_normal((12, 16))) - 0.4)
    start = Ridge(new[:2000], old[:2000]).affine(1e-3)
    found = residual(start, (new[:2000], old[:2000]), (new[2000:2500], old[2000:2500]), seed=0)
    assert closeness(found, new[2500:], old[2500:]) > closeness(start, new[2500:], old[2500:]) + 0.05


def test_the_network_is_taken_only_where_it_finds_more() -> None:
    new = inputs(2400, 12)
    made = generator(4)
    assert align(new, unit(np.abs(new @ made.standard_normal((12, 16))) - 0.4)).method == "residual"
    assert align(new, unit(new @ rotation(12, 12) + 0.02 * made.standard_normal((2400, 12)))).method != "residual"


def test_the_report_has_every_method_on_inputs_that_none_was_fitted_to() -> None:
    new = inputs(1000, 16)
    old = unit(new @ rotation(16, 16) + 0.05 * generator(5).standard_normal((1000, 16)))
    found = align(new, old)
    assert (found.fitted, found.held_out, found.queries) == (500, 500, 500)
    assert [row.name for row in found.rows] == ["no map", *METHODS, "full re-embedding"]
    by_name = {row.name: row for row in found.rows}
    assert by_name["no map"].old.mean < 0.1
    assert by_name["procrustes"].old.mean > 0.6
    assert by_name["procrustes"].first.mean > 0.9
    assert by_name["full re-embedding"].first.mean == 1
    assert by_name["full re-embedding"].again is None
    assert found.chosen.name == found.method


def test_without_a_relation_no_map_finds_anything() -> None:
    found = align(inputs(1000, 16), unit(generator(8).standard_normal((1000, 24))))
    assert [row.name for row in found.rows] == [
        *METHODS,
        "full re-embedding",
    ]  # unequal dimensions: there is no "no map"
    assert found.chosen.old.mean < 0.06


def test_a_method_that_is_asked_for_is_taken() -> None:
    assert align(inputs(300, 8), inputs(300, 8, 1), method="low-rank").method == "low-rank"


def test_too_few_inputs_are_refused() -> None:
    with pytest.raises(ArtifactError, match="199 different inputs; 200 are the least"):
        align(inputs(199, 8), inputs(199, 8))


def test_the_same_sample_gives_the_same_map() -> None:
    new, old = inputs(300, 8), inputs(300, 8, 1)
    first, second = align(new, old), align(new, old)
    assert first.method == second.method
    np.testing.assert_allclose(first.mapping.weight, second.mapping.weight, atol=1e-6)


def test_neighbours_are_those_of_a_full_sort_without_the_query_itself() -> None:
    index = inputs(700, 8)
    queries = np.arange(0, 700, 2)
    scores = index[queries] @ index.T
    scores[np.arange(350), queries] = -np.inf
    expected = np.argsort(-scores, axis=1)[:, :10]
    found = neighbours(index[queries], index, queries)
    assert recall(found, expected).min() == 1
    assert own_first(index[queries], index, queries).min() == 1
    assert recall(found, (found + 1) % 700).max() < 1


def test_numbers_that_are_no_map_are_refused_by_name() -> None:
    good = SpaceMap(rotation(4, 4), np.zeros(4, np.float32)).tensors()
    assert of_tensors(good, "m").inputs == 4
    for broken in (
        {"weight": good["weight"]},
        {**good, "more": good["bias"]},
        {**good, "bias": np.zeros(3, np.float32)},
        {**good, "weight": np.full((4, 4), np.nan, np.float32)},
    ):
        with pytest.raises(ArtifactError, match=r"m\.safetensors"):
            of_tensors(broken, "m.safetensors")
