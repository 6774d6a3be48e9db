"""What a trial will cost on rented nodes: its training hours at the prices of a table of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nephrite.errors import ConfigError

HOUR = 3600  # seconds
EXAMPLE = "e.g. {currency: EUR, segmenter: {hour: 1.2, speed: 8}, synthesizer: {hour: 1.2, speed: 8}}"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(_Section):
    """Of one kind of training on a cluster."""

    hour: float = Field(ge=0, allow_inf_nan=False, description="Price of an hour of what one training holds.")
    speed: float = Field(
        default=1,
        gt=0,
        allow_inf_nan=False,
        description="How many times as fast as one process of this machine.",
    )


class Prices(_Section):
    """The table."""

    currency: str = Field(default="EUR", pattern=r"^\S{1,8}$", description="Shown after the amounts.")
    segmenter: Price
    synthesizer: Price


def read_prices(path: Path) -> Prices:
    """Read a table of prices.

    Raises:
        ConfigError: it is missing or no YAML, or a price is wrong; names key and rule.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Prices.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}".rstrip(": "), first["msg"], f"write prices, {EXAMPLE}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(path, f"cannot be read ({reason})", f"name a file of prices, {EXAMPLE}") from None


def cost_line(prices: Prices, segmenters: float, synthesizers: float | None) -> str:
    """The cost in words.

    Args:
        prices: the table.
        segmenters: seconds of all trainings of segmenters, as if one process of this machine made them.
        synthesizers: the same of synthesizers; None where they are not known yet.
    """
    amounts, told = 0.0, list[str]()
    for name, seconds, price in (
        ("segmenters", segmenters, prices.segmenter),
        ("synthesizers", synthesizers, prices.synthesizer),
    ):
        if seconds is None:
            told.append(f"{name} not counted: their time is known after 'prepare'")
            continue
        hours = seconds / price.speed / HOUR
        amounts += hours * price.hour
        told.append(f"{name} {hours:,.1f} hours at {price.hour:g}")
    return f"about {amounts:,.2f} {prices.currency} ({'; '.join(told)}); waiting, data and scoring come on top"
