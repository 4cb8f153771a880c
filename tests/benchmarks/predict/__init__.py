"""What a prediction costs, against an empty answer of the same server in the same run."""
