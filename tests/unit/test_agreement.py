"""The score agreement: motion of known agreement, with frames at which one of the two is made to tell another story."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from planted import SIZE, crop_record, face, mp4, write_crops, write_tracks
from scipy.spatial.transform import Rotation

from talkset import clipdata
from talkset.demo.tiny import emoca_v2, liveportrait_motion_extractor
from talkset.faults import ClipFault
from talkset.features import flame_params, struct_latents
from talkset.models import Model
from talkset.nets import lp_p1
from talkset.scores import agreement

OPTIONS = {name: option["default"] for name, option in agreement.SPEC.options["properties"].items()}
FRAMES = 100
REST = Rotation.from_euler("xyz", [12, -5, 3], degrees=True)  # EMOCA's head at rest as LivePortrait counts it
PART = slice(40, 60)


def nod(frames: int = FRAMES, seed: int = 0) -> Rotation:
    """A head that moves by some 20 degrees about all axes."""
    speeds = np.random.default_rng(seed).uniform(0.05, 0.2, 3)
    return Rotation.from_euler("ZYX", 20 * np.sin(np.outer(np.arange(frames), speeds)), degrees=True)


def side(heads: Rotation) -> np.ndarray:
    """LivePortrait's numbers for heads in the camera's axes."""
    roll, yaw, pitch = heads.as_euler("ZYX", degrees=True).T
    return np.column_stack([pitch, yaw, roll, np.full(len(pitch), 1.4), np.zeros(len(pitch))]).astype(np.float32)


def flame(heads: Rotation, expression: np.ndarray) -> np.ndarray:
    """EMOCA's numbers for heads in the camera's axes."""
    found = np.zeros((len(expression), 159), np.float32)
    found[:, 100:150] = expression @ np.random.default_rng(1).normal(size=(expression.shape[1], 50))
    # Half a turn about x leads from the camera's axes to FLAME's.
    found[:, 150:153] = heads.as_rotvec() * [1, -1, -1]
    found[:, 153] = 0.2 * expression[:, 0]
    return found


def struct(expression: np.ndarray) -> np.ndarray:
    """LivePortrait's numbers for the same expressions."""
    found = np.random.default_rng(2).normal(size=(len(expression), 128)).astype(np.float32)
    found[:, 63:126] = 0.01 * expression @ np.random.default_rng(3).normal(size=(expression.shape[1], 63))
    return found


def talk(frames: int = FRAMES, seed: int = 0, noise: float = 0.0) -> np.ndarray:
    """Expressions `[T,4]` that drift as in speech."""
    random = np.random.default_rng(seed)
    steps = random.normal(size=(frames + 8, 4))
    drifting = np.stack([np.convolve(column, np.ones(9) / 3, mode="valid") for column in steps.T], axis=1)
    return drifting * [3, 2, 1, 1] + noise * random.normal(size=drifting.shape)


def compared(first: dict, second: dict, seen: np.ndarray | None = None, **changed) -> dict:
    """The columns for what LivePortrait and EMOCA are told to see: `heads` and `expression` each."""
    seen = np.ones(len(first["expression"]), bool) if seen is None else seen
    found = agreement.compare(
        struct(first["expression"]),
        side(first["heads"]),
        flame(second["heads"], second["expression"]),
        seen,
        OPTIONS | changed,
    )
    assert set(found) == {column.name for column in agreement.SPEC.columns}
    return found


def same(seed: int = 0) -> tuple[dict, dict]:
    """One motion, seen by both, whose heads at rest differ by `REST`."""
    first = {"heads": nod(seed=seed), "expression": talk(seed=seed)}
    return first, {"heads": first["heads"] * REST.inv(), "expression": first["expression"]}


def test_heads_that_differ_by_a_constant_rest_do_not_part():
    found = compared(*same())
    assert found["agreement_pose_p95"] < 1e-3
    assert found["agreement_expression"] > 0.85
    assert (found["parted_share"], found["parted_frames"]) == (0, "")


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_planted_frames_are_found_and_no_others(axis):
    first, second = same()
    turned = second["heads"].as_matrix()
    turned[PART] = (Rotation.from_euler(axis, 25, degrees=True) * second["heads"][PART]).as_matrix()
    found = compared(first, second | {"heads": Rotation.from_matrix(turned)})
    assert (found["parted_frames"], found["parted_share"]) == ("40-59", 0.2)
    assert found["agreement_pose_p95"] == pytest.approx(25, abs=1e-3)


