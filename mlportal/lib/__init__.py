"""Rooms without models, shared by every app; imports no app."""
