"""The languages that serving speaks: our own, Open Inference Protocol v2, MLflow's and KServe v1's."""
