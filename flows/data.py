"""`densecorr data`: tools on data sets. One subcommand a file, `flows/data_<verb>.py`, named in `DataCommand`."""

from typing import Annotated

import tyro

DataCommand = None
