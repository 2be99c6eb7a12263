"""Speech features: which samples a row stands for, what the model is given, and which checkpoints load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from planted import SIZE, crop_record, mp4, wav, write_crops, write_tracks
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from talkset import clipdata
from talkset.demo.tiny import hubert_large_ls960_ft as tiny
from talkset.faults import ClipFault, ToolFault
from talkset.features import audio_features
from talkset.models import Model

OPTIONS = {name: option["default"] for name, option in audio_features.SPEC.options["properties"].items()}
EXACT = OPTIONS | {"dtype": "float32"}


def model(folder: Path) -> dict[str, Model]:
    return {"model": Model("hubert-large-ls960-ft", "random-tiny/hubert", "seed 0", "random-tiny", folder)}


def load(folder: Path, **changed) -> audio_features.Speech:
    return audio_features.load(EXACT | changed, model(folder))


def sound(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.02, 0.1, 640 * frames).astype(np.float32)


def clip(name: str, samples: np.ndarray | None, frames: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(clip=name, frames=frames or len(samples) // 640, pcm=lambda: samples)


def rows(speech, *clips, **changed) -> dict[str, np.ndarray | ClipFault]:
    found = audio_features.extract(speech, iter(clips), EXACT | changed)
    return {of.clip: arrays if isinstance(arrays, ClipFault) else arrays["audio"] for of, arrays in found}


def off(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference, relative to the spread of the values."""
    return float(np.abs(first - second).max() / second.std())


