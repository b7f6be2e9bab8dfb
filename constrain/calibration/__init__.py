"""Are predictions made with 90 % confidence right 90 % of the time, and what if they are not?

`reliability_table`, the calibration errors, `brier_score` and `log_loss` measure forecasts;
`fit_temperature`, `fit_platt` and `fit_isotonic` find a `Calibration` that mends them;
`held_out` says what one is worth on examples it has not seen. `save` and `load` keep it, and
`model.classify(..., calibration=...)` applies it.

Forecasts are float64[n, n_labels], rows that sum to 1; truth is int[n], label indices. Platt
and isotonic fits need scikit-learn (extra `calibration`), diagrams matplotlib (extra `plots`).
"""

from constrain.calibration.arrays import top_label
from constrain.calibration.diagram import reliability_diagram
from constrain.calibration.evaluation import Report, fit, held_out, report
from constrain.calibration.files import from_json, load, save, to_json
from constrain.calibration.fits import Calibration, Isotonic, Platt, Temperature
from constrain.calibration.losses import brier_score, log_loss
from constrain.calibration.one_against_rest import fit_isotonic, fit_platt
from constrain.calibration.reliability import (
    Bin,
    ReliabilityTable,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_table,
)
from constrain.calibration.temperature import fit_temperature

__all__ = [
    "Bin",
    "Calibration",
    "Isotonic",
    "Platt",
    "ReliabilityTable",
    "Report",
    "Temperature",
    "brier_score",
    "expected_calibration_error",
    "fit",
    "fit_isotonic",
    "fit_platt",
    "fit_temperature",
    "from_json",
    "held_out",
    "load",
    "log_loss",
    "maximum_calibration_error",
    "reliability_diagram",
    "reliability_table",
    "report",
    "save",
    "to_json",
    "top_label",
]
