"""Latents by tiny VAEs of the true architecture, saved and loaded as the published ones are."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import diffusers
import numpy as np
import planted
import pytest
import torch
from safetensors.torch import load_file, save_file

import extract_feature
from extract_feature import check, declared
from talkset import clipdata, featurestore, inference, models, tables
from talkset.faults import ClipFault, ToolFault
from talkset.features import video_latents

OPTIONS = {name: option["default"] for name, option in video_latents.SPEC.options["properties"].items()}
EXACT = OPTIONS | {"dtype": "float32"}
SIDE = 32
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Model folders as the demo makes them."""
    made = {}
    for name in ("sd_vae_ft_mse", "wan2_1_vae"):
        made[name] = tmp_path_factory.mktemp(name)
        importlib.import_module(f"talkset.demo.tiny.{name}").make(made[name])
    return made


def load(folder: Path, options: dict = EXACT) -> video_latents.Encoder:
    before = torch.get_num_threads()
    try:
        return video_latents.load(options, {"model": models.Model("net", "lab/net", "1", "random-tiny", folder)})
    finally:
        torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    """The same numbers as far as float32 goes: 1e-5 of the largest."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def image_vae(folders):
    return load(folders["sd_vae_ft_mse"])


@pytest.fixture(scope="module")
def video_vae(folders):
    return load(folders["wan2_1_vae"])


@pytest.fixture(params=["image_vae", "video_vae"])
def vae(request):
    return request.getfixturevalue(request.param)


def noise(frames: int, seed: int = 0, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, side, side, 3), np.uint8)


def clip(pictures: np.ndarray, name: str = "a") -> SimpleNamespace:
    record = {"size": pictures.shape[1]}
    return SimpleNamespace(clip=name, frames=len(pictures), record=record, pictures=lambda format: iter(pictures))


def extract(vae, *clips, **changed) -> list[dict]:
    options = EXACT | changed
    results = list(video_latents.extract(vae, iter(clips), options))
    assert [same for same, _ in results] == list(clips)
    for same, found in results:
        check(same.clip, same.frames, found, declared(video_latents.SPEC.arrays, options))
    return [found for _, found in results]


def latents(vae, pictures: np.ndarray, **changed) -> np.ndarray:
    return extract(vae, clip(pictures), **changed)[0]["latents"]


def changed_rows(vae, pictures: np.ndarray, frame: int) -> list[int]:
    """Latents that another picture at `frame` changes."""
    other = pictures.copy()
    other[frame] = 255 - other[frame]
    differs = latents(vae, pictures) != latents(vae, other)
    return np.flatnonzero(differs.any(axis=(1, 2, 3))).tolist()


# --- image VAE -------------------------------------------------------------------------------------------------------


def test_image_vae_gives_the_mean_of_the_posterior_of_each_picture(image_vae, folders):
    """Against diffusers' own call on the input that its users give it: RGB, -1 to 1, [n,3,H,W]."""
    pictures = noise(3)
    whole = diffusers.AutoencoderKL.from_pretrained(folders["sd_vae_ft_mse"], low_cpu_mem_usage=False).eval()
    values = torch.from_numpy(pictures.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
    with torch.inference_mode():
        expected = whole.encode(values).latent_dist.mode().numpy()
    [found] = extract(image_vae, clip(pictures))
    assert found["latents"].shape == (3, 4, SIDE // 8, SIDE // 8)
    close(found["latents"], expected)
    assert found["frames"].tolist() == [3, 3] and found["frames"].dtype == np.int32


@pytest.mark.parametrize("frame", [0, 4, 9])
def test_image_vae_frame_k_is_latent_k_alone(image_vae, frame):
    assert changed_rows(image_vae, noise(10), frame) == [frame]


def test_the_channels_are_red_green_blue(image_vae):
    grey = noise(1)[..., 0]
    red = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    red[..., 0] = grey
    blue = np.ascontiguousarray(red[..., ::-1])
    values = torch.full((1, 3, SIDE, SIDE), -1.0)
    values[:, 0] = torch.from_numpy(grey / 127.5 - 1)
    with torch.inference_mode():
        expected = image_vae.vae.encode(values).latent_dist.mode().numpy()
    close(latents(image_vae, red), expected)
    assert np.abs(latents(image_vae, blue) - expected).max() > 1e-3


def test_a_missing_frame_is_a_defect(image_vae):
    short = clip(noise(4))
    short.frames = 5
    with pytest.raises(ValueError, match="a: 4 latents of 5 frames"):
        extract(image_vae, short)


def test_attention_weights_under_their_old_names_load_to_the_same(tmp_path, folders, image_vae):
    """The published file is of diffusers 0.4: query, key, value and proj_attn."""
    new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(folders["sd_vae_ft_mse"] / WEIGHTS)
    old = {}
    for key, tensor in state.items():
        for now, before in new.items():
            key = key.replace(f"attentions.0.{now}.", f"attentions.0.{before}.")
        old[key] = tensor
    assert sum(".query." in key for key in old) == 4
    save_file(old, tmp_path / WEIGHTS, {"format": "pt"})
    config = json.loads((folders["sd_vae_ft_mse"] / "config.json").read_text())
    published = ("_class_name", "act_fn", "block_out_channels", "down_block_types", "in_channels", "latent_channels")
    published += ("layers_per_block", "norm_num_groups", "out_channels", "sample_size", "up_block_types")
    (tmp_path / "config.json").write_text(json.dumps({key: config[key] for key in published}))
    found = load(tmp_path)
    assert found.factor == [0.18215] * 4 and found.shift == [0] * 4
    np.testing.assert_array_equal(latents(found, noise(2)), latents(image_vae, noise(2)))


# --- video VAE -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 5, 13])
def test_video_vae_gives_what_encoding_the_clip_as_a_whole_gives(video_vae, folders, frames):
    pictures = noise(frames)
    whole = diffusers.AutoencoderKLWan.from_pretrained(folders["wan2_1_vae"], low_cpu_mem_usage=False).eval()
    values = torch.from_numpy(pictures.transpose(3, 0, 1, 2)[None].astype(np.float32) / 127.5 - 1)
    with torch.inference_mode():
        expected = whole.encode(values).latent_dist.mode()[0].transpose(0, 1).numpy()
    [found] = extract(video_vae, clip(pictures))
    assert found["latents"].shape == (1 + (frames - 1) // 4, 16, SIDE // 8, SIDE // 8)
    close(found["latents"], expected)
    assert found["frames"].tolist() == [frames, frames]


@pytest.mark.parametrize(("frame", "first"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2), (12, 3)])
def test_video_vae_is_causal_and_latent_j_begins_with_frame_4j_minus_3(video_vae, frame, first):
    rows = changed_rows(video_vae, noise(13), frame)
    assert rows[0] == first, "an earlier latent saw the frame, or its own did not"


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 9])
def test_no_frame_is_lost_at_the_tail(video_vae, frames):
    rows = changed_rows(video_vae, noise(frames), frames - 1)
    assert rows and rows[-1] == -(-(frames - 1) // 4)


@pytest.mark.parametrize(("frames", "repeat", "trim"), [(1, 1, 1), (2, 5, 1), (5, 5, 5), (7, 9, 5), (16, 17, 13)])
def test_frames_in_and_frames_encoded_are_both_said(video_vae, frames, repeat, trim):
    pictures = noise(frames, side=8)
    for tail, encoded in (("repeat", repeat), ("trim", trim)):
        [found] = extract(video_vae, clip(pictures), tail=tail)
        assert found["frames"].tolist() == [frames, encoded]
        assert len(found["latents"]) == (encoded - 1) // 4 + 1


def test_the_tail_is_the_last_frame_again_or_not_there(video_vae):
    pictures = noise(7)
    repeated = np.concatenate([pictures, pictures[-1:], pictures[-1:]])
    np.testing.assert_array_equal(latents(video_vae, pictures), latents(video_vae, repeated))
    np.testing.assert_array_equal(latents(video_vae, pictures, tail="trim"), latents(video_vae, pictures[:5]))


def test_video_vae_remembers_nothing_of_the_clip_before(video_vae):
    alone = latents(video_vae, noise(6, 1))
    found = extract(video_vae, clip(noise(7), "a"), clip(noise(6, 1), "b"))
    np.testing.assert_array_equal(found[1]["latents"], alone)


def test_a_broken_clip_does_not_reach_into_the_next(video_vae):
    def breaks(format):
        yield from noise(6)
        raise ClipFault("broken")

    broken = SimpleNamespace(clip="a", frames=9, record={"size": SIDE}, pictures=breaks)
    [(_, fault), (_, found)] = video_latents.extract(video_vae, iter([broken, clip(noise(6, 1))]), EXACT)
    assert isinstance(fault, ClipFault)
    np.testing.assert_array_equal(found["latents"], latents(video_vae, noise(6, 1)))


# --- both ------------------------------------------------------------------------------------------------------------


def test_values_do_not_depend_on_batches_and_shard_mates(image_vae):
    alone = latents(image_vae, noise(5), batch_size=1)
    mates = [clip(noise(frames, seed), str(seed)) for seed, frames in enumerate((5, 3, 1), start=1)]
    found = extract(image_vae, *mates[:2], clip(noise(5)), mates[2], batch_size=4)
    close(found[2]["latents"], alone)


@pytest.mark.parametrize("workers", [1, 3])
def test_values_do_not_depend_on_workers(vae, monkeypatch, workers):
    clips = [clip(noise(frames, frames), str(frames)) for frames in (5, 3, 6)]
    first = extract(vae, *clips)
    batched = inference.batched
    monkeypatch.setattr(inference, "batched", lambda *given, **named: batched(*given, **named, workers=workers))
    for found, same in zip(extract(vae, *clips), first, strict=True):
        assert found["latents"].tobytes() == same["latents"].tobytes()


def test_stored_type_and_its_tolerance(vae):
    exact, half = latents(vae, noise(5)), latents(vae, noise(5), dtype="float16")
    assert (exact.dtype, half.dtype) == (np.float32, np.float16)
    np.testing.assert_allclose(half, exact, rtol=2**-11, atol=1e-6)


def test_scaling_is_stated_and_done_on_request(folders, vae):
    name = "sd_vae_ft_mse" if vae.stride == 1 else "wan2_1_vae"
    said = video_latents.describe(vae, EXACT)
    assert said["scaled"] is False and said["scaling"]["formula"] == "(latent - shift) * factor"
    scaled = load(folders[name], EXACT | {"scaled": True})
    assert video_latents.describe(scaled, EXACT)["scaled"] is True
    shift, factor = (np.reshape(said["scaling"][key], (-1, 1, 1)) for key in ("shift", "factor"))
    np.testing.assert_allclose(
        latents(scaled, noise(5)), (latents(vae, noise(5)) - shift) * factor, rtol=1e-5, atol=1e-6
    )


def test_the_factors_are_the_published_ones(image_vae, video_vae):
    assert (image_vae.factor, image_vae.shift) == ([0.18215] * 4, [0] * 4)
    assert video_vae.shift[0] == -0.7571 and video_vae.factor[0] == pytest.approx(1 / 2.8184)
    assert len(video_vae.shift) == len(video_vae.factor) == 16


def test_which_frames_a_latent_is_of_is_said(image_vae, video_vae):
    said = {name: video_latents.describe(vae, EXACT) for name, vae in (("image", image_vae), ("video", video_vae))}
    assert [said["image"][key] for key in ("latent_fps", "t_stride", "t_offset")] == [25, 1, 0]
    assert [said["video"][key] for key in ("latent_fps", "t_stride", "t_offset")] == [6.25, 4, 0]


def test_a_model_that_gives_no_numbers_fails_the_job(folders, image_vae, tmp_path):
    state = load_file(folders["sd_vae_ft_mse"] / WEIGHTS)
    state["quant_conv.bias"][0] = torch.nan
    save_file(state, tmp_path / WEIGHTS, {"format": "pt"})
    (tmp_path / "config.json").write_bytes((folders["sd_vae_ft_mse"] / "config.json").read_bytes())
    with pytest.raises(ToolFault, match="a/latents: the model gave values that are no numbers"):
        latents(load(tmp_path), noise(1))


def test_a_crop_that_the_vae_cannot_halve_is_refused(vae):
    with pytest.raises(ToolFault, match="crops are 36 pixels wide, the VAE takes multiples of 8"):
        latents(vae, noise(1, side=36))


def test_from_the_crop_shard_to_the_file(tmp_path, folders):
    """The whole of a job, on pictures that really were encoded and are decoded ahead."""
    crops = {
        name: (planted.crop_record(name, frames), {"mp4": planted.mp4(noise(frames, frames, planted.SIZE))})
        for name, frames in (("a", 3), ("dropped", 2), ("b", 5))
    }
    planted.write_crops(tmp_path / "crops.tar", crops)
    planted.write_tracks(tmp_path / "tracks.parquet", {})
    rows = [{"clip": name, "keep": int(name != "dropped")} for name in crops]
    tables.write(tmp_path / "filtered.tsv", ("clip", "keep"), rows)
    models.write_record(folders["sd_vae_ft_mse"], id="random-tiny/net", revision="seed 0", weights=models.TINY)
    entry = {"name": "net", "folder": str(folders["sd_vae_ft_mse"]), "files": ["config.json", WEIGHTS]}
    record = models.read_record(folders["sd_vae_ft_mse"])
    extract_feature.main(
        tmp_path / "filtered.tsv",
        tmp_path / "crops.tar",
        tmp_path / "tracks.parquet",
        [folders["sd_vae_ft_mse"] / name for name in entry["files"]],
        tmp_path / "latents.safetensors",
        modality="video_latents",
        options=OPTIONS,
        weights={
            "model": entry | {key: record[key] for key in ("id", "revision", "weights")} | {"sha256": record["files"]}
        },
        version=[1, 1],
    )
    said = featurestore.metadata(tmp_path / "latents.safetensors")
    assert (said["clips"], said["weights"], said["latent_fps"]) == (["a", "b"], "random-tiny", "25.0")
    decoded = {same.clip: same for same in clipdata.read(tmp_path / "crops.tar", tmp_path / "tracks.parquet")}
    vae = load(folders["sd_vae_ft_mse"], OPTIONS)
    for name, frames in (("a", 3), ("b", 5)):
        found = featurestore.arrays(tmp_path / "latents.safetensors", name)
        assert found["frames"].tolist() == [frames, frames] and found["latents"].dtype == np.float16
        expected = latents(vae, np.stack(list(decoded[name].pictures())))
        np.testing.assert_allclose(found["latents"], expected, rtol=2**-11, atol=2e-5)


def spoiled(folder: Path, target: Path, how: str) -> None:
    config, state = json.loads((folder / "config.json").read_text()), load_file(folder / WEIGHTS)
    if how == "missing":
        del state["encoder.conv_in.weight"]
    elif how == "unexpected":
        state["head.weight"] = torch.ones(2)
    elif how == "shape":
        state["encoder.conv_in.weight"] = torch.ones(2, 2)
    else:
        config |= {"class": {"_class_name": "AutoencoderTiny"}, "side": {"block_out_channels": [4, 8, 8]}}.get(how, {})
    (target / "config.json").write_text("{" if how == "json" else json.dumps(config))
    if how != "none":
        save_file(state, target / WEIGHTS, {"format": "pt"})


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "1 weights are missing, such as encoder.conv_in.weight"),
        ("unexpected", "1 weights are unexpected, such as head.weight"),
        ("shape", "does not load as AutoencoderKL .*conv_in"),
        ("class", "net is of class AutoencoderTiny; known: AutoencoderKL, AutoencoderKLWan"),
        ("json", "config.json is not diffusers' description of a model"),
        ("none", "diffusion_pytorch_model.safetensors is not there"),
    ],
)
def test_a_folder_that_holds_another_model_is_refused(tmp_path, folders, how, says):
    spoiled(folders["sd_vae_ft_mse"], tmp_path, how)
    with pytest.raises(ToolFault, match=says):
        load(tmp_path)


