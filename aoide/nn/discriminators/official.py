"""Published critics: what the critics' own `from_official` share, which renames a state dict before it is adopted."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from aoide.config import UserError
from aoide.nn.official import modern_weight_norm

# The words of the published keys and ours. "conv" is a wrapper of EnCodec's code without a counterpart.
_WORDS = {"discriminators": "parts", "band_convs": "stacks", "conv_pres": "pres", "conv_post": "post", "conv": ""}
_SPECTRAL = {"weight_orig": "original", "weight_u": "0._u", "weight_v": "0._v"}
_TABLES = ("spec_fn.", "spec_transform.", "cqt_transform.", "resample.")  # windows and kernels: we compute them


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The keys of one published critic as ours: `parts.<i>. ...`, with torch's parametrisations; without tables.

    Raises:
        UserError: there is no critic in it.
    """
    learned = {}
    for key, value in state.items():
        _, found, rest = key.partition("discriminators.")
        if found and not any(table in rest for table in _TABLES):
            words = (_WORDS.get(word, word) for word in (found + rest).split("."))
            learned[".".join(word for word in words if word)] = value
    if not learned:
        raise UserError("there are no weights of a discriminator in this checkpoint")
    stems = {key.removesuffix(".weight_orig") for key in learned if key.endswith(".weight_orig")}
    spectral = {}
    for key in list(learned):
        stem, _, last = key.rpartition(".")
        if stem in stems and last in _SPECTRAL:
            spectral[f"{stem}.parametrizations.weight.{_SPECTRAL[last]}"] = learned.pop(key)
    return modern_weight_norm(learned) | spectral


def shape(renamed: Mapping[str, Tensor], layer: str) -> tuple[int, ...]:
    """Of the weight of a layer, with norm or without: channels out, channels in of a group, kernel.

    Raises:
        UserError: it has none.
    """
    for name in ("parametrizations.weight.original1", "parametrizations.weight.original", "weight"):
        if (weight := renamed.get(f"{layer}.{name}")) is not None:
            return tuple(weight.shape)
    raise UserError(f"this checkpoint of a discriminator has no weight of {layer}")


def uses_spectral_norm(renamed: Mapping[str, Tensor], part: str = "parts.0.") -> bool:
    """Whether the weights of a part are under spectral norm."""
    return any(key.startswith(part) and key.endswith("._u") for key in renamed)
