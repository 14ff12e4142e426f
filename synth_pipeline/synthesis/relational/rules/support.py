"""How much data a rule must hold on to be one."""

from __future__ import annotations

SUPPORT = 20
"""Fewest rows on which a rule must hold."""
