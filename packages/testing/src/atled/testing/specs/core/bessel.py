"""The modified Bessel function that core itself has; the others are in special."""

import numpy as np
from scipy import special

from .gamma import at_infinity, function

# Both follow Cephes, which is within 2 ulp; exp and the library's own leave a few more.
SPECS = [function("i0", at_infinity(special.i0, np.inf), domain=(-20, 20))]
