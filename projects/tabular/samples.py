"""Samples that scikit-learn carries, as CSV files. Building imports scikit-learn; describing does not."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A bundled dataset.

    Parameters
    ----------
    name, title, description : str
        What it is called and what it holds.
    task : str
        ``classification`` or ``regression``.
    target : str
        Column that is meant to be predicted.
    rows, columns : int
        Size, the target included.
    """

    name: str
    title: str
    description: str
    task: str
    target: str
    rows: int
    columns: int


_LIST = (
    Sample(
        "iris",
        "Iris flowers",
        "Four measurements of 150 iris flowers of three species (Fisher, 1936).",
        "classification",
        "species",
        150,
        5,
    ),
    Sample(
        "wine",
        "Wine chemistry",
        "Thirteen chemical measurements of 178 Italian wines from three cultivars.",
        "classification",
        "cultivar",
        178,
        14,
    ),
    Sample(
        "breast_cancer",
        "Breast cancer, Wisconsin",
        "Thirty measurements of cell nuclei from 569 biopsies, benign or malignant.",
        "classification",
        "diagnosis",
        569,
        31,
    ),
    Sample(
        "digits",
        "Handwritten digits",
        "1,797 images of handwritten digits, eight by eight pixels.",
        "classification",
        "digit",
        1797,
        65,
    ),
    Sample(
        "diabetes",
        "Diabetes progression",
        "Ten measurements of 442 patients and the progression of diabetes one year later.",
        "regression",
        "progression",
        442,
        11,
    ),
    Sample(
        "linnerud",
        "Linnerud fitness",
        "Three exercises and the weight of twenty middle-aged men.",
        "regression",
        "weight",
        20,
        4,
    ),
)
SAMPLES = {sample.name: sample for sample in _LIST}


def build(name: str, target: Path) -> None:
    """Write a sample as a CSV file; the same bytes each time for one version of scikit-learn.

    Parameters
    ----------
    name : str
        Key of ``SAMPLES``.
    target : Path
        File to write.
    """
    from sklearn import datasets

    sample = SAMPLES[name]
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = bunch.data.copy()
    frame.columns = [_tidy(column) for column in frame.columns]
    found = bunch.target[bunch.target.columns[0]] if name == "linnerud" else bunch.target
    labelled = sample.task == "classification" and name != "digits"
    frame[sample.target] = found.map(dict(enumerate(bunch.target_names))) if labelled else found
    frame.to_csv(target, index=False, lineterminator="\n")


def _tidy(column: str) -> str:
    return column.lower().replace(" (cm)", "_cm").replace("/", "_").replace(" ", "_")
