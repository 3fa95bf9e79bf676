"""How others lay out published margins in folders: read here, and EasyDUB's written too."""

from expunge.ensembles.published.easydub import EasyDub, write_easydub
from expunge.ensembles.published.klom_models import KlomModels
from expunge.ensembles.published.publication import Layout, Publication

__all__ = ["EasyDub", "KlomModels", "Layout", "Publication", "write_easydub"]
