"""What old versions of other packages cannot do, for tests that need it."""

from __future__ import annotations

import astropy
import pytest
from packaging.version import Version

from starscale.io.parquet.sink import WHOLE_VECTORS

#: astropy before 7.1 reads blank numbers of ASCII tables in FITS as 0, and stores masked vectors unmasked.
masks_of_astropy = pytest.mark.skipif(Version(astropy.__version__) < Version("7.1"), reason="astropy before 7.1")
#: The types of vectors are kept in Parquet by newer versions of pyarrow only.
whole_vectors = pytest.mark.skipif(not WHOLE_VECTORS, reason="an old pyarrow")
