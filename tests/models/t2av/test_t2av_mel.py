"""AudioLDM's log-mel spectrogram, against its own training code, and the way back to sound."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from t2av_bench.models.t2av.mel import FLOOR, audioldm_waveform, log_mel, mel_matrix
from t2av_bench.models.t2av.vocoder import GriffinLim, mel_to_magnitudes


def as_torchaudio_resamples(wave: torch.Tensor, sr_hz: int) -> torch.Tensor:
    """Its ``functional.resample`` to 16 kHz: 6 zero crossings, cut-off 0.99, weights in float32."""
    common = math.gcd(sr_hz, 16_000)
    old_n, new_n = sr_hz // common, 16_000 // common
    cutoff = min(old_n, new_n) * 0.99
    width = math.ceil(6 * old_n / cutoff)
    inputs = torch.arange(-width, width + old_n) / old_n
    crossings = ((inputs + torch.arange(0, -new_n, -1)[:, None] / new_n) * cutoff).clamp(-6, 6)
    taps = torch.sinc(crossings) * torch.cos(crossings * math.pi / 12) ** 2 * (cutoff / old_n)
    padded = torch.nn.functional.pad(wave, (width, width + old_n))
    phases = torch.nn.functional.conv1d(padded[None, None], taps[:, None], stride=old_n)
    return phases[0].T.flatten()[: math.ceil(new_n * len(wave) / old_n)]


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "audioldm_mel.npz") as arrays:
        return dict(arrays)


def test_real_clips_equal_audioldms_own_training_code(golden, shared):
    names = [key.split("/")[0] for key in golden if key.endswith("/log_mel")]
    assert len(names) == 4
    for name in names:
        stored, sr_hz = soundfile.read(shared / "golden" / "flac" / f"{name}.flac", dtype="float32", always_2d=True)
        wave = as_torchaudio_resamples(torch.from_numpy(stored[:, 0].copy()), sr_hz)
        wave = torch.nn.functional.pad(audioldm_waveform(wave[None]), (0, 163_840 - len(wave)))
        ours, theirs = log_mel(wave).numpy(), golden[f"{name}/log_mel"][0]
        assert ours.shape == theirs.shape == (1, 1024, 64)
        apart = np.abs(ours - theirs)
        assert apart[theirs > -9].max() <= 1e-4
        # Near the floor of -11.51 float32 has no more digits: 1.2e-3 at worst.
        assert apart.max() <= 1.5e-3
        assert np.quantile(apart, 0.99) <= 1e-4


def test_the_filter_bank_is_librosas(golden):
    np.testing.assert_allclose(mel_matrix("cpu", torch.float64).T, golden["mel_basis_64x513"], atol=1e-9)


def test_silence_is_the_floor_and_a_sine_is_in_its_band():
    times_s = torch.arange(16_000) / 16_000
    sounds = torch.stack([torch.zeros(16_000), 0.5 * torch.sin(2 * torch.pi * 1000 * times_s)])
    mel = log_mel(sounds)
    assert mel.shape == (2, 100, 64)
    assert torch.allclose(mel[0], torch.tensor(math.log(FLOOR)))
    assert set(mel[1, 5:-5].argmax(-1).tolist()) == {21}, "as in the golden values"


def test_a_click_is_in_the_frame_of_its_moment():
    sound = torch.zeros(1, 16_000)
    sound[0, 160 * 40 + 80] = 1.0
    assert log_mel(sound).exp().mean(-1).argmax() == 40


@settings(max_examples=20, deadline=None)
@given(st.integers(1024, 4000))
def test_any_length_gives_a_frame_for_each_whole_hop(samples_n):
    assert log_mel(torch.zeros(1, samples_n)).shape == (1, samples_n // 160, 64)


def test_too_short_a_sound_is_refused():
    with pytest.raises(ValueError, match="must have shape .batch, 1024 samples or more., given: .1, 1000."):
        log_mel(torch.zeros(1, 1000))


def test_the_level_is_audioldms():
    wave = audioldm_waveform(torch.tensor([[1.0, 3.0, 2.0, 2.0]]))
    assert torch.allclose(wave, torch.tensor([[-0.5, 0.5, 0.0, 0.0]]), atol=1e-6)


def test_magnitudes_have_the_mel_bands_they_came_from():
    mel = torch.randn(2, 30, 64, generator=torch.Generator().manual_seed(0)) - 3
    magnitudes = mel_to_magnitudes(mel, 2000)
    assert bool((magnitudes >= 0).all())
    back = torch.log(magnitudes @ mel_matrix("cpu", torch.float32))
    # Neighbouring triangles overlap, so that not every jump between bands can be had.
    assert (back - mel).abs().median() < 0.1


def test_griffin_lim_gives_back_the_spectrogram_of_a_real_clip(shared):
    stored, _ = soundfile.read(shared / "golden" / "flac" / "7tMPoaU2oL4_0_10000.flac", dtype="float32")
    wave = as_torchaudio_resamples(torch.from_numpy(stored[:, 0].copy()), 44_100)[None, 64_000:96_000]
    mel = log_mel(audioldm_waveform(wave))
    sound = GriffinLim()(mel)
    assert sound.shape == (1, 32_000)
    assert (log_mel(sound) - mel)[mel > -6].abs().mean() < 0.1
    # Phases matter: the same with the first, random ones.
    assert (log_mel(GriffinLim(iterations_n=0)(mel)) - mel)[mel > -6].abs().mean() > 0.2


def test_griffin_lim_keeps_clicks_in_time():
    sound = 1e-3 * torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0))
    for at in (8_000, 20_000):
        sound[0, at : at + 800] += torch.randn(800, generator=torch.Generator().manual_seed(at)) * 0.3
    back = GriffinLim()(log_mel(sound))[0]
    level = back.abs().unfold(0, 160, 160).mean(-1)
    rises = (level[1:] - level[:-1]).topk(2).indices.sort().values + 1
    assert (rises - torch.tensor([50, 125])).abs().max() <= 2


def test_griffin_lim_does_not_depend_on_the_batch():
    mel = torch.randn(3, 50, 64, generator=torch.Generator().manual_seed(0)) - 4
    together = GriffinLim(iterations_n=4)(mel)
    for number in range(3):
        alone = GriffinLim(iterations_n=4)(mel[number : number + 1])
        assert torch.allclose(together[number], alone[0], atol=1e-5 * float(alone.abs().max()))


def test_a_silent_spectrogram_is_a_silent_sound():
    sound = GriffinLim(iterations_n=2)(torch.full((1, 20, 64), math.log(FLOOR)))
    assert sound.abs().max() < 1e-6