def test_the_threshold_is_the_angle_in_degrees():
    first, second = same()
    turned = second["heads"].as_matrix()
    turned[PART] = (Rotation.from_euler("y", 8, degrees=True) * second["heads"][PART]).as_matrix()
    second["heads"] = Rotation.from_matrix(turned)
    assert compared(first, second)["parted_frames"] == ""
    assert compared(first, second, pose_degrees=8.01)["parted_frames"] == ""
    assert compared(first, second, pose_degrees=7.99)["parted_frames"] == "40-59"


def test_one_that_never_turns_parts_where_the_other_does():
    first, second = same()
    still = compared(first, second | {"heads": Rotation.identity(FRAMES)}, pose_degrees=15)
    away = (first["heads"] * first["heads"].mean().inv()).magnitude()
    assert 0.3 < still["parted_share"] < 1
    parted = agreement.to_mask(still["parted_frames"], FRAMES)
    assert np.median(away[parted]) > 1.5 * np.median(away[~parted])


def test_emoca_s_heads_move_in_the_picture_as_liveportrait_s_do():
    """A point's place in the picture, by either's own camera: EMOCA's turns y over, LivePortrait's does not."""
    points = np.random.default_rng(0).normal(size=(5, 3))
    rotation_vectors = nod(6).as_rotvec()
    seen_by_emoca = Rotation.from_rotvec(rotation_vectors).as_matrix() @ points.T * np.array([1, -1, 1])[:, None]
    in_camera = agreement.head_rotations(rotation_vectors) @ (points * [1, -1, -1]).T
    assert np.allclose(in_camera[:, :2], seen_by_emoca[:, :2])
    turned = lp_p1.rotations(side(Rotation.from_matrix(agreement.head_rotations(rotation_vectors)))[:, :3])
    assert np.allclose(turned, agreement.head_rotations(rotation_vectors), atol=1e-6)


def test_no_turn_at_all_is_the_identity():
    assert np.array_equal(agreement.head_rotations(np.zeros((2, 3))), np.stack([np.eye(3)] * 2))


def test_expressions_that_have_nothing_in_common_do_not_correlate():
    first, second = same()
    found = compared(first, second | {"expression": talk(seed=7)})
    assert abs(found["agreement_expression"]) < agreement.RELATED
    assert found["parted_frames"] == ""  # the clip's own column tells; no frame is worse than the others


def test_noise_lowers_the_correlation_and_parts_nothing():
    first, second = same()
    noisy = [{**told, "expression": talk(noise=0.5) if told is first else talk()} for told in (first, second)]
    found = compared(*noisy)
    assert 0.5 < found["agreement_expression"] < compared(first, second)["agreement_expression"]
    assert found["parted_frames"] == ""


def test_planted_expressions_are_found_and_no_others():
    """A mouth that is open or shut, and told the other way round at the planted frames."""
    mouth = np.sign(np.sin(np.arange(FRAMES) * 0.7))[:, None] + 0.05 * talk()[:, :1]
    first, second = same()
    told = mouth.copy()
    told[PART] *= -1
    found = compared(first | {"expression": mouth}, second | {"expression": told})
    assert (found["parted_frames"], found["agreement_pose_p95"] < 1e-3) == ("40-59", True)
    assert compared(first | {"expression": mouth}, second | {"expression": mouth})["parted_frames"] == ""


def test_units_and_axes_of_an_expression_do_not_matter():
    first, second = same()
    before = compared(first, second)
    second["expression"] = 1000 * second["expression"] - 5
    assert compared(first, second)["agreement_expression"] == pytest.approx(before["agreement_expression"], abs=0.01)


def test_the_jaw_alone_tells_too():
    first, second = same()
    told = flame(second["heads"], second["expression"])
    told[:, 100:150] = 1
    first["expression"] = first["expression"][:, :1]  # what `flame` moves the jaw by
    found = agreement.compare(struct(first["expression"]), side(first["heads"]), told, np.ones(FRAMES, bool), OPTIONS)
    assert found["agreement_expression"] > 0.99


def test_a_frame_s_likeness_to_itself_does_not_count():
    random = np.random.default_rng(0)
    found = [agreement.expression_likeness(*([random.normal(size=(12, 20))] for _ in range(2))) for _ in range(40)]
    assert abs(np.mean(found)) < 0.05


def test_a_face_that_never_moves_and_a_short_clip_have_no_expression():
    first, second = same()
    still = {"expression": np.ones((FRAMES, 4))}
    assert compared(first | still, second)["agreement_expression"] is None
    assert compared(first, second | still)["agreement_expression"] is None
    few = {"heads": nod(agreement.FEW - 1), "expression": talk(agreement.FEW - 1)}
    assert compared(few, few)["agreement_expression"] is None
    assert compared(few, few)["parted_share"] == 0


