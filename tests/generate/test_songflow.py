"""A model of songs with what makes sound of it: lengths, stems, seeds, autoencoders, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from aoide.audio.mel_config import MelConfig  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.generate.songflow import SongFlow  # noqa: E402
from aoide.models.codec import oobleck  # noqa: E402
from aoide.models.ttm import songflow  # noqa: E402
from aoide.score.song_script import SongScript  # noqa: E402
from aoide.text.song_grid import House  # noqa: E402

SCRIPT = SongScript.read("[style: slow folk]\n[verse]\n[00:00.20]<00:00.20>ah <00:00.60>oh <00:00.90>")
MEL = MelConfig(sample_rate=8_000, n_fft=512, hop=400, win=512, n_mels=3, fmax=4_000)


def model(**changes: object) -> songflow.Model:
    torch.manual_seed(0)
    config = replace(songflow.TOY, symbols=House.size, **changes)  # type: ignore[arg-type]
    made = songflow.Model(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return made


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_stems_sum_to_the_mix_and_the_seed_decides() -> None:
    tool = SongFlow(model(stem_mel=MEL))
    assert (tool.sample_rate, tool.stems, tool.longest) == (8_000, ("voice", "accompaniment"), 2.0)
    made = tool.generate(SCRIPT, seconds=1.0, steps=2, generator=seeded(1))
    assert set(made) == {"mix", "voice", "accompaniment"} and made["mix"].shape == (8_000,)
    torch.testing.assert_close(made["mix"], made["voice"] + made["accompaniment"])
    again = tool.generate(SCRIPT, seconds=1.0, steps=2, generator=seeded(1))
    other = tool.generate(SCRIPT, seconds=1.0, steps=2, generator=seeded(2))
    assert torch.equal(made["mix"], again["mix"]) and not torch.equal(made["mix"], other["mix"])
    long = tool.generate(SCRIPT, "quite another style", steps=1, generator=seeded(1))
    assert long["mix"].shape == (8_000 * 19 // 10,), "a second after the last word"


def test_an_autoencoder_decodes_piece_by_piece_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    autoencoder = oobleck.Model(replace(oobleck.TOY, strides=(20, 20), sides=2)).eval()
    tool = SongFlow(model(stems=1), autoencoder)
    assert tool.stems == ()
    latents = torch.randn(40, 3)
    whole = tool.decode(latents)["mix"]
    monkeypatch.setattr("aoide.generate.songflow.PIECE", 7)
    torch.testing.assert_close(tool.decode(latents)["mix"], whole)
    assert whole.shape == (40 * 400, 2)
    with pytest.raises(UserError, match="the autoencoder knows 3 each 8 at 8000 Hz"):
        SongFlow(model(stems=1), oobleck.Model(oobleck.TOY))
    with pytest.raises(UserError, match="give it too"):
        SongFlow(model(stems=1))


def test_what_it_cannot_do_is_told() -> None:
    tool = SongFlow(model(stem_mel=MEL))
    with pytest.raises(UserError, match="says nothing"):
        tool.generate(SCRIPT, "...", 1.0)
    with pytest.raises(UserError, match="at most 2 s, not 10000 s"):
        tool.generate(SCRIPT, seconds=10_000)
    with pytest.raises(UserError, match="not 0 s"):
        tool.generate(SCRIPT, seconds=0)
    with pytest.raises(UserError, match="go on 1.8 times as long as the song"):
        tool.generate(SCRIPT, seconds=0.5)


def test_lyrics_without_times_are_sung_faster_where_they_must_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tool, seen = SongFlow(model(stem_mel=MEL)), []
    monkeypatch.setattr(
        tool._model, "compose", lambda lyric, *rest, **named: seen.append(lyric) or torch.zeros(1, 4, 6)
    )
    script = SongScript.read("[style: folk]\n[verse]\nthe sun goes down\n[chorus]\nthe birds are still and sleep")
    assert max(end for _, _, end in script.timed().spans()) > 2.0
    tool.generate(script, seconds=2.0)
    sung = (seen[0][0] != 0).nonzero()
    assert seen[0].shape == (1, 40) and 30 < int(sung.max()) < 40


@torch.no_grad()
def test_what_is_kept_stays() -> None:
    made = model()
    kept = torch.randn(1, 20, made.config.dim_out)
    fresh = torch.arange(20)[None] >= 8
    latents = made.compose(
        torch.zeros(1, 20, dtype=torch.int64), torch.randn(1, 6), kept=kept, fresh=fresh, steps=2, generator=seeded(1)
    )
    assert torch.equal(latents[:, :8], kept[:, :8]) and not torch.allclose(latents[:, 8:], kept[:, 8:])
    with pytest.raises(UserError, match="no whole number of frames"):
        model(lyric_rate=2).compose(torch.zeros(1, 5, dtype=torch.int64), torch.zeros(1, 6))