@pytest.fixture(scope="module")
def hubert(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hubert")
    tiny.make(folder)
    return folder


@pytest.fixture(scope="module")
def speech(hubert) -> audio_features.Speech:
    return load(hubert)


@pytest.fixture
def base(tmp_path) -> Path:
    """A wav2vec 2.0 base model: group norm, no stable layer norm; saved without the weight that only training needs."""
    config = Wav2Vec2Config(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(12,) * 7,
        num_conv_pos_embedding_groups=4,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    net = Wav2Vec2Model(config)
    state = {f"wav2vec2.{key}": tensor for key, tensor in net.state_dict().items() if key != "masked_spec_embed"}
    config.save_pretrained(tmp_path)
    torch.save(state | {"lm_head.weight": torch.zeros(32, 24), "lm_head.bias": torch.zeros(32)}, tmp_path / WEIGHTS)
    return tmp_path


WEIGHTS = "pytorch_model.bin"


class Ears:
    """In a network's place: a row holds the first, the middle and the last of the 400 samples that it would see."""

    def __init__(self):
        self.lengths = []

    def __call__(self, samples, attention_mask, output_hidden_states):
        assert attention_mask.shape == samples.shape and bool((attention_mask == 1).all())
        self.lengths += [samples.shape[1]] * len(samples)
        return SimpleNamespace(last_hidden_state=samples.unfold(1, 400, 320)[..., [0, 200, 399]])


def heard(samples: np.ndarray) -> np.ndarray:
    """`[2T,3]` samples 320 j - 40, 320 j + 160 and 320 j + 359 of the clip, zero beyond its ends."""
    at = 320 * np.arange(len(samples) // 320)[:, None] + np.array([-40, 160, 359])
    return np.where((at >= 0) & (at < len(samples)), samples[at.clip(0, len(samples) - 1)], 0)


@pytest.mark.parametrize("frames", [1, 2, 33])
def test_two_rows_a_frame(speech, frames):
    found = rows(speech, clip("a", sound(frames)))["a"]
    assert (found.shape, found.dtype) == ((2 * frames, 32), np.float32)
    assert np.isfinite(found).all() and found.std() > 0.1


def test_half_precision_is_what_is_stored_by_default(speech):
    one = clip("a", sound(5))
    [(_, found)] = audio_features.extract(speech, iter([one]), OPTIONS)
    assert list(found) == [array.name for array in audio_features.SPEC.arrays] and found["audio"].dtype == np.float16
    assert off(found["audio"].astype(np.float32), rows(speech, one)["a"]) < 2e-3


def test_a_row_is_made_from_400_samples_around_its_place(speech):
    samples = torch.tensor(sound(6), requires_grad=True)
    padded = torch.nn.functional.pad(samples, (audio_features.PAD, audio_features.PAD))
    made = speech.net.feature_extractor(padded[None])[0]
    assert made.shape[1] == 12
    for row in range(12):
        (slope,) = torch.autograd.grad(made[:, row].square().sum(), samples, retain_graph=True)
        seen = torch.nonzero(slope)[:, 0]
        assert (int(seen[0]), int(seen[-1])) == (max(0, 320 * row - 40), min(3839, 320 * row + 359))


def test_sound_of_a_frame_is_in_its_two_rows_and_their_neighbours(speech):
    samples = audio_features.prepared(sound(8), normalise=False)
    other = samples.copy()
    other[audio_features.PAD + 640 * 5 : audio_features.PAD + 640 * 6] += sound(1, seed=9)
    with torch.inference_mode():
        first, second = (speech.net.feature_extractor(torch.tensor(each)[None])[0] for each in (samples, other))
    changed = torch.nonzero((first != second).any(dim=0))[:, 0]
    assert changed.tolist() == [9, 10, 11, 12]  # 10 and 11 are frame 5's


@pytest.mark.parametrize("frames", [1, 20 * 25, 20 * 25 + 1, 52 * 25, 1333])
def test_rows_of_long_clips_are_those_of_their_samples(speech, frames):
    ears, samples = Ears(), sound(frames)
    found = rows(replace(speech, net=ears, normalise=False), clip("a", samples), window=20)["a"]
    np.testing.assert_array_equal(found, heard(samples))
    assert set(ears.lengths) == {640 * min(frames, 500) + 80}


@pytest.mark.parametrize("frames", [501, 502, 750, 751, 1000, 4321])
def test_windows_leave_no_row_without_its_neighbourhood(frames):
    places = audio_features.windows(frames, 500)
    assert places[0][0] == 0 and places[-1][1] == frames
    assert all(last - first == 500 for first, last in places)
    rows = np.stack([np.arange(2 * first, 2 * last) for first, last in places])[..., None]
    assert audio_features.joined(rows, frames, 500)[:, 0].tolist() == list(range(2 * frames))
    distance = np.stack([np.minimum(np.arange(1000), np.arange(1000)[::-1])] * len(places))
    distance[0, :500] = distance[-1, 500:] = 1000  # the clip's own ends
    assert audio_features.joined(distance[..., None], frames, 500).min() >= 2 * audio_features.CONTEXT


def test_normalised_as_by_the_model_s_own_processor(speech):
    samples = sound(40)
    own = Wav2Vec2FeatureExtractor(do_normalize=True)(samples, sampling_rate=16000, return_tensors="np")
    expected = np.pad(own["input_values"][0], 40)
    np.testing.assert_allclose(audio_features.prepared(samples, normalise=True), expected, atol=1e-6)
    assert audio_features.prepared(samples, normalise=True)[[0, 39, -40, -1]].tolist() == [0, 0, 0, 0]


def test_a_long_clip_is_normalised_as_a_whole(speech):
    samples = np.concatenate([sound(300), 0.1 * sound(500, seed=1)])
    found = rows(replace(speech, net=Ears()), clip("a", samples), window=20)["a"]
    np.testing.assert_allclose(found, heard((samples - samples.mean()) / samples.std()), atol=1e-4)


@pytest.mark.parametrize("value", [0, 0.25, 0.1, -1])
def test_silence_has_rows_and_no_nan(speech, value):
    found = rows(speech, clip("a", np.full(6400, value, np.float32)))["a"]
    assert np.isfinite(found).all()
    assert not audio_features.prepared(np.full(6400, value, np.float32), normalise=True).any()


def test_layers_by_name(hubert, speech):
    one = clip("a", sound(12))
    last = rows(speech, one)["a"]
    by_number = [rows(load(hubert, layer=number), one)["a"] for number in (0, 1, 2)]
    with torch.inference_mode():
        normed = speech.net.encoder.layer_norm(torch.tensor(by_number[2])).numpy()
        first = speech.net.encoder.layers[0](torch.tensor(by_number[0])[None])[0].numpy()
    assert off(by_number[2], last) > 0.1
    assert off(normed, last) < 1e-5
    assert off(first, by_number[1]) < 1e-5


def test_in_a_base_model_the_last_layer_is_the_last_hidden_state(base):
    one = clip("a", sound(12))
    assert off(rows(load(base, layer=2), one)["a"], rows(load(base), one)["a"]) == 0


def test_a_model_of_another_width_and_family(base):
    found = rows(load(base), clip("a", sound(7)))["a"]
    assert found.shape == (14, 24) and found.std() > 0.1


def test_shard_mates_and_batches_change_nothing_beyond_rounding(speech, base):
    clips = [clip(name, sound(frames, frames)) for name, frames in zip("abcdef", (9, 9, 9, 14, 3, 9), strict=True)]
    for each in (speech, load(base)):
        alone = {of.clip: rows(each, of, batch_size=1)[of.clip] for of in clips}
        for size in (1, 2, 64):
            together = rows(each, *clips, batch_size=size)
            assert list(together) == list("abcdef")
            for name, found in together.items():
                assert off(found, alone[name]) < 1e-5


def test_the_same_clip_gives_the_same_bytes(hubert, speech):
    one = clip("a", sound(20))
    first = rows(speech, one)["a"].tobytes()
    assert rows(speech, one)["a"].tobytes() == first
    assert rows(load(hubert), one)["a"].tobytes() == first


def test_a_clip_without_sound_leaves_the_others(speech):
    found = rows(speech, clip("a", sound(3)), clip("b", None, frames=3), clip("c", sound(4)))
    assert isinstance(found["b"], ClipFault) and found["b"].reason == "no sound"
    assert len(found["a"]) == 6 and len(found["c"]) == 8


def test_sound_comes_from_the_shard_as_it_was_planted(speech, tmp_path):
    samples = np.round(sound(6) * 32768) / 32768
    pictures = mp4([np.zeros((SIZE, SIZE, 3), np.uint8)] * 6)
    shard = write_crops(tmp_path / "crops.tar", {"a": (crop_record("a", 6), {"mp4": pictures, "wav": wav(samples)})})
    tracks = write_tracks(tmp_path / "tracks.parquet", {"a": []})
    found = rows(speech, *clipdata.read(shard, tracks))["a"]
    assert off(found, rows(speech, clip("a", samples.astype(np.float32)))["a"]) == 0


def test_the_published_names_of_the_positional_weights_load(hubert, speech):
    published = torch.load(hubert / WEIGHTS, weights_only=True)
    loaded = speech.net.encoder.pos_conv_embed.conv.parametrizations.weight
    assert torch.equal(loaded.original0, published["hubert.encoder.pos_conv_embed.conv.weight_g"])
    assert torch.equal(loaded.original1, published["hubert.encoder.pos_conv_embed.conv.weight_v"])
    assert "lm_head.weight" in published


@pytest.mark.parametrize(("said", "normalised"), [({}, True), ({"do_normalize": False}, False)])
def test_the_preprocessor_file_decides_whether_to_normalise(base, said, normalised):
    (base / "preprocessor_config.json").write_text(json.dumps(said | {"sampling_rate": 16000}))
    speech = load(base)
    assert audio_features.describe(speech, OPTIONS)["normalised"] is normalised
    mean = rows(replace(speech, net=Ears()), clip("a", sound(50)))["a"][1:-1].mean()
    assert abs(mean) < 0.2 if normalised else 0.01 < mean < 0.03


def change(folder: Path, **changed) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model_type": "whisper"}, "'whisper'.*known: hubert, wav2vec2"),
        ({"num_hidden_layers": 3}, r"lacks the weights encoder.layers.2.* and 13 more"),
        ({"num_hidden_layers": 1}, "holds weights that no layer takes: wav2vec2.encoder.layers.1"),
        ({"intermediate_size": 64}, "holds weights of another shape.*feed_forward"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 1]}, "a row of 400 samples every 160"),
        ({"num_attention_heads": 5}, "does not load as Wav2Vec2Model"),
    ],
)
def test_a_folder_that_holds_another_model_is_refused(base, changed, said):
    change(base, **changed)
    with pytest.raises(ToolFault, match=said):
        load(base)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(base, name):
    (base / name.replace("model.safetensors", WEIGHTS)).unlink()
    with pytest.raises(ToolFault, match=f"model hubert-large-ls960-ft: .*{name} is not there"):
        load(base)


def test_a_damaged_file_is_refused(base):
    (base / WEIGHTS).write_bytes((base / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(ToolFault, match="does not load as Wav2Vec2Model.*are all its files whole"):
        load(base)
    (base / "config.json").write_text("{")
    with pytest.raises(ToolFault, match="config.json is damaged"):
        load(base)


def test_sound_at_another_rate_is_refused(base):
    (base / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 8000}))
    with pytest.raises(ToolFault, match="wants 8000 samples a second"):
        load(base)


def test_a_layer_that_is_not_there_is_refused(hubert):
    with pytest.raises(ToolFault, match="layer is 3, .* has 2"):
        load(hubert, layer=3)
