"""What methods share: walks, teachers, curvature, layers, masks."""
