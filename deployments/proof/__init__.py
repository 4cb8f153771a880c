"""Engine of model evidence: manifests, signatures, seals, gate rules and evaluation. Knows no Django."""
