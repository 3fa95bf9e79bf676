"""How a provider can notice that data, or a request for its removal, is an attack: the table of defences."""

from expunge.attacks.defence import Defence
from expunge.attacks.defences import (
    activation_clustering,
    class_gradients,
    deep_knn,
    gradient_norm_outliers,
    isolated_medoids,
    loss_outliers,
    membership,
    nearest_neighbour,
    owner_cap,
    pixel_grid,
    pixel_range,
    spectral_signatures,
    update_norm,
    validation_gate,
)

__all__ = ["DEFENCES", "Defence"]

DEFENCES: dict[str, Defence] = {
    "spectral-signatures": spectral_signatures.DEFENCE,
    "activation-clustering": activation_clustering.DEFENCE,
    "deep-knn": deep_knn.DEFENCE,
    "loss-outliers": loss_outliers.DEFENCE,
    "gradient-norm-outliers": gradient_norm_outliers.DEFENCE,
    "pixel-range": pixel_range.DEFENCE,
    "pixel-grid": pixel_grid.DEFENCE,
    "duplicates": nearest_neighbour.DUPLICATES,
    "isolated": nearest_neighbour.ISOLATED,
    "membership": membership.DEFENCE,
    "update-norm": update_norm.DEFENCE,
    "class-gradients": class_gradients.DEFENCE,
    "isolated-medoids": isolated_medoids.DEFENCE,
    "validation-gate": validation_gate.DEFENCE,
    "owner-cap": owner_cap.DEFENCE,
}
