"""Numbers in, numbers out, no weights: sound files, resampling, spectra, mel, pitch, energy, loudness.

`sound`, `io`, `resample`, `mel_config`, `pitch` and `loudness` need numpy and no torch; `stft`, `mel` and `energy` are
torch, because models are trained through them.
"""
