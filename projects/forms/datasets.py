"""Forms of the dataset pages."""

from django import forms

from mlportal.lib.forms import Form
from projects.tabular import sniff
from projects.tabular.samples import SAMPLES

DELIMITERS = [("", "Detect"), *((mark, word.capitalize()) for mark, word in sniff.DELIMITERS.items())]
ENCODINGS = [("", "Detect (UTF-8, or by byte order mark)"), *sniff.ENCODINGS.items()]


class DatasetUpload(Form):
    """A new dataset, or the next version of one. The file stands last, so that it streams after the words."""

    name = forms.CharField(
        max_length=100, help_text="Letters, digits, '.', '_' and '-'. An existing name gets a new version."
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    delimiter = forms.ChoiceField(choices=DELIMITERS, required=False)
    encoding = forms.ChoiceField(choices=ENCODINGS, required=False)
    file = forms.FileField(help_text="CSV, CSV in gzip, or Parquet. The first row of a CSV file names the columns.")

    def clean_delimiter(self) -> str:
        """Keep a tab, which is not blank here."""
        return str(self.data.get("delimiter", ""))


class SampleChoice(Form):
    """One of the bundled samples."""

    sample = forms.ChoiceField(choices=[(sample.name, sample.title) for sample in SAMPLES.values()])
