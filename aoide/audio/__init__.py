"""Numbers in, numbers out: sound files, resampling, spectra, mel, pitch, energy, loudness, voice activity.

`sound`, `io`, `resample`, `mel_config`, `pitch`, `loudness` and `dynamics` need numpy and no torch; `stft`, `mel` and
`energy` are torch, because models are trained through them.
"""
