"""Training of networks: epochs, lanes of the processor, several networks together, checkpoints."""
