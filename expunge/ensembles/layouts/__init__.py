"""How others lay out published margins in folders: read here, and EasyDUB's written too."""

from expunge.ensembles.layouts.easydub import EasyDub, write_easydub
from expunge.ensembles.layouts.klom_models import KlomModels
from expunge.ensembles.layouts.publication import Layout, Publication

__all__ = ["EasyDub", "KlomModels", "Layout", "Publication", "write_easydub"]
