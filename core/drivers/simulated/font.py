"""The characters of a simulated screen: a bitmap font, 5 dots wide and 7 high, drawn for this product.

A glyph is seven digits in base 32, one for each row from the top; the highest of a digit's five bits is the left dot.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

ROWS: Final = 7
COLUMNS: Final = 5
_GLYPHS: Final = (
    " 0000000!4444404\"AA00000#0AVAVA0$4FKE5U4%OP248J3&CIKCKID'4400000(2488842)8422248*04LELL4+004V400,0000448-000V000"
    ".00000CC/1124488"
    "0EHJLPHE14C4444E2EH1248V3V24213E426AIV225VGU11HE668GUHHE7V1248888EHHEHHE9EHHF12C"
    ":0CC0CC0;0CC0448<248G842=00V0V00>8421248?EH12404@EHNLNGE"
    "AEHHVHHHBUHHUHHUCEHGGGHEDSIHHHISEVGGUGGVFVGGUGGGGEHGNHHFHHHHVHHHIE44444EJ72222ICKHIKOKIHLGGGGGGVMHRLLHHHNHHPLJHH"
    "OEHHHHHEPUHHUGGGQEHHHLIDRUHHUKIHSFGGE11UTV444444UHHHHHHEVHHHHHA4WHHHLLRHXHHA4AHHYHHHA444ZV1248GV"
    "[E88888E\\GG84421]E22222E^4AH0000_000000V`8400000"
    "a00E1FHFbGGMPHHUc00EGGHEd11DJHHFe00EHVGEf698S888g00FHF1EhGGMPHHHi40C444Ej20622ICkGGIKOKIlC44444Em00QLLLLn00MPHHH"
    "o00EHHHEp00UHUGGq00DJF11r00MPGGGs00FGE1Ut88S8896u00HHHJDv00HHHA4w00HHLLAx00HA4AHy00HHF1Ez00V248V"
    "{2448442|4444444}8442448~008L200"
)


def _dots(rows: str) -> NDArray[np.bool_]:
    numbers = np.array([int(digit, 32) for digit in rows], np.uint8)
    dots: NDArray[np.bool_] = (numbers[:, None] >> np.arange(COLUMNS - 1, -1, -1, dtype=np.uint8)) & 1 == 1
    return dots


GLYPHS: Final = {
    _GLYPHS[start]: _dots(_GLYPHS[start + 1 : start + 1 + ROWS]) for start in range(0, len(_GLYPHS), ROWS + 1)
}
"""(ROWS, COLUMNS) dots by character."""
