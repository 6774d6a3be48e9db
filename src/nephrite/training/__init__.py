"""How models are fitted: devices, precision, checkpoints and resuming by Lightning."""
