"""The data plane: a process of its own that answers predictions. Django is used at its start for settings only."""
