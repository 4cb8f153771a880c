"""What reading a damaged or strange zip raises: the errors of the library, and those of what it calls."""

import lzma
import zipfile
import zlib
from typing import Final

# A RuntimeError says that an entry is encrypted, packed in an unknown way, or JSON that lies too deep.
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
