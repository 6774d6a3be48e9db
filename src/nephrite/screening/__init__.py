"""Which painted slices an arm may see: agreement with the mask, intensity, copies, fidelity."""
