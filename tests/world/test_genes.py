"""Inheritance: two alleles a gene, children between their parents."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.world import genes
from vultus.world.genes import GENES, MUTATION_SD, Genes


def couple(seed: int) -> tuple[Genes, Genes]:
    rng = np.random.default_rng(seed)
    return genes.founder(rng, "male", 35), genes.founder(rng, "female", 33)


def test_a_child_has_one_allele_of_each_parent() -> None:
    father, mother = couple(0)
    child = genes.child_of(father, mother, np.random.default_rng(1), "female", 8)
    for row, parent in enumerate((father, mother)):
        mutation = np.abs(child.alleles[row] - parent.alleles).min(axis=0)
        assert mutation.max() < 5 * MUTATION_SD
        assert mutation.mean() < MUTATION_SD
    assert child.sex == "female"
    assert child.age == 8


def test_both_alleles_of_a_parent_are_passed_on() -> None:
    father, mother = couple(2)
    rng = np.random.default_rng(3)
    children = [genes.child_of(father, mother, rng, "male", 20) for _ in range(200)]
    given = np.stack([c.alleles[0] for c in children])
    first = (np.abs(given - father.alleles[0]) < np.abs(given - father.alleles[1])).mean(axis=0)
    apart = np.abs(father.alleles[0] - father.alleles[1]) > 6 * MUTATION_SD
    assert np.abs(first[apart] - 0.5).max() < 0.15


def test_children_resemble_their_parents_as_theory_says() -> None:
    """Additive genes: child and mid-parent correlate by 1 / sqrt(2), child and stranger by 0 (within an ancestry)."""
    rng = np.random.default_rng(4)
    plain = [
        Genes(rng.standard_normal((2, len(GENES))).astype(np.float32), sex, 30.0, "short", 0)
        for sex in ("male", "female") * 150
    ]
    parents = list(zip(plain[::2], plain[1::2], strict=True))
    children = np.stack([genes.child_of(f, m, rng, "male", 20).traits() for f, m in parents])
    middle = np.stack([(f.traits() + m.traits()) / 2 for f, m in parents])

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    assert correlation(children, middle) == pytest.approx(1 / np.sqrt(2), abs=0.03)
    assert abs(correlation(children, np.roll(middle, 1, axis=0))) < 0.03


def test_family_faces_are_nearer_than_strangers() -> None:
    from vultus.world import head

    points = head.topology().landmark_vertices

    def face(person: Genes) -> np.ndarray:
        grown = Genes(person.alleles, "female", 30.0, "short", 0)  # the same age, sex and chance for everyone
        return head.person_shape(grown).vertices[points]

    related, strangers = [], []
    for seed in range(12):
        father, mother = couple(seed)
        child = face(genes.child_of(father, mother, np.random.default_rng(seed), "female", 12))
        other = face(couple(seed + 100)[0])
        related += [np.linalg.norm(child - face(p), axis=1).mean() for p in (father, mother)]
        strangers += [np.linalg.norm(other - face(p), axis=1).mean() for p in (father, mother)]
    assert np.mean(related) < 0.85 * np.mean(strangers)


def test_traits_are_sums_over_root_two() -> None:
    father, _ = couple(5)
    np.testing.assert_allclose(father.traits(), father.alleles.sum(axis=0) / np.sqrt(2), rtol=1e-6)
    assert father.trait("nose_width") == pytest.approx(float(father.traits()[GENES.index("nose_width")]), rel=1e-6)
    assert 0 < father.share("freckles") < 1
    with pytest.raises(KeyError):
        father.trait("tail_length")


def test_founders_are_diverse() -> None:
    rng = np.random.default_rng(6)
    people = [genes.founder(rng, "female", 30) for _ in range(300)]
    spread = np.stack([p.traits() for p in people]).std(axis=0)
    assert spread.min() > 0.6
    assert spread.max() < 1.8
    melanin = np.array([genes.appearance(p).melanin for p in people])
    assert melanin.min() < 0.15
    assert melanin.max() > 0.6
    assert ((melanin > 0.3) & (melanin < 0.6)).mean() > 0.15


def test_appearance_follows_age_and_sex() -> None:
    father, mother = couple(7)

    def at(person: Genes, sex: genes.Sex, age: float) -> genes.Appearance:
        return genes.appearance(Genes(person.alleles, sex, age, "short", 1))

    assert at(father, "male", 80).wrinkles > at(father, "male", 45).wrinkles > at(father, "male", 20).wrinkles == 0
    assert at(father, "male", 20).hair_grey == 0 < at(father, "male", 80).hair_grey
    assert at(mother, "female", 30).beard == 0 == at(father, "male", 8).beard < at(father, "male", 30).beard
    looks = at(mother, "female", 30)
    for name in ("melanin", "redness", "freckles", "oil", "wrinkles", "eye_melanin", "hair_melanin", "hair_grey"):
        assert 0 <= getattr(looks, name) <= 1, name


def test_only_men_go_bald() -> None:
    rng = np.random.default_rng(8)
    styles = {sex: {genes.founder(rng, sex, 70).hair_style for _ in range(60)} for sex in ("male", "female")}
    assert "bald" in styles["male"]
    assert "bald" not in styles["female"]
    assert len(styles["female"]) >= 4


def test_same_stream_same_person() -> None:
    a, b = (genes.founder(np.random.default_rng(9), "male", 40) for _ in range(2))
    np.testing.assert_array_equal(a.alleles, b.alleles)
    assert (a.hair_style, a.seed) == (b.hair_style, b.seed)


def test_wrong_values_are_refused() -> None:
    alleles = np.zeros((2, len(GENES)), np.float32)
    with pytest.raises(ValueError, match="alleles"):
        Genes(alleles[:1], "male", 30, "short", 0)
    with pytest.raises(ValueError, match="age"):
        Genes(alleles, "male", -1, "short", 0)
    with pytest.raises(ValueError, match="sex"):
        Genes(alleles, "neither", 30, "short", 0)  # type: ignore[arg-type]
