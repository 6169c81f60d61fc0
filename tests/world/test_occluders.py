"""Occluders, lashes and hair as meshes: closed where they must be, where they belong, moving with what they sit on."""

import numpy as np
import pytest

from vultus.world.genes import founder
from vultus.world.hair import CUTS, hair_vertices
from vultus.world.head import mean_head, topology
from vultus.world.head_parts import HAIR_COLUMNS, HAIR_RINGS
from vultus.world.lashes import grow_lashes
from vultus.world.muscles import AUS, deform
from vultus.world.occluders import Prop, build_prop
from vultus.world.scene import Occluder, OccluderKind
from vultus.world.skin import Complexion
from vultus.world.strands import comb, hair_colour, paint_strands

HEAD = mean_head()
TONE, BROWN = np.array([0.6, 0.4, 0.3], np.float32), np.array([0.05, 0.03, 0.02], np.float32)


def prop(kind: OccluderKind, variant: float, aus: dict[int, float] | None = None, moment: float = 0.5) -> Prop | None:
    intensity = np.zeros(len(AUS), np.float32)
    for au, value in (aus or {}).items():
        intensity[AUS.index(au)] = value
    local = deform(HEAD, intensity)
    landmarks = local[topology().landmark_vertices].astype(float)
    face = local[slice(*topology().ranges["skin"])]
    return build_prop(Occluder(kind, 0.2, 0.8, variant), moment, landmarks, face, TONE, BROWN, 1.0)


@pytest.mark.parametrize("kind", ["glasses", "mask", "lock", "hand"])
def test_every_variant_is_a_sound_mesh(kind: OccluderKind) -> None:
    for variant in np.linspace(0, 0.99, 7):
        mesh = prop(kind, float(variant))
        assert mesh is not None
        assert np.isfinite(mesh.vertices).all()
        assert mesh.triangles.min() >= 0
        assert mesh.triangles.max() < len(mesh.vertices)
        corners = mesh.vertices[mesh.triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        assert (area > 1e-7).mean() > 0.97
        assert prop(kind, float(variant), moment=0.1) is None


def test_tubes_enclose_volume_with_their_faces_outwards() -> None:
    """The signed volume under the faces (divergence theorem) is positive only if they face outwards."""
    for kind in ("glasses", "hand", "lock"):
        mesh = prop(kind, 0.3)
        assert mesh is not None
        a, b, c = np.moveaxis(mesh.vertices[mesh.triangles].astype(float), 1, 0)
        assert (np.cross(a, b) * c).sum() / 6 > 0.5


def test_glasses_sit_before_the_eyes_and_a_mask_follows_the_jaw() -> None:
    frames = prop("glasses", 0.4)
    assert frames is not None
    eyes = HEAD.vertices[topology().landmark_vertices[36:48]]
    rims = frames.vertices[np.abs(frames.vertices[:, 0]) < 5]
    assert rims[:, 2].min() > eyes[:, 2].max() - 0.5
    assert rims[:, 1].min() < eyes[:, 1].min()
    assert rims[:, 1].max() > eyes[:, 1].max()
    closed, dropped = prop("mask", 0.0), prop("mask", 0.0, {27: 5})
    assert closed is not None
    assert dropped is not None
    assert dropped.vertices[:, 1].min() < closed.vertices[:, 1].min() - 1.0


def test_lashes_stand_on_the_lids_and_close_with_them() -> None:
    shut = np.zeros(len(AUS), np.float32)
    shut[AUS.index(43)] = 5
    opened, closed = (
        grow_lashes(deform(HEAD, au), HEAD.eye_centres, Complexion(make_up=0.5), 1.0)
        for au in (np.zeros(len(AUS), np.float32), shut)
    )
    rim = HEAD.vertices[topology().landmark_vertices[36:48]]
    roots, tips = opened.vertices[0::5], opened.vertices[4::5]
    distance = np.linalg.norm(roots[:, None] - rim[None], axis=2).min(1)
    assert distance.max() < 1.2
    assert (np.linalg.norm(tips - roots, axis=1) < 1.0).all()
    assert (tips[:, 2] > roots[:, 2] - 0.3).all()
    upper = slice(4 * 5, 20 * 5, 5)
    assert closed.vertices[upper, 1].mean() < opened.vertices[upper, 1].mean() - 0.3


def test_hair_shells_lie_outside_the_skull_above_the_hairline_and_sink_when_bald() -> None:
    from dataclasses import replace

    from vultus.world import anthropometry as body

    for style in CUTS:
        genes = replace(founder(np.random.default_rng(8), "female", 30.0), hair_style=style)
        shell = hair_vertices(genes).reshape(HAIR_RINGS, HAIR_COLUMNS, 3)
        crown = shell[1:8].reshape(-1, 3)
        rays = (crown - body.CENTRE) / np.linalg.norm(crown - body.CENTRE, axis=1, keepdims=True)
        height = np.linalg.norm(crown - body.CENTRE, axis=1) - np.linalg.norm(body.surface(rays) - body.CENTRE, axis=1)
        if style == "bald":
            assert height.max() < 0
        else:
            assert height.min() > 0
    ends = {style: hair_vertices(replace(genes, hair_style=style))[:, 1].min() for style in CUTS}
    assert ends["long"] < ends["bob"] < ends["short"]


def test_combing_gives_unit_vectors_even_where_rings_coincide() -> None:
    from dataclasses import replace

    genes = replace(founder(np.random.default_rng(9), "male", 30.0), hair_style="cropped")
    top = topology()
    shell = hair_vertices(genes).astype(np.float32)
    triangles = top.triangles[top.part == 9] - top.ranges["hair"][0]
    normals, along = comb(shell, triangles, HAIR_RINGS, HAIR_COLUMNS)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(along, axis=1), 1, atol=1e-3)
    assert along[HAIR_COLUMNS * 5 :, 1].mean() < 0, "strands run down"


def test_pigments_darken_hair_and_age_greys_it() -> None:
    light = [np.mean(hair_colour(m, 0.0, 0.0)) for m in (0.0, 0.3, 0.6, 1.0)]
    assert (np.diff(light) < 0).all()
    red, grey = hair_colour(0.2, 1.0, 0.0), hair_colour(0.9, 0.0, 1.0)
    assert red[0] > 2 * red[2]
    assert max(grey) - min(grey) < 0.05


def test_strand_textures_repeat_and_have_mean_one() -> None:
    genes = founder(np.random.default_rng(3), "female", 30.0)
    texture = paint_strands(genes)
    np.testing.assert_array_equal(texture, paint_strands(genes))
    assert texture[..., 0].mean() == pytest.approx(1, abs=0.1)
    assert texture[:60, :, 1].min() > 0.9
    assert texture[-1, :, 1].mean() < 0.7