def test_a_vae_of_another_grid_is_refused(tmp_path):
    diffusers.AutoencoderKLWan(
        base_dim=4, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[True]
    ).save_pretrained(tmp_path)
    with pytest.raises(ToolFault, match="net makes one latent of 2 x 2 pixels and 2 frames; known: 8 x 8"):
        load(tmp_path)


def test_the_tiny_models_have_every_kind_of_published_layer(folders):
    """The names that the architectures in their published sizes have; how often a block repeats is free."""

    def kinds(state) -> set[tuple[str, int]]:
        return {
            (re.sub(r"(down|up)_blocks\.(\d+)\.resnets\.\d", r"\1\2.resnet", key), state[key].ndim) for key in state
        }

    with torch.device("meta"):
        image = diffusers.AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[128, 256, 512, 512],
            layers_per_block=2,
        )
        video = diffusers.AutoencoderKLWan()
    for name, published, parameters in (("sd_vae_ft_mse", image, 83_653_863), ("wan2_1_vae", video, 126_892_531)):
        assert sum(weight.numel() for weight in published.parameters()) == parameters
        assert kinds(load_file(folders[name] / WEIGHTS)) == kinds(published.state_dict())


def test_the_tiny_models_are_the_same_each_time(tmp_path, folders):
    importlib.import_module("talkset.demo.tiny.sd_vae_ft_mse").make(tmp_path)
    for file in ("config.json", WEIGHTS):
        assert (tmp_path / file).read_bytes() == (folders["sd_vae_ft_mse"] / file).read_bytes()
