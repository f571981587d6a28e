"""`densecorr data`: tools on data sets. One subcommand a file, `flows/data_<verb>.py`."""

from typing import Annotated

from tyro.conf import OmitSubcommandPrefixes, subcommand

from .data_check import Check
from .data_export import DataExport
from .data_geodesics import Geodesics
from .data_landmarks import Landmarks
from .data_query import Query
from .data_summary import Summary

DataCommand = OmitSubcommandPrefixes[
    Annotated[Summary, subcommand("summary")]
    | Annotated[Query, subcommand("query")]
    | Annotated[DataExport, subcommand("export")]
    | Annotated[Check, subcommand("check")]
    | Annotated[Landmarks, subcommand("landmarks")]
    | Annotated[Geodesics, subcommand("geodesics")]
]
