"""``python -m deployments.serve``: the serving process."""

import os

# Before anything imports numpy: two OpenMP threads on busy cores took a one-row predict from 5 ms to 481 ms (p99).
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")


def main() -> None:
    """Read the settings and serve."""
    from django.conf import settings

    from deployments.serve import configuration, process
    from mlportal import logs

    logs.configure(getattr(settings, "LOGGING", {}))
    process.run(configuration.from_settings())


if __name__ == "__main__":
    main()
