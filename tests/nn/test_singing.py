"""What models of singing read a score with: numbers of notes and back, notes heard in F0, lines over rests, shares."""

from __future__ import annotations

import torch

from aoide.nn import singing


def test_notes_and_hertz() -> None:
    f0 = torch.tensor([261.6256, 440.0, 466.1638])
    torch.testing.assert_close(singing.midi(f0), torch.tensor([60.0, 69.0, 70.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(singing.hertz(singing.midi(f0)), f0)
    assert torch.isfinite(singing.midi(torch.zeros(2))).all()


def test_a_note_is_heard_where_it_is_voiced() -> None:
    durations = torch.tensor([[3, 2, 2]])
    f0 = torch.tensor([[0.0, 442.0, 436.0, 0.0, 0.0, 262.0, 0.0]])
    assert singing.heard_notes(f0, durations).tolist() == [[69.0, 0.0, 60.0]]


def test_a_line_goes_over_rests() -> None:
    notes, durations = torch.tensor([[0, 60, 0, 63]]), torch.tensor([[1, 2, 2, 1]])
    line = singing.note_line(notes, durations, 8)
    assert line.tolist() == [[60, 60, 60, 61, 62, 63, 63, 63]], "level before the first note and after the last"
    assert not singing.note_line(0 * notes, durations, 8).any()


def test_a_notes_time_is_shared_out_to_the_last_frame() -> None:
    torch.manual_seed(0)
    groups = torch.tensor([[0, 0, 0, 1, 2, 2]])
    totals = torch.tensor([[31, 31, 31, 4, 17, 17]])
    for _ in range(20):
        lasts = singing.shared_out(torch.rand(1, 6) ** 4, groups, totals.float())
        frames = singing.whole_frames(lasts)
        assert singing.in_group(frames, groups).tolist() == totals.tolist()
        assert (frames - lasts).abs().max() < 1 and frames.min() >= 0
