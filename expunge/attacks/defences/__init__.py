"""What a provider can do against attacks: notice them, or tell less and serve otherwise: the table of defences."""

from expunge.attacks.defence import Defence
from expunge.attacks.defences import (
    activation_clustering,
    class_gradients,
    deep_knn,
    gradient_norm_outliers,
    isolated_medoids,
    labels_alone,
    loss_outliers,
    membership,
    nearest_neighbour,
    output_noise,
    owner_cap,
    pixel_grid,
    pixel_range,
    postponement,
    spectral_signatures,
    temperature,
    top_k,
    update_budget,
    update_norm,
    validation_gate,
    weight_noise,
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
    "owner-update-budget": update_budget.OWNER,
    "total-update-budget": update_budget.TOTAL,
    "top-k": top_k.DEFENCE,
    "labels-alone": labels_alone.DEFENCE,
    "temperature": temperature.DEFENCE,
    "output-noise": output_noise.DEFENCE,
    "weight-noise": weight_noise.DEFENCE,
    "postponement": postponement.DEFENCE,
}