def test_frames_without_a_face_are_not_judged():
    first, second = same()
    turned = second["heads"].as_matrix()
    turned[PART] = (Rotation.from_euler("y", 40, degrees=True) * second["heads"][PART]).as_matrix()
    seen = np.ones(FRAMES, bool)
    seen[PART.start : PART.stop - 5] = False
    found = compared(first, second | {"heads": Rotation.from_matrix(turned)}, seen)
    assert (found["parted_frames"], found["parted_share"]) == ("55-59", pytest.approx(5 / 85))


@pytest.mark.parametrize(
    ("text", "places"),
    [("", []), ("0", [0]), ("12-19 40", [*range(12, 20), 40]), ("0-1 3-4 99", [0, 1, 3, 4, 99]), ("0-99", range(100))],
)
def test_masks_are_text_and_text_is_masks(text, places):
    mask = np.zeros(100, bool)
    mask[list(places)] = True
    assert agreement.to_text(mask) == text
    assert np.array_equal(agreement.to_mask(text, 100), mask)


@pytest.mark.parametrize("text", ["100", "5-3", "a", "1,2", "90-100", "-3", "1-"])
def test_text_that_is_no_mask_is_refused(text):
    with pytest.raises(ValueError, match="is no run of frames from 0 to 99"):
        agreement.to_mask(text, 100)


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    models = {}
    for key, tiny in (("struct_model", liveportrait_motion_extractor), ("flame_model", emoca_v2)):
        folder = tmp_path_factory.mktemp(key)
        tiny.make(folder)
        models[key] = Model(OPTIONS[key], f"random-tiny/{OPTIONS[key]}", "seed 0", "random-tiny", folder)
    return agreement.load(OPTIONS, models)


def test_clips_of_a_shard_are_scored_as_their_features_say(nets, tmp_path):
    shades = [np.full((SIZE, SIZE, 3), 20 * k, np.uint8) for k in range(12)]
    media = {"mp4": mp4(shades)}
    crops = write_crops(tmp_path / "s.tar", {name: (crop_record(name, len(shades)), media) for name in "abc"})
    rows = [face(pts, box=(100, 100, 200, 200)) for pts in range(12)]
    lost = [face(pts, track=-1) if pts == 3 else row for pts, row in enumerate(rows)]
    tracks = write_tracks(tmp_path / "s.parquet", {"a": rows, "b": [], "c": lost})
    clips = list(clipdata.read(crops, tracks))
    found = {clip.clip: values for clip, values in agreement.score(nets, iter(clips), OPTIONS)}
    assert list(found) == ["a", "b", "c"]
    assert isinstance(found["b"], ClipFault) and found["b"].reason == "no face was followed"
    ((_, first),) = struct_latents.extract(nets[0], iter(clips[:1]), agreement.settings(struct_latents, OPTIONS))
    ((_, second),) = flame_params.extract(nets[1], iter(clips[:1]), agreement.settings(flame_params, OPTIONS))
    for clip, seen in (("a", np.ones(12, bool)), ("c", np.arange(12) != 3)):
        expected = agreement.compare(first["struct"], first["side"], second["flame"], seen, OPTIONS)
        assert found[clip]["agreement_pose_p95"] == pytest.approx(expected["agreement_pose_p95"], rel=1e-4)
        assert found[clip]["agreement_expression"] == pytest.approx(expected["agreement_expression"], abs=0.05)
        assert found[clip]["parted_share"] == expected["parted_share"]


def test_a_fault_of_one_model_s_clip_leaves_the_others(nets):
    def fails(format):
        raise ClipFault("cannot be decoded")

    track = SimpleNamespace(landmarks=np.tile(np.arange(478 * 3, dtype=np.float32).reshape(1, 478, 3), (2, 1, 1)))
    frames = [np.full((64, 64, 3), shade, np.uint8) for shade in (50, 200)]
    clips = [
        SimpleNamespace(clip="a", pictures=fails, track=lambda: track),
        SimpleNamespace(clip="b", pictures=lambda format: frames, track=lambda: track),
    ]
    found = {clip.clip: values for clip, values in agreement.score(nets, iter(clips), OPTIONS)}
    assert found["a"].reason == "cannot be decoded"
    assert found["b"]["agreement_expression"] is None and found["b"]["parted_share"] == 0
