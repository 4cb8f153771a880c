"""The model card: parts people write, everything else filled from the records."""

from deployments.cards.parts import SECTIONS, card_gaps, sealed

__all__ = ["SECTIONS", "card_gaps", "sealed"]
