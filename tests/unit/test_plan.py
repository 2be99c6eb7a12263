"""Sizes on disk from shapes alone, against sums done by hand."""

import pytest

import write_plan
from talkset import plan, registry, tables
from talkset.registry import ArraySpec

FLOAT32 = {"dtype": "float32"}


def array(dtype, shape, usual=""):
    return ArraySpec("a", dtype, shape, "", "", usual)


@pytest.mark.parametrize(
    ("spec", "options", "expected"),
    [
        (array("float32", "[T,478,3]"), {}, ("float32", 90000 * 478 * 3 * 4, True)),
        (array("float32", "[4T,80]"), {}, ("float32", 4 * 90000 * 80 * 4, True)),
        (array("float16|float32", "[T',C,h,w]", "[T,4,64,64]"), {"dtype": "float16"}, ("float16", 2949120000, True)),
        (array("float16|float32", "[N,D]", "[4,1024]"), FLOAT32, ("float32", 16384, False)),
        (array("int32", "[2]"), {}, ("int32", 8, False)),
        (array("bool", "[T]"), {}, ("bool", 90000, True)),
        (array("uint8", "[T,7]"), {}, ("uint8", 630000, True)),
    ],
)
def test_size(spec, options, expected):
    assert plan.size(spec, options) == expected


def test_every_modality_s_size_is_known():
    for name in registry.names("features"):
        for spec in registry.load("features", name).SPEC.arrays:
            assert plan.size(spec, {"dtype": "float16"})[1] >= 0, f"{name}/{spec.name}"


def test_the_five_modalities_take_what_the_published_guide_says():
    """6.6 GB an hour with float32 and latents of 4 channels; float16 halves the three large ones."""

    def per_hour(dtype):
        arrays = [
            spec
            for name in ("video_latents", "struct_latents", "audio_features", "flame_params", "ref_features")
            for spec in registry.load("features", name).SPEC.arrays
        ]
        return sum(count for _, count, hourly in (plan.size(spec, {"dtype": dtype}) for spec in arrays) if hourly) / 1e9

    assert per_hour("float32") == pytest.approx(6.6, abs=0.2)
    assert per_hour("float16") == pytest.approx(3.4, abs=0.1)


def test_plan_of_a_clip_table(tmp_path, capsys):
    clips = tmp_path / "clips.tsv"
    spans = [("a", "0", "1800"), ("a", "1800", "3600.0"), ("b", "", "")]
    rows = [
        {"clip": f"c{number}", "dataset": "d", "video": video, "start": start, "end": end}
        for number, (video, start, end) in enumerate(spans)
    ]
    tables.write(clips, tables.CLIP_COLUMNS, rows)
    features = {"mel": {}, "ref_features": {"dtype": "float16"}}
    write_plan.main(clips, tmp_path / "plan.txt", dataset="d", features=features, version=1)
    text = (tmp_path / "plan.txt").read_text()
    assert text in capsys.readouterr().err
    lines = text.splitlines()
    assert lines[0] == "d: 3 clips of 2 videos, 1.00 h annotated; 1 without a stated end are not counted"
    assert lines[2].split() == ["mel", "mel", "[4T,80]", "float32", "0.115", "0.115"]
    assert lines[3].split() == ["ref_features", "ref", "[4,1024]", "float16", "8.2", "kB/clip", "0.000"]
    assert lines[-2].split() == ["all", "features", "0.115", "0.115"]
